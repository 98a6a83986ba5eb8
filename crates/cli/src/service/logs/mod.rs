//! `exeng logs`: the output of executions.

pub(super) mod many;

use std::collections::HashSet;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use execution_engine::{Ending, OutputStream};
use execution_engine_server::client::{Client, EventReader};
use execution_engine_server::{Event, EventKind, ExecutionView, event_json};

use super::connect;
use super::each::each;
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::data::Reader;
use crate::failure::Failure;
use crate::option_names::of_command_line;
use crate::terminal_text::TerminalFilter;
use crate::{data, message};

/// Most executions that are followed at once: each has a connection, and the service serves a limited number of them.
const MOST_FOLLOWED: usize = 100;

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsOptions {
    /// Executions: their ids, unique beginnings of ids, or @last. Several are printed one after the other
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(Ids::Any))]
    pub(super) ids: Vec<String>,
    /// Go on until they have ended; several, at most 100, need --prefix
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Begin with the last N lines
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) tail: Option<u64>,
    /// Only this stream [without: both, in the order in which they were read]
    #[arg(long, value_enum)]
    pub(super) stream: Option<StreamName>,
    /// Print exactly the bytes, also on a terminal, where control characters are made visible otherwise
    #[arg(long, conflicts_with = "json")]
    pub(super) raw: bool,
    /// Begin each line with whose it is: the first tag, or the beginning of the id (not of a fleet)
    #[arg(long, conflicts_with_all = ["raw", "json"])]
    pub(super) prefix: bool,
    /// Print events, one a line, with their cursors, of several with their ids. With --stream, output of that stream
    /// only (not of a fleet)
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StreamName {
    Stdout,
    Stderr,
}

impl From<StreamName> for OutputStream {
    fn from(name: StreamName) -> Self {
        match name {
            StreamName::Stdout => Self::Stdout,
            StreamName::Stderr => Self::Stderr,
        }
    }
}

impl LogsOptions {
    /// Checks what needs no service.
    fn check(&self) -> Result<(), Failure> {
        if self.json && self.tail.is_some() {
            return Err(Failure::new(
                "--tail counts lines, and --json prints events, which are no lines; leave one of them out, or take the \
                 last events with `exeng logs --json ID | tail`",
            ));
        }
        if self.follow && self.ids.len() > 1 && !self.prefix && !self.json {
            return Err(Failure::new(
                "several executions are followed at once, and nothing would say whose a line is; add --prefix, or follow \
                 one of them",
            ));
        }
        Ok(())
    }
}

/// Prints the output. Of several, what fails does not keep the others from it.
pub(crate) async fn run(global: &GlobalOptions, options: &LogsOptions) -> Result<u8, Failure> {
    options.check()?;
    let client = connect(global).await?;
    // All of them first: what is the newest changes.
    let get = async |id: String| client.get(&id).await;
    let (mut executions, code) = each(&client, &options.ids, get).await;
    let mut seen = HashSet::new();
    executions.retain(|execution| seen.insert(execution.id));
    if options.follow && executions.len() > MOST_FOLLOWED {
        return Err(Failure::new(format!(
            "{} executions are to be followed, and at most {MOST_FOLLOWED} are at once; name fewer, or leave -f out to \
             print what there is",
            executions.len()
        )));
    }
    if options.ids.len() > 1 || options.prefix {
        many::print(&client, &executions, options).await?;
    } else if let [execution] = &executions[..] {
        print_one(&client, &execution.id.to_string(), options).await?;
    }
    Ok(code)
}

/// Prints the output of one, or its events.
async fn print_one(client: &Client, id: &str, options: &LogsOptions) -> Result<(), Failure> {
    let stream = options.stream.map(OutputStream::from);
    if options.json {
        return print_events(client, id, stream, options.follow).await;
    }
    let mut printer = Printer::new(options.raw);
    let mut output = client.output(id, stream, options.tail).await?;
    while let Some(bytes) = output.next().await? {
        printer.print(&bytes)?;
    }
    if options.follow {
        let reader = Reader::watch();
        let mut events = client.events(id, output.cursor()).await?;
        while let Some(event) = next(&mut events, &reader).await? {
            if let Some((_, bytes)) = output_of(&event, stream) {
                printer.print(bytes)?;
            }
        }
    }
    printer.finish()?;
    print_missing(client, id).await;
    Ok(())
}

/// Says what the bytes do not: that some are missing, or that the program did not end by itself.
async fn print_missing(client: &Client, id: &str) {
    // It is known at the end. If it was removed meanwhile, there is nothing to say.
    let Ok(ended) = client.get(id).await else { return };
    if let Some(missing) = &ended.output_error {
        message::print(format!("output of {id} is missing: {missing}"));
    }
    let is_own =
        |ending: &&Ending| matches!(ending, Ending::Exited { .. } | Ending::Signaled { .. });
    if let Some(ending) = ended.ending.as_ref().filter(|ending| !is_own(ending)) {
        message::note(format!("{id}: {}", of_command_line(&ending.to_string())));
    }
}

/// Prints the events that there are, or all until the last.
async fn print_events(
    client: &Client,
    id: &str,
    stream: Option<OutputStream>,
    follow: bool,
) -> Result<(), Failure> {
    let all = client.output(id, None, Some(0)).await?.cursor();
    let reader = Reader::watch();
    let mut events = client.events(id, 0).await?;
    while follow || events.cursor() < all {
        let Some(event) = next(&mut events, &reader).await? else { break };
        if many::is_wanted(&event, stream) {
            print_event(&event)?;
        }
    }
    Ok(())
}

/// How what happens is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// What the program has written to its streams, to those of this process.
    AsWritten,
    /// Events, one a line.
    Json,
}

/// Shows what happens behind a cursor until the end, and returns the execution as it ended.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    after: u64,
    stream: Option<OutputStream>,
    show: Show,
) -> Result<ExecutionView, Failure> {
    let reader = Reader::watch();
    let mut events = client.events(id, after).await?;
    while let Some(event) = next(&mut events, &reader).await? {
        if show == Show::Json {
            print_event(&event)?;
        } else if let Some((stream, bytes)) = output_of(&event, stream) {
            match stream {
                OutputStream::Stdout => data::bytes(bytes)?,
                OutputStream::Stderr => data::error_bytes(bytes)?,
            }
        }
        if let EventKind::Ended { execution } = event.kind {
            return Ok(*execution);
        }
    }
    Ok(client.wait(id).await?)
}

/// Returns the next event, and fails when no process reads them any more: a quiet program would not let us
/// notice by a write.
pub(super) async fn next(
    events: &mut EventReader<'_>,
    reader: &Reader,
) -> Result<Option<Event>, Failure> {
    tokio::select! {
        biased;
        event = events.next() => Ok(event.transpose()?),
        gone = reader.gone() => Err(gone),
    }
}

/// Returns the output of an event, if it has some of the wanted stream. Says what is missing.
pub(super) fn output_of(
    event: &Event,
    wanted: Option<OutputStream>,
) -> Option<(OutputStream, &[u8])> {
    match &event.kind {
        EventKind::Output { stream, bytes } => {
            wanted.is_none_or(|wanted| wanted == *stream).then_some((*stream, &bytes[..]))
        }
        EventKind::Missed { stdout_bytes, stderr_bytes, reason } => {
            let count = match wanted {
                None => stdout_bytes + stderr_bytes,
                Some(OutputStream::Stdout) => *stdout_bytes,
                Some(OutputStream::Stderr) => *stderr_bytes,
            };
            if count > 0 {
                message::print(format!("{count} bytes are missing here: {reason}"));
            }
            None
        }
        _ => None,
    }
}

/// Prints an event as a line of JSON, with its cursor first.
pub(super) fn print_event(event: &Event) -> Result<(), Failure> {
    let json = event_json(event);
    let rest = json.strip_prefix('{').unwrap_or(&json);
    data::line(&format!("{{\"cursor\":{},{rest}", event.cursor))
}

/// Prints output as it is, or so that it does no harm to a terminal.
pub(super) struct Printer(Option<TerminalFilter>);

impl Printer {
    /// Creates one for exactly the bytes, or for a person.
    pub(super) fn new(raw: bool) -> Self {
        Self((!raw && data::is_for_people()).then(TerminalFilter::default))
    }

    /// Prints bytes.
    pub(super) fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.0 {
            None => data::bytes(bytes),
            Some(filter) => data::bytes(&filter.push(bytes)),
        }
    }

    /// Prints what was held back.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), |filter| data::bytes(&filter.finish()))
    }
}
