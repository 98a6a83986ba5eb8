//! `exeng logs`: the output of an execution.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use execution_engine::OutputStream;
use execution_engine_server::client::{Client, EventReader};
use execution_engine_server::{Event, EventKind, ExecutionView, event_json};

use super::connect;
use crate::cli::GlobalOptions;
use crate::completions::ids;
use crate::data::Reader;
use crate::failure::Failure;
use crate::terminal_text::TerminalFilter;
use crate::{data, message};

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsOptions {
    /// The execution: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCandidates::new(ids))]
    id: String,
    /// Go on until the execution has ended
    #[arg(long, short)]
    follow: bool,
    /// Begin with the last N lines
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<u64>,
    /// Only this stream [without: both, in the order in which they were read]
    #[arg(long, value_enum)]
    stream: Option<StreamName>,
    /// Print exactly the bytes, also on a terminal, where control characters are made visible otherwise
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print events, one a line, with their cursors. With --stream, output of that stream only
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StreamName {
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

/// Prints the output.
pub(crate) async fn run(global: &GlobalOptions, options: &LogsOptions) -> Result<u8, Failure> {
    if options.json && options.tail.is_some() {
        return Err(Failure::new(
            "--tail counts lines, and --json prints events, which are no lines; leave one of them out, or take the last \
             events with `exeng logs --json ID | tail`",
        ));
    }
    let client = connect(global).await?;
    // Once: what is the newest changes.
    let id = client.get(&options.id).await?.id.to_string();
    let stream = options.stream.map(OutputStream::from);
    if options.json {
        print_events(&client, &id, stream, options.follow).await?;
        return Ok(0);
    }
    let mut printer = Printer::new(options.raw);
    let mut output = client.output(&id, stream, options.tail).await?;
    while let Some(bytes) = output.next().await? {
        printer.print(&bytes)?;
    }
    if options.follow {
        let reader = Reader::watch();
        let mut events = client.events(&id, output.cursor()).await?;
        while let Some(event) = next(&mut events, &reader).await? {
            if let Some((_, bytes)) = output_of(&event, stream) {
                printer.print(bytes)?;
            }
        }
    }
    printer.finish()?;
    // The bytes show no gap. It is known at the end; whoever has removed it meanwhile does not care.
    if let Some(missing) = client.get(&id).await.ok().and_then(|ended| ended.output_error) {
        message::print(format!("output is missing: {missing}"));
    }
    Ok(0)
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
        let is_of_other = |of: &OutputStream| stream.is_some_and(|wanted| wanted != *of);
        if !matches!(&event.kind, EventKind::Output { stream, .. } if is_of_other(stream)) {
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

/// Returns the next event, and fails when nobody reads them any more: a quiet program would not let us
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
