//! Reading a range of lines.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use execution_engine::{OutputCursor, OutputStream};
use serde::{Deserialize, Serialize};
use tauri::ipc::InvokeResponseBody;

use super::frame::{FramePart, frame};
use super::index::LineIndex;
use super::place::{Pages, Piece, Place, WalkEnd, walk};
use crate::error::Error;

/// Most lines and bytes that one call returns.
const MAX_LINES: u32 = 10_000;
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Which lines to read. Without `from` and `after`: the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LinesQuery {
    /// Number of the first line, from 0.
    pub(crate) from: Option<u64>,
    /// `next` of lines that were read before: only what follows, the last of it if that is too much.
    pub(crate) after: Option<OutputCursor>,
    /// Default: 1000.
    pub(crate) max_lines: u32,
    /// Default: 256 KiB.
    pub(crate) max_bytes: u64,
    /// Longest wait in milliseconds if nothing follows `after` yet. Default: 0.
    pub(crate) wait_ms: u64,
}

impl Default for LinesQuery {
    fn default() -> Self {
        Self { from: None, after: None, max_lines: 1000, max_bytes: 256 * 1024, wait_ms: 0 }
    }
}

/// Lines of an output, as a view shows them: both streams in the order in which they were read.
#[derive(Debug, Serialize)]
pub(crate) struct OutputLines {
    /// Number of the line of the first byte, from 0.
    pub(super) first: u64,
    /// Bytes of that line that come before; 0 if it is whole.
    pub(super) column: u64,
    /// Number of the line behind the last of these; one that is cut or unfinished counts.
    pub(super) end: u64,
    /// Number of lines so far, an unfinished one included.
    pub(super) total: u64,
    /// Cursor of what follows.
    pub(super) next: OutputCursor,
    /// Nothing more follows so far.
    pub(super) at_end: bool,
    /// Nothing more will follow.
    pub(super) ended: bool,
    /// Some of what follows `after` is left out.
    pub(super) skipped: bool,
    /// Colours that are set at the first byte.
    pub(super) styles: StyleTexts,
    pub(super) parts: Vec<FramePart>,
    #[serde(skip)]
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Serialize)]
pub(super) struct StyleTexts {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl OutputLines {
    /// Encodes it: a header in JSON, and the bytes as they are.
    pub(crate) fn into_frame(self) -> InvokeResponseBody {
        frame(&self, &self.bytes)
    }
}

/// Reads the lines that a query asks for.
pub(crate) fn read_lines(
    index: &mut LineIndex,
    pages: &impl Pages,
    query: &LinesQuery,
) -> Result<OutputLines, Error> {
    index.extend(pages)?;
    let lines = u64::from(query.max_lines.clamp(1, MAX_LINES));
    let bytes = query.max_bytes.clamp(1, MAX_BYTES);
    let limits = Limits { lines, bytes };
    let (lines, end) = match (query.after, query.from) {
        (None, Some(line)) => read_from(index, pages, line, limits)?,
        (after, _) => read_last(index, pages, after, limits)?,
    };
    if lines.at_end {
        index.remember_end(&end);
    }
    Ok(lines)
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    lines: u64,
    bytes: u64,
}

/// Reads lines from this number on.
fn read_from(
    index: &LineIndex,
    pages: &impl Pages,
    line: u64,
    limits: Limits,
) -> Result<(OutputLines, Place), Error> {
    let mut place = index.before_line(line);
    let mut collected = Collected::default();
    let walked = walk(pages, &mut place, |at, piece, next| {
        correct_behind_gap(index, piece, next);
        let begins = at.line >= line && (at.column == 0 || collected.begin.is_some());
        if !begins && next.line <= line {
            return ControlFlow::Continue(());
        }
        let first = collected.begin.as_ref().map_or(at.line, |begin| begin.line);
        let is_full = at.column == 0 && at.line >= first + limits.lines;
        if is_full || collected.bytes >= limits.bytes {
            return ControlFlow::Break(());
        }
        // The end of an earlier line is not shown, what is missing instead of this one is.
        if begins || matches!(piece, Piece::Missed { .. }) {
            collected.push(at, piece);
        }
        ControlFlow::Continue(())
    })?;
    Ok((collected.finish(index, &place, walked, false), place))
}

/// Reads the last lines, of all or of what follows a cursor.
fn read_last(
    index: &LineIndex,
    pages: &impl Pages,
    after: Option<OutputCursor>,
    limits: Limits,
) -> Result<(OutputLines, Place), Error> {
    let last = index.before_last(limits.lines, limits.bytes);
    let continued = after.and_then(|cursor| index.end_at(cursor));
    let mut skipped = after.is_some();
    let mut place = match continued {
        Some(end) if end.bytes() >= last.bytes() => {
            skipped = false;
            end
        }
        _ => last,
    };
    let mut collected = Collected::default();
    let walked = walk(pages, &mut place, |at, piece, next| {
        correct_behind_gap(index, piece, next);
        collected.push(at, piece);
        skipped |= collected.drop_first(next, limits) && after.is_some();
        ControlFlow::Continue(())
    })?;
    Ok((collected.finish(index, &place, walked, skipped), place))
}

fn correct_behind_gap(index: &LineIndex, piece: &Piece, next: &mut Place) {
    if matches!(piece, Piece::Missed { .. }) {
        index.correct(next);
    }
}

/// Pieces that will be returned.
#[derive(Default)]
struct Collected {
    pieces: VecDeque<(Place, Piece)>,
    /// Where the first piece that was pushed begins.
    begin: Option<Place>,
    bytes: u64,
}

impl Collected {
    fn push(&mut self, at: &Place, piece: &Piece) {
        self.begin.get_or_insert_with(|| at.clone());
        self.bytes += length(piece);
        self.pieces.push_back((at.clone(), piece.clone()));
    }

    /// Drops the first pieces if there are too many; returns `true` if it did.
    fn drop_first(&mut self, end: &Place, limits: Limits) -> bool {
        let mut has_dropped = false;
        while let Some((at, piece)) = self.pieces.front()
            && self.pieces.len() > 1
            && (self.bytes > limits.bytes || at.line + limits.lines < end.lines())
        {
            self.bytes -= length(piece);
            self.pieces.pop_front();
            has_dropped = true;
        }
        has_dropped
    }

    fn finish(self, index: &LineIndex, end: &Place, walked: WalkEnd, skipped: bool) -> OutputLines {
        let begin = self.pieces.front().map_or(end, |(at, _)| at);
        let style = |stream| String::from_utf8_lossy(begin.styles.settings(stream)).into_owned();
        let styles =
            StyleTexts { stdout: style(OutputStream::Stdout), stderr: style(OutputStream::Stderr) };
        let (first, column) = (begin.line, begin.column);
        let (mut parts, mut bytes) = (Vec::new(), Vec::new());
        for (_, piece) in &self.pieces {
            match piece {
                Piece::Text { stream, bytes: text } => {
                    bytes.extend_from_slice(text);
                    match parts.last_mut() {
                        Some(FramePart::Output { stream: last, length }) if last == stream => {
                            *length += text.len();
                        }
                        _ => parts.push(FramePart::Output { stream: *stream, length: text.len() }),
                    }
                }
                Piece::Missed { bytes } => parts.push(FramePart::Missed { missed: *bytes }),
            }
        }
        OutputLines {
            first,
            column,
            end: end.lines(),
            total: index.lines().max(end.lines()),
            next: end.cursor,
            at_end: matches!(walked, WalkEnd::NoMore | WalkEnd::Ended),
            ended: walked == WalkEnd::Ended,
            skipped,
            styles,
            parts,
            bytes,
        }
    }
}

fn length(piece: &Piece) -> u64 {
    match piece {
        Piece::Text { bytes, .. } => bytes.len() as u64,
        Piece::Missed { .. } => 0,
    }
}
