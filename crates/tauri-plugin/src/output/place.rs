//! Walking through the output of an execution: page by page, and line by line within each.

use std::ops::ControlFlow;

use bytes::Bytes;
use execution_engine::{
    ExecutionEngine, OutputCursor, OutputPage, OutputPart, OutputQuery, OutputStream, Uuid,
};

use super::styles::Styles;
use crate::error::Error;

/// Bytes that are read at a time.
const PAGE_BYTES: usize = 256 * 1024;

/// Where pages of output come from.
pub(crate) trait Pages {
    /// Returns a page. It does not wait.
    fn page(&self, query: OutputQuery) -> Result<OutputPage, Error>;
}

/// Pages of an execution.
pub(crate) struct EnginePages<'a> {
    pub(crate) engine: &'a ExecutionEngine,
    pub(crate) id: Uuid,
}

impl Pages for EnginePages<'_> {
    fn page(&self, query: OutputQuery) -> Result<OutputPage, Error> {
        let page = self.engine.read_output(self.id, query);
        Ok(tauri::async_runtime::block_on(page)?)
    }
}

/// A place between two bytes of an output.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) cursor: OutputCursor,
    /// Number of lines that end before it.
    pub(super) line: u64,
    /// Bytes of its line that come before it.
    pub(super) column: u64,
    /// The colours that are set there.
    pub(super) styles: Styles,
}

/// What is passed in one step.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// A line with its end, or the part of a line that was read together.
    Text { stream: OutputStream, bytes: Bytes },
    /// Output that is no longer kept. It is shown as one line.
    Missed { bytes: u64 },
}

/// Where a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalkEnd {
    /// The visitor has seen enough.
    Stopped,
    /// There is no more output so far.
    NoMore,
    /// There will be no more output.
    Ended,
    /// The place lies behind the output: it is of another execution, which had the same id.
    OtherOutput,
}

impl Place {
    /// Returns the number of bytes before it.
    pub(super) fn bytes(&self) -> u64 {
        self.cursor.stdout + self.cursor.stderr
    }

    /// Returns the number of lines before it, an unfinished one included.
    pub(super) fn lines(&self) -> u64 {
        self.line + u64::from(self.column > 0)
    }

    /// Returns `true` if the cursor of `other` lies at or before it, in both streams.
    pub(super) fn is_behind(&self, other: &Self) -> bool {
        self.cursor.stdout >= other.cursor.stdout && self.cursor.stderr >= other.cursor.stderr
    }

    fn pass(&mut self, piece: &Piece, missed: OutputCursor) {
        match piece {
            Piece::Text { stream, bytes } => {
                *of_stream(&mut self.cursor, *stream) += bytes.len() as u64;
                self.styles.pass(*stream, bytes);
                if bytes.ends_with(b"\n") {
                    self.line += 1;
                    self.column = 0;
                } else {
                    self.column += bytes.len() as u64;
                }
            }
            Piece::Missed { .. } => {
                self.cursor.stdout += missed.stdout;
                self.cursor.stderr += missed.stderr;
                self.line = self.lines() + 1;
                self.column = 0;
            }
        }
    }
}

/// Passes the output behind a place, piece by piece, while `visit` wants to go on. It gets the place
/// before each piece, and the place behind it.
pub(super) fn walk(
    pages: &impl Pages,
    place: &mut Place,
    mut visit: impl FnMut(&Place, &Piece, &mut Place) -> ControlFlow<()>,
) -> Result<WalkEnd, Error> {
    loop {
        let page = page_with_one_gap(pages, place.cursor)?;
        if page.next.stdout < place.cursor.stdout || page.next.stderr < place.cursor.stderr {
            return Ok(WalkEnd::OtherOutput);
        }
        let missed = missed_of_streams(&page, place.cursor);
        for piece in page.parts.iter().flat_map(pieces) {
            let mut next = place.clone();
            next.pass(&piece, missed);
            if visit(place, &piece, &mut next).is_break() {
                return Ok(WalkEnd::Stopped);
            }
            *place = next;
        }
        place.cursor = page.next;
        if page.ended {
            return Ok(WalkEnd::Ended);
        }
        if page.parts.is_empty() {
            return Ok(WalkEnd::NoMore);
        }
    }
}

/// Returns a page with one gap at most. A gap does not say how much of each stream is missing, so
/// behind a second one no cursor could be given.
fn page_with_one_gap(pages: &impl Pages, cursor: OutputCursor) -> Result<OutputPage, Error> {
    let page = pages.page(OutputQuery::after(cursor).max_bytes(PAGE_BYTES))?;
    let is_gap = |part: &OutputPart| matches!(part, OutputPart::Missed { .. });
    let gaps = page.parts.iter().enumerate().filter(|(_, part)| is_gap(part));
    let Some((second, _)) = gaps.take(2).nth(1) else { return Ok(page) };
    let before = page.parts[..second].iter().map(|part| match part {
        OutputPart::Output { bytes, .. } => bytes.len(),
        _ => 0,
    });
    pages.page(OutputQuery::after(cursor).max_bytes(before.sum()))
}

/// Returns how much of each stream is missing in a page with one gap.
fn missed_of_streams(page: &OutputPage, from: OutputCursor) -> OutputCursor {
    let mut missed = OutputCursor {
        stdout: page.next.stdout - from.stdout,
        stderr: page.next.stderr - from.stderr,
    };
    for part in &page.parts {
        if let OutputPart::Output { stream, bytes } = part {
            let left = of_stream(&mut missed, *stream);
            *left = left.saturating_sub(bytes.len() as u64);
        }
    }
    missed
}

fn pieces(part: &OutputPart) -> Vec<Piece> {
    match part {
        OutputPart::Output { stream, bytes } => {
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            lines
                .map(|line| Piece::Text { stream: *stream, bytes: bytes.slice_ref(line) })
                .collect()
        }
        OutputPart::Missed { bytes } => vec![Piece::Missed { bytes: *bytes }],
        _ => Vec::new(),
    }
}

fn of_stream(cursor: &mut OutputCursor, stream: OutputStream) -> &mut u64 {
    match stream {
        OutputStream::Stdout => &mut cursor.stdout,
        OutputStream::Stderr => &mut cursor.stderr,
    }
}
