//! `exeng attach`: follows an execution, and passes lines on to it.

use std::convert::Infallible;
use std::io::{self, IsTerminal as _};

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine_server::client::{Client, ClientError};
use execution_engine_server::{ErrorCode, EventKind};
use rustix::termios::{QueueSelector, tcflush};
use tokio::sync::Notify;

use super::input::copy;
use super::logs::{Printer, next, output_of, print_event};
use super::pieces::Pieces;
use super::{connect, wait};
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::data::Reader;
use crate::failure::Failure;
use crate::message;

/// What is said of a program that was not submitted with a pipe.
pub(super) const NO_INPUT: &str =
    "it has no input, so what is typed goes nowhere (submit it with --stdin pipe)";

/// Options of `attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachOptions {
    /// The execution: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCompleter::new(Ids::Unended))]
    pub(super) id: String,
    /// Begin with the last N lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub(super) tail: u64,
    /// Pass nothing on to its input
    #[arg(long)]
    no_input: bool,
    /// Print exactly the bytes, also on a terminal, where control characters are made visible otherwise
    #[arg(long, conflicts_with = "json")]
    pub(super) raw: bool,
    /// Print events from now on, one a line, with their cursors (not of a fleet)
    #[arg(long, conflicts_with = "tail")]
    pub(super) json: bool,
}

/// Shows what happens until the end or Ctrl-C, and returns the code to exit with.
pub(crate) async fn run(global: &GlobalOptions, options: &AttachOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let id = client.get(&options.id).await?.id.to_string();
    let started = Notify::new();
    let shown = show(&client, &id, options, &started);
    attached(&id, options, shown, pass_on_all(&client, &id, &started)).await
}

/// Attaches to an execution: shows it until its end or Ctrl-C, and passes on what is read here meanwhile. Returns the
/// code to exit with.
pub(super) async fn attached(
    id: &str,
    options: &AttachOptions,
    shown: impl Future<Output = Result<u8, Failure>>,
    passed_on: impl Future<Output = Result<(), Failure>>,
) -> Result<u8, Failure> {
    message::note(match options.no_input {
        true => format!("attached to {id}; Ctrl-C leaves it alone"),
        false => format!("attached to {id}; Ctrl-C leaves it alone, Ctrl-D closes its input"),
    });
    // What is passed on to its end leaves nothing to wait for, and what fails ends it all.
    let passing = async {
        if !options.no_input {
            passed_on.await?;
        }
        std::future::pending::<Result<Infallible, Failure>>().await
    };
    let ended = tokio::select! {
        biased;
        shown = shown => shown,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(Failure::new)?;
            message::note(format!("detached; {id} goes on (exeng attach {})", &id[..8]));
            Ok(0)
        }
        failed = passing => failed.map(|never| match never {}),
    };
    if !options.no_input {
        discard_typed();
    }
    ended
}

/// Discards what was typed for the program and not passed on: the shell would take it for a command.
fn discard_typed() {
    if io::stdin().is_terminal() {
        // Then the shell gets it, as it does after other programs.
        let _failed = tcflush(io::stdin(), QueueSelector::IFlush);
    }
}

/// Shows the last lines, and what follows until the end.
async fn show(
    client: &Client,
    id: &str,
    options: &AttachOptions,
    started: &Notify,
) -> Result<u8, Failure> {
    let mut printer = Printer::new(options.raw);
    let lines = if options.json { 0 } else { options.tail };
    let mut output = client.output(id, None, Some(lines)).await?;
    while let Some(bytes) = output.next().await? {
        printer.print(&bytes)?;
    }
    let reader = Reader::watch();
    let mut events = client.events(id, output.cursor()).await?;
    // A start before this cursor is in no event that follows, and the input may have been asked for before it.
    started.notify_one();
    let mut ended = None;
    while let Some(event) = next(&mut events, &reader).await? {
        if options.json {
            print_event(&event)?;
        } else if let Some((_, bytes)) = output_of(&event, None) {
            printer.print(bytes)?;
        }
        match event.kind {
            EventKind::Started { .. } => started.notify_one(),
            EventKind::Ended { execution } => ended = Some(*execution),
            _ => {}
        }
    }
    printer.finish()?;
    let ended = match ended {
        Some(ended) => ended,
        // It had ended before.
        None => client.wait(id).await?,
    };
    Ok(wait::code(&ended))
}

/// Passes on what is read here until its end, if the program reads it.
async fn pass_on_all(client: &Client, id: &str, started: &Notify) -> Result<(), Failure> {
    let mut input = loop {
        match client.input(id).await {
            Ok(input) => break input,
            Err(error) if is(&error, ErrorCode::NotStarted) => started.notified().await,
            Err(error) if is(&error, ErrorCode::NoInput) => {
                message::print(NO_INPUT);
                return Ok(());
            }
            // Its output is shown all the same. Keepers of older versions pass nothing on.
            Err(error)
                if is(&error, ErrorCode::AlreadyEnded) || is(&error, ErrorCode::KeeperOutdated) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    };
    if let Err(failure) = copy(Pieces::read(io::stdin())?, &mut input).await {
        message::print(failure);
        return Ok(());
    }
    match input.close().await {
        Err(error) if !is(&error, ErrorCode::AlreadyEnded) => Err(error.into()),
        _ => Ok(()),
    }
}

fn is(error: &ClientError, code: ErrorCode) -> bool {
    error.code() == Some(code.as_str())
}
