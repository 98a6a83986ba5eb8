//! `exeng input`: writes to the standard input of a program.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine_server::client::InputWriter;
use serde_json::json;

use super::connect;
use super::pieces::Pieces;
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::data;
use crate::failure::Failure;

/// Options of `input`.
#[derive(Debug, Args)]
pub(crate) struct InputOptions {
    /// The execution: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCompleter::new(Ids::Unended))]
    pub(super) id: String,
    /// A line to write [without: what is read here, until its end]
    #[arg(value_name = "TEXT")]
    pub(super) text: Option<String>,
    /// Write what a file has
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub(super) file: Option<PathBuf>,
    /// Write the text without a newline behind it
    #[arg(long, short = 'n', requires = "text")]
    pub(super) no_newline: bool,
    /// Close the input behind it; alone, on a terminal, close it and write nothing
    #[arg(long)]
    pub(super) eof: bool,
    /// Print {"id": .., "offset": ..}: where the whole input ends then
    #[arg(long)]
    pub(super) json: bool,
}

/// Writes at the program's pace, and returns when all of it is on its way.
pub(crate) async fn run(global: &GlobalOptions, options: &InputOptions) -> Result<u8, Failure> {
    let file = options.file.as_ref().map(|path| {
        let failed =
            |error| Failure::new(format!("--file: {}: {error}; check the path", path.display()));
        File::open(path).map_err(failed)
    });
    let file = file.transpose()?;
    let client = connect(global).await?;
    let mut input = client.input(&options.id).await?;
    if let Some(text) = &options.text {
        let newline = if options.no_newline { "" } else { "\n" };
        input.write(format!("{text}{newline}").as_bytes()).await?;
    } else if let Some(file) = file {
        copy(Pieces::read(file)?, &mut input).await?;
    } else if !(options.eof && io::stdin().is_terminal()) {
        copy(Pieces::read(io::stdin())?, &mut input).await?;
    }
    if options.eof {
        input.close().await?;
    }
    if options.json {
        data::json(&json!({"id": input.id(), "offset": input.offset()}))?;
    }
    Ok(0)
}

/// Writes all pieces.
pub(super) async fn copy(mut from: Pieces, to: &mut InputWriter<'_>) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("what is to be written cannot be read: {error}"));
    while let Some(piece) = from.next().await.map_err(failed)? {
        to.write(&piece).await?;
    }
    Ok(())
}
