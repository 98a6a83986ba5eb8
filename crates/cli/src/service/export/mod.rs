//! `exeng export`: records and output of executions, as an archive or as lines of JSON.

pub(super) mod archive;
mod lines;
mod target;

use std::future::pending;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use execution_engine_server::ErrorCode;
use execution_engine_server::client::{Client, ClientError};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use super::connect;
use super::selection::{Conditions, each_found};
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;
use crate::{data, message};
use target::{Place, Target};

/// Options of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportOptions {
    /// Executions: their ids, unique beginnings of ids, or @last. Instead of ids, conditions select all that meet them
    /// [without both: all]
    #[arg(value_name = "ID", add = ArgValueCompleter::new(Ids::Any))]
    ids: Vec<String>,
    #[command(flatten)]
    conditions: Conditions,
    /// File to write, compressed if its name ends in .zst; - is stdout
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Form of it: an archive that exeng import reads, or a line of JSON for each execution, with its output [without:
    /// jsonl if the name of the file says so, else tar]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print one document of JSON with the number of executions; needs a file
    #[arg(long)]
    json: bool,
}

/// Form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Tar,
    Jsonl,
}

/// Exports the executions, those first that were accepted first.
pub(crate) async fn run(global: &GlobalOptions, options: &ExportOptions) -> Result<u8, Failure> {
    let place = options.place()?;
    let client = connect(global).await?;
    let ids = options.select(&client).await?;
    // Without a file there is nothing to remove, and a signal ends this process at once, also within a write.
    let mut stop = matches!(place, Place::File { .. }).then(Stop::listen).transpose()?;
    let target = Target::open(place)?;
    let written = tokio::select! {
        biased;
        written = write(&client, ids, target, options.format()) => written?,
        () = Stop::asked(&mut stop) => {
            let path = options.output.display();
            return Err(Failure::interrupted(format!(
                "the export was interrupted, and {path} was not written"
            )));
        }
    };
    if options.json {
        data::json(&json!({"executions": written}))?;
    } else {
        message::note(format!("exported {written} executions"));
    }
    Ok(0)
}

/// The signals that ask this process to end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::new);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits until one comes, which is never for None.
    async fn asked(stop: &mut Option<Self>) {
        let Some(Self { interrupt, terminate }) = stop else { return pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

impl ExportOptions {
    fn format(&self) -> Format {
        let name = self.output.to_string_lossy();
        let is_lines = name.strip_suffix(".zst").unwrap_or(&name).ends_with(".jsonl");
        self.format.unwrap_or(if is_lines { Format::Jsonl } else { Format::Tar })
    }

    /// Checks what needs no service, and returns where to write.
    fn place(&self) -> Result<Place, Failure> {
        if !self.ids.is_empty() && !self.conditions.is_empty() {
            return Err(Failure::new(
                "ids are given, and conditions, too; leave the ids or the conditions (--tag, --status, ..) out",
            ));
        }
        if self.output != Path::new("-") {
            return Place::of_file(&self.output, self.force);
        }
        if self.json {
            return Err(Failure::new(
                "--json prints to stdout, where the export is; give --output FILE",
            ));
        }
        if self.format() == Format::Tar && io::stdout().is_terminal() {
            return Err(Failure::new(
                "an archive is nothing for a terminal; give --output FILE, or --format jsonl",
            ));
        }
        Ok(Place::Stdout)
    }

    /// Returns the ids of what to export, in the order of acceptance for what was selected by conditions.
    async fn select(&self, client: &Client) -> Result<Vec<Selected>, Failure> {
        let mut selected = Vec::new();
        for name in &self.ids {
            let id = client.get(name).await?.id;
            if !selected.contains(&Selected::Named(id)) {
                selected.push(Selected::Named(id));
            }
        }
        if self.ids.is_empty() {
            let query = self.conditions.query(client).await?;
            each_found(client, query, usize::MAX, |execution| {
                selected.push(Selected::Found(execution.id));
                Ok(())
            })
            .await?;
            selected.reverse();
        }
        Ok(selected)
    }
}

/// An execution to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selected {
    /// By its name: it must be there.
    Named(Uuid),
    /// By conditions: it may have been removed since.
    Found(Uuid),
}

/// Writes all of them. Returns how many that were.
async fn write(
    client: &Client,
    selected: Vec<Selected>,
    target: Target,
    format: Format,
) -> Result<u64, Failure> {
    let mut out = target;
    let mut written = 0;
    if format == Format::Tar {
        archive::begin(&mut out)?;
    }
    for execution in selected {
        let (Selected::Named(id) | Selected::Found(id)) = execution;
        let result = match format {
            Format::Tar => match client.record(id).await {
                Ok(record) => Ok(archive::write(client, &mut out, &record).await?),
                Err(error) => Err(error),
            },
            Format::Jsonl => match lines::open(client, id).await {
                Ok(line) => Ok(line.write(&mut out).await?),
                Err(error) => Err(error),
            },
        };
        match result {
            Err(error) if is_gone(&error) && execution == Selected::Found(id) => {
                message::note(format!("{id} was removed meanwhile"));
            }
            result => {
                result?;
                written += 1;
            }
        }
    }
    if format == Format::Tar {
        archive::end(&mut out, written)?;
    }
    out.finish()?;
    Ok(written)
}

fn is_gone(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::UnknownExecution.as_str())
}

/// Returns `true` if the output of an execution is no longer kept.
fn is_output_gone(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::OutputGone.as_str())
}
