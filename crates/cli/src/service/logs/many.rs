//! Output of several executions: one after the other, or line by line with marks that say whose it is.

use std::collections::HashMap;

use execution_engine::OutputStream;
use execution_engine_server::client::Client;
use execution_engine_server::{Event, EventKind, ExecutionView, event_json};
use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use super::{LogsOptions, output_of, print_missing, print_one};
use crate::data::{self, Reader};
use crate::failure::Failure;
use crate::terminal_text::{TerminalFilter, one_line};

/// Longest line that is waited for. Of a longer one each piece of this length is printed as a line.
const LONGEST_LINE: usize = 1 << 20;
/// Colours of marks, as numbers of a terminal.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Prints the output of all of them.
pub(super) async fn print(
    client: &Client,
    executions: &[ExecutionView],
    options: &LogsOptions,
) -> Result<(), Failure> {
    if !options.json && !options.prefix {
        for execution in executions {
            print_one(client, &execution.id.to_string(), options).await?;
        }
        return Ok(());
    }
    let stdout = Mutex::new(());
    let stream = options.stream.map(OutputStream::from);
    let wanted = Wanted { stream, tail: options.tail, follow: options.follow };
    let marks = marks(executions);
    let each = executions.iter().zip(marks).map(|(execution, mark)| {
        let id = execution.id.to_string();
        let marked = Marked::new(mark, &stdout);
        async move {
            match options.json {
                true => print_events(client, &id, options).await,
                false => print_marked(client, &id, wanted, marked).await,
            }
        }
    });
    let reader = Reader::watch();
    let all = async {
        if options.follow {
            return try_join_all(each).await.map(drop);
        }
        for one in each {
            one.await?;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        printed = all => printed,
        gone = reader.gone() => Err(gone),
    }
}

/// Prints the events that there are, or all until the last, each with the id of the execution.
async fn print_events(client: &Client, id: &str, options: &LogsOptions) -> Result<(), Failure> {
    let stream = options.stream.map(OutputStream::from);
    let all = client.output(id, None, Some(0)).await?.cursor();
    let mut events = client.events(id, 0).await?;
    while options.follow || events.cursor() < all {
        let Some(event) = events.next().await.transpose()? else { break };
        if is_wanted(&event, stream) {
            let json = event_json(&event);
            let rest = json.strip_prefix('{').unwrap_or(&json);
            data::line(&format!("{{\"id\":\"{id}\",\"cursor\":{},{rest}", event.cursor))?;
        }
    }
    Ok(())
}

/// Returns `false` for output of another stream than the wanted one.
pub(super) fn is_wanted(event: &Event, wanted: Option<OutputStream>) -> bool {
    match &event.kind {
        EventKind::Output { stream, .. } => wanted.is_none_or(|wanted| wanted == *stream),
        _ => true,
    }
}

/// Which output of an execution is printed.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::service) struct Wanted {
    pub(in crate::service) stream: Option<OutputStream>,
    /// The last lines; None is all.
    pub(in crate::service) tail: Option<u64>,
    /// Until it has ended.
    pub(in crate::service) follow: bool,
}

/// Prints the output of one, each line with its mark.
pub(in crate::service) async fn print_marked(
    client: &Client,
    id: &str,
    Wanted { stream, tail, follow }: Wanted,
    mut marked: Marked<'_>,
) -> Result<(), Failure> {
    let mut output = client.output(id, stream, tail).await?;
    while let Some(bytes) = output.next().await? {
        marked.print(&bytes).await?;
    }
    if follow {
        let mut events = client.events(id, output.cursor()).await?;
        while let Some(event) = events.next().await.transpose()? {
            if let Some((_, bytes)) = output_of(&event, stream) {
                marked.print(bytes).await?;
            }
        }
    }
    marked.finish().await?;
    print_missing(client, id).await;
    Ok(())
}

/// Returns what stands before the lines of each: its first tag if no other one has the same, else the beginning of its
/// id.
fn marks(executions: &[ExecutionView]) -> Vec<Vec<u8>> {
    let mut first_tags: HashMap<&str, usize> = HashMap::new();
    for tag in executions.iter().filter_map(|execution| execution.tags.first()) {
        *first_tags.entry(tag).or_default() += 1;
    }
    let name = |execution: &ExecutionView| {
        let tag = execution.tags.first().filter(|tag| first_tags[tag.as_str()] == 1);
        let tag = tag.map(|tag| one_line(tag).into_owned());
        tag.unwrap_or_else(|| execution.id.to_string()[..8].to_string())
    };
    let names: Vec<String> = executions.iter().map(name).collect();
    marks_of(&names)
}

/// Returns what stands before the lines of each of these names.
pub(in crate::service) fn marks_of(names: &[String]) -> Vec<Vec<u8>> {
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let coloured = data::has_colours();
    let mark = |(name, colour): (&String, &u8)| match coloured {
        true => format!("\x1b[{colour}m{name:<width$} | \x1b[0m").into_bytes(),
        false => format!("{name:<width$} | ").into_bytes(),
    };
    names.iter().zip(COLOURS.iter().cycle()).map(mark).collect()
}

/// Output of which each line has a mark. A line is printed when it is whole, so that lines of several executions do
/// not mix. One without an end is broken, so that it keeps no other from its turn.
pub(in crate::service) struct Marked<'a> {
    mark: Vec<u8>,
    /// Held while lines are printed.
    stdout: &'a Mutex<()>,
    /// Beginning of a line that is not printed.
    pending: Vec<u8>,
    filter: Option<TerminalFilter>,
}

impl<'a> Marked<'a> {
    pub(in crate::service) fn new(mark: Vec<u8>, stdout: &'a Mutex<()>) -> Self {
        let filter = data::is_for_people().then(TerminalFilter::default);
        Self { mark, stdout, pending: Vec::new(), filter }
    }

    pub(in crate::service) async fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.filter {
            Some(filter) => {
                let shown = filter.push(bytes);
                self.write(&shown).await
            }
            None => self.write(bytes).await,
        }
    }

    /// Prints what is left. A line that has no end gets one: the mark of another may follow.
    pub(in crate::service) async fn finish(mut self) -> Result<(), Failure> {
        let rest = self.filter.take().map_or(Vec::new(), TerminalFilter::finish);
        self.write(&rest).await?;
        if !self.pending.is_empty() {
            self.write(b"\n").await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            while let Some(length) = printable(&self.pending) {
                out.extend_from_slice(&self.mark);
                out.extend(self.pending.drain(..length));
                if !out.ends_with(b"\n") {
                    out.push(b'\n');
                }
            }
        }
        if out.is_empty() {
            return Ok(());
        }
        let _held = self.stdout.lock().await;
        data::bytes(&out)
    }
}

/// Returns how much of a line that has begun is printed now: all of it if it has its end, a piece if it is too long,
/// which cuts no character of UTF-8 in two, and else nothing.
fn printable(begun: &[u8]) -> Option<usize> {
    if begun.len() <= LONGEST_LINE {
        return begun.ends_with(b"\n").then_some(begun.len());
    }
    if begun[LONGEST_LINE] == b'\n' {
        return Some(LONGEST_LINE + 1);
    }
    // A character has at most four bytes.
    let is_cut = |at: &usize| begun[*at] & 0xc0 != 0x80;
    Some((LONGEST_LINE - 3..=LONGEST_LINE).rev().find(is_cut).unwrap_or(LONGEST_LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_and_pieces_of_long_ones_are_printed() {
        assert_eq!(printable(b""), None);
        assert_eq!(printable(b"begun"), None);
        assert_eq!(printable(b"whole\n"), Some(6));
        let long = |length: usize, end: &str| [&vec![b'x'; length][..], end.as_bytes()].concat();
        assert_eq!(printable(&long(LONGEST_LINE, "")), None, "its end may be next");
        assert_eq!(printable(&long(LONGEST_LINE, "\n")), Some(LONGEST_LINE + 1));
        assert_eq!(printable(&long(LONGEST_LINE, "x\n")), Some(LONGEST_LINE));
        assert_eq!(printable(&long(LONGEST_LINE - 1, "\u{e4}")), Some(LONGEST_LINE - 1));
        assert_eq!(printable(&long(LONGEST_LINE - 3, "\u{1f600}")), Some(LONGEST_LINE - 3));
        assert_eq!(printable(&vec![0x80; LONGEST_LINE + 1]), Some(LONGEST_LINE), "no UTF-8");
    }
}
