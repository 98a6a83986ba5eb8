//! `exeng import`: executions of an export, into the history of this service. Nothing is started.

mod source;

use std::path::PathBuf;

use clap::Args;
use execution_engine_server::client::{Client, ClientError, Import};
use execution_engine_server::{ErrorCode, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::connect;
use super::export::archive::{
    END, End, FORMAT, MANIFEST, MOST_WHOLE_BYTES, Manifest, SUMS, VERSION,
};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, exit_code, message};
use source::{Entries, EntryReader, open};

/// Options of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportOptions {
    /// Archive that `exeng export` has written, compressed or not; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one document of JSON with what came of the executions
    #[arg(long)]
    json: bool,
}

/// What came of the executions of an archive.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// Number of those that are there now, and were not.
    imported: u64,
    /// Number of those that were there.
    existing: u64,
    /// Those that had not ended when they were exported.
    unfinished: Vec<Uuid>,
    /// Those whose id another execution has, and those whose records are too large.
    refused: Vec<Uuid>,
}

/// Imports what has ended and is not there.
pub(crate) async fn run(global: &GlobalOptions, options: &ImportOptions) -> Result<u8, Failure> {
    let source = open(&options.file)?;
    let client = connect(global).await?;
    let mut archive = tar::Archive::new(source);
    let mut counts = Counts::default();
    let entries = Entries::new(&mut archive, &options.file)?;
    let imported = import_all(&client, entries, &mut counts).await;
    for id in &counts.unfinished {
        message::note(format!("{id} had not ended when it was exported, and is left out"));
    }
    if options.json {
        data::json(&counts)?;
    } else {
        let Counts { imported, existing, .. } = counts;
        message::note(format!("imported {imported} executions; {existing} were there already"));
    }
    imported?;
    Ok(if counts.refused.is_empty() { 0 } else { exit_code::OURS })
}

/// Imports one after the other. What was imported before a mistake stays.
async fn import_all(
    client: &Client,
    mut entries: Entries<'_>,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let manifest = entries.next()?.filter(|entry| entry.path() == MANIFEST);
    let manifest = manifest.ok_or_else(|| entries.foreign("it does not begin with a manifest"))?;
    let manifest: Manifest = parse(manifest)?;
    if manifest.format != FORMAT {
        return Err(entries.foreign("its manifest is one of another kind"));
    }
    if manifest.version != VERSION {
        let version = manifest.version;
        return Err(entries.foreign(&format!(
            "its form has the version {version}, and this exeng knows {VERSION}; import it with a newer one"
        )));
    }
    let mut found = 0;
    while let Some(entry) = entries.next()? {
        if entry.path() == END {
            let end: End = parse(entry)?;
            return match end.executions == found {
                true => Ok(()),
                false => Err(entries.foreign(&format!(
                    "{found} executions are in it, and {} were exported",
                    end.executions
                ))),
            };
        }
        let id = entry.path().strip_suffix("/record.json").and_then(|id| id.parse().ok());
        let Some(id) = id else { return Err(entry.damaged("it is not expected here")) };
        import_one(client, &mut entries, id, entry, counts).await?;
        found += 1;
    }
    Err(entries.cut_off())
}

/// What is done with an execution.
enum Action<'a> {
    /// It is stored when all of it is there.
    Import(Import<'a>, Box<Record>),
    /// It was there.
    Existing,
    /// It had not ended.
    Unfinished,
    /// Another one has its id.
    Refused,
    /// Its record has so many bytes, and no service takes it.
    TooLarge(u64),
}

/// Imports an execution, whose record is the entry.
async fn import_one(
    client: &Client,
    entries: &mut Entries<'_>,
    id: Uuid,
    entry: EntryReader<'_>,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let bytes = entry.left();
    let (mut action, sum) = match bytes > MOST_WHOLE_BYTES {
        true => (Action::TooLarge(bytes), entry.skip()?),
        false => {
            let (record, sum) = record_of(entries, id, entry)?;
            (action(client, record).await?, sum)
        }
    };
    let sums = format!("{sum}  record.json\n");
    if let Err(failure) = read_files(entries, id, sums, &mut action).await {
        if let Action::Import(import, _) = action {
            // If that is lost, too, the service removes it later.
            let _lost = import.discard().await;
        }
        return Err(failure);
    }
    finish(action, id, counts).await
}

/// Reads the record of an execution, and returns its sum, too.
fn record_of(
    entries: &Entries<'_>,
    id: Uuid,
    entry: EntryReader<'_>,
) -> Result<(Record, String), Failure> {
    let path = entry.path().to_string();
    let (json, sum) = entry.whole()?;
    let damaged = |why: String| entries.damaged(&path, &why);
    let record: Record =
        serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    match record.execution.id == id {
        true => Ok((record, sum)),
        false => Err(damaged("it is the record of another execution".to_string())),
    }
}

async fn action(client: &Client, record: Record) -> Result<Action<'_>, Failure> {
    if !record.execution.is_ended() {
        return Ok(Action::Unfinished);
    }
    match client.record(record.execution.id).await {
        Ok(known) if known.execution.is_record_of(&record.execution) => Ok(Action::Existing),
        Ok(_) => Ok(Action::Refused),
        Err(error) if is(&error, ErrorCode::UnknownExecution) => {
            Ok(Action::Import(client.import(), Box::new(record)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads the files of an execution behind its record, and checks their sums.
async fn read_files(
    entries: &mut Entries<'_>,
    id: Uuid,
    mut sums: String,
    action: &mut Action<'_>,
) -> Result<(), Failure> {
    let dir = format!("{id}/");
    loop {
        let Some(mut entry) = entries.next()? else { return Err(entries.cut_off()) };
        let name = entry.path().strip_prefix(&dir).unwrap_or_default().to_string();
        match &*name {
            "stdout" | "stderr" => while entry.piece()?.is_some() {},
            "journal" => {
                while let Some(piece) = entry.piece()? {
                    if let Action::Import(import, _) = action {
                        import.write(piece).await?;
                    }
                }
            }
            SUMS => {
                let path = entry.path().to_string();
                let (told, _) = entry.whole()?;
                return check_sums(entries, &dir, &path, &sums, &told);
            }
            _ => return Err(entry.damaged("it is not expected here")),
        }
        sums.push_str(&format!("{}  {name}\n", entry.end()?));
    }
}

/// Compares the sums of the files with those that were told, and names the file that differs.
fn check_sums(
    entries: &Entries<'_>,
    dir: &str,
    path: &str,
    sums: &str,
    told: &[u8],
) -> Result<(), Failure> {
    if told == sums.as_bytes() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(told);
    let differs = sums.lines().find(|line| !told.lines().any(|other| other == *line));
    Err(match differs.and_then(|line| line.split_once("  ")) {
        Some((_, name)) => entries.damaged(&format!("{dir}{name}"), "its sum is another one"),
        None => entries.damaged(path, "a file that it names is missing"),
    })
}

async fn finish(action: Action<'_>, id: Uuid, counts: &mut Counts) -> Result<(), Failure> {
    match action {
        Action::Unfinished => counts.unfinished.push(id),
        Action::Existing => counts.existing += 1,
        Action::Refused => counts.refuse(id, &other_has_id(id)),
        Action::TooLarge(bytes) => counts.refuse(
            id,
            &format!(
                "the record of execution {id} has {bytes} bytes, and an import takes {MOST_WHOLE_BYTES}, so it is not \
                 imported; its files are in the archive (tar -x)"
            ),
        ),
        Action::Import(import, record) => match import.finish(&record).await {
            Ok(true) => counts.imported += 1,
            Ok(false) => counts.existing += 1,
            Err(error) if is(&error, ErrorCode::IdReused) => counts.refuse(id, &other_has_id(id)),
            Err(error) => return Err(error.into()),
        },
    }
    Ok(())
}

impl Counts {
    /// Tells that one is not imported, and why.
    fn refuse(&mut self, id: Uuid, why: &str) {
        Failure::new(why).report();
        self.refused.push(id);
    }
}

fn other_has_id(id: Uuid) -> String {
    format!(
        "another execution has the id {id}, so this one is not imported; remove that one first, or import into another \
         state directory"
    )
}

fn parse<T: DeserializeOwned>(entry: EntryReader<'_>) -> Result<T, Failure> {
    let (path, file) = (entry.path().to_string(), entry.file().to_path_buf());
    let (json, _) = entry.whole()?;
    serde_json::from_slice(&json).map_err(|error| source::damaged(&file, &path, &error.to_string()))
}

fn is(error: &ClientError, code: ErrorCode) -> bool {
    error.code() == Some(code.as_str())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_file_whose_sum_differs_is_named() {
        let mut empty = tar::Archive::new(open(Path::new("/dev/null")).unwrap());
        let entries = Entries::new(&mut empty, Path::new("x.tar")).unwrap();
        let check = |told: &str| {
            let sums = "1  record.json\n2  stdout\n";
            check_sums(&entries, "id/", "id/SHA256SUMS", sums, told.as_bytes())
        };
        check("1  record.json\n2  stdout\n").unwrap();
        let said = |told| check(told).unwrap_err().to_string();
        assert!(said("1  record.json\n3  stdout\n").contains("id/stdout"));
        assert!(said("9  record.json\n2  stdout\n").contains("id/record.json"));
        assert!(said("1  record.json\n2  stdout\n4  journal\n").contains("id/SHA256SUMS"));
        assert!(said("").contains("id/record.json"));
    }
}
