//! The archive of an export: a tar that begins with [`MANIFEST`] and ends with [`END`]. Between them are the files of
//! each execution in a directory with its id, in this order:
//!
//! | file | content |
//! |---|---|
//! | `record.json` | the execution, without values of its environment |
//! | `stdout`, `stderr` | what it has written, byte for byte; missing if its output is no longer kept |
//! | `journal` | its output and events in one sequence, if it has ended: what an import reads |
//! | `SHA256SUMS` | sums of the others, for `sha256sum -c` |

use std::fmt::Write as _;

use chrono::Utc;
use execution_engine::OutputStream;
use execution_engine_server::Record;
use execution_engine_server::client::Client;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::is_output_gone;
use super::target::Target;
use crate::failure::Failure;
use crate::message;

/// Name of the first file.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Name of the last file.
pub(crate) const END: &str = "end.json";
/// Name of the file with the sums of an execution.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// What the manifest calls an archive of this kind.
pub(crate) const FORMAT: &str = "exeng-export";
/// Version of the form of an archive.
pub(crate) const VERSION: u32 = 1;

/// Largest file that an import reads as a whole, and largest record that a service takes: that of one call.
pub(crate) const MOST_WHOLE_BYTES: u64 = 16 << 20;

/// Size of a block of a tar.
const BLOCK: u64 = 512;

/// Content of [`MANIFEST`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) created_at: chrono::DateTime<Utc>,
    pub(crate) exeng: String,
}

/// Content of [`END`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) executions: u64,
}

/// Writes the beginning of an archive.
pub(super) fn begin(out: &mut Target) -> Result<(), Failure> {
    let manifest = Manifest {
        format: FORMAT.to_string(),
        version: VERSION,
        created_at: Utc::now(),
        exeng: env!("CARGO_PKG_VERSION").to_string(),
    };
    whole_file(out, MANIFEST, &json(&manifest)?, Utc::now().timestamp())
}

/// Writes the end of an archive.
pub(super) fn end(out: &mut Target, executions: u64) -> Result<(), Failure> {
    whole_file(out, END, &json(&End { executions })?, Utc::now().timestamp())?;
    // Two empty blocks are the end of a tar.
    out.write(&[0; 2 * BLOCK as usize])
}

/// Writes the files of an execution. Tells if no import will take it.
pub(super) async fn write(
    client: &Client,
    out: &mut Target,
    record: &Record,
) -> Result<(), Failure> {
    let execution = &record.execution;
    let time = execution.ended_at.unwrap_or(execution.created_at).timestamp();
    let mut files = Files { out, dir: execution.id.to_string(), time, sums: String::new() };
    let mut json = serde_json::to_vec(record).map_err(Failure::new)?;
    json.push(b'\n');
    let bytes = json.len() as u64;
    if bytes > MOST_WHOLE_BYTES {
        let id = execution.id;
        message::print(format!(
            "the record of execution {id} has {bytes} bytes, and an import takes {MOST_WHOLE_BYTES}; it is in the \
             archive, and exeng import will leave it out"
        ));
    }
    files.begin("record.json", bytes)?.write_all(&json)?;
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        files.output(client, record, stream).await?;
    }
    if record.journal_bytes > 0 {
        let mut journal = files.begin("journal", record.journal_bytes)?;
        while journal.left > 0 {
            let offset = record.journal_bytes - journal.left;
            let piece = client.journal(execution.id, offset).await?;
            journal.write(&piece)?;
        }
        journal.end()?;
    }
    let Files { out, dir, sums, .. } = files;
    whole_file(out, &format!("{dir}/{SUMS}"), sums.as_bytes(), time)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut json = serde_json::to_vec_pretty(value).map_err(Failure::new)?;
    json.push(b'\n');
    Ok(json)
}

/// Files of an execution.
struct Files<'a> {
    out: &'a mut Target,
    dir: String,
    time: i64,
    sums: String,
}

impl Files<'_> {
    /// Writes the output of a stream, as much as there is now.
    async fn output(
        &mut self,
        client: &Client,
        record: &Record,
        stream: OutputStream,
    ) -> Result<(), Failure> {
        let id = record.execution.id.to_string();
        let mut output = match client.output(&id, Some(stream), None).await {
            Err(error) if is_output_gone(&error) => return Ok(()),
            output => output?,
        };
        let mut file = self.begin(&stream.to_string(), output.length())?;
        while file.left > 0 {
            let Some(bytes) = output.next().await? else { break };
            file.write(&bytes)?;
        }
        file.end()
    }

    /// Begins a file.
    fn begin(&mut self, name: &str, length: u64) -> Result<FileWriter<'_>, Failure> {
        let path = format!("{}/{name}", self.dir);
        self.out.write(&header(&path, length, self.time)?)?;
        Ok(FileWriter {
            out: self.out,
            sums: &mut self.sums,
            name: name.to_string(),
            hash: Sha256::new(),
            length,
            left: length,
        })
    }
}

/// A file of an execution that is being written.
struct FileWriter<'a> {
    out: &'a mut Target,
    sums: &'a mut String,
    name: String,
    hash: Sha256,
    length: u64,
    left: u64,
}

impl FileWriter<'_> {
    /// Writes bytes, but none beyond the length of the file: what still grows may have more meanwhile.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let length = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if length == 0 {
            return Err(self.too_short());
        }
        let bytes = &bytes[..length];
        self.hash.update(bytes);
        self.left -= length as u64;
        self.out.write(bytes)
    }

    fn write_all(mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(bytes)?;
        self.end()
    }

    /// Ends the file, and notes its sum.
    fn end(self) -> Result<(), Failure> {
        if self.left > 0 {
            return Err(self.too_short());
        }
        self.out.write(&padding(self.length))?;
        for byte in self.hash.finalize() {
            // Writing to a String does not fail.
            let _written = write!(self.sums, "{byte:02x}");
        }
        let _written = writeln!(self.sums, "  {}", self.name);
        Ok(())
    }

    fn too_short(&self) -> Failure {
        Failure::new(format!("{} ends {} bytes before its length; try again", self.name, self.left))
    }
}

/// Writes a file that is in memory.
fn whole_file(out: &mut Target, path: &str, bytes: &[u8], time: i64) -> Result<(), Failure> {
    out.write(&header(path, bytes.len() as u64, time)?)?;
    out.write(bytes)?;
    out.write(&padding(bytes.len() as u64))
}

fn header(path: &str, length: u64, time: i64) -> Result<[u8; BLOCK as usize], Failure> {
    let mut header = Header::new_gnu();
    header.set_path(path).map_err(Failure::new)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(length);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(time).unwrap_or(0));
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// Returns what fills the last block of a file.
fn padding(length: u64) -> Vec<u8> {
    vec![0; usize::try_from(length.next_multiple_of(BLOCK) - length).unwrap_or(0)]
}
