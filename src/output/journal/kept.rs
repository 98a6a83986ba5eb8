//! The kept output of a journal as a history holds it, and back.

use bytes::Bytes;

use super::entry::{EntryKind, JournalEntry, JournalPosition};
use super::page::{Holder, Span};
use super::state::JournalState;
use crate::output::capture::Buffer;
use crate::output::lines::PartialFlush;
use crate::types::{HistoryOutput, OutputCursor, OutputPiece, OutputQuery, OutputStream};

impl JournalState {
    /// Returns the output that is held. Nothing is copied of a journal that is complete.
    pub(super) fn kept_output(&self) -> HistoryOutput {
        let mut spans: Vec<Span> = Vec::new();
        for span in self.unread(&OutputQuery::default()) {
            match spans.last_mut() {
                Some(last) if is_continued(last, &span) => last.to = span.to,
                _ => spans.push(span),
            }
        }
        let piece = |span: Span| {
            let bytes = match span.held {
                None => {
                    return OutputPiece {
                        stream: span.stream,
                        offset: span.to,
                        bytes: Bytes::new(),
                    };
                }
                Some(Holder::Capture) => {
                    self.streams[span.stream.index()].capture.part(span.from..span.to)
                }
                Some(Holder::Entry(index)) => {
                    let begin = self.position(index).bytes[span.stream.index()];
                    self.output(index, span.from - begin, span.to - begin).bytes
                }
            };
            OutputPiece { stream: span.stream, offset: span.from, bytes }
        };
        let [stdout, stderr] = self.streams.each_ref().map(|stream| stream.capture.base);
        HistoryOutput {
            pieces: spans.into_iter().map(piece).collect(),
            begin: OutputCursor { stdout, stderr },
            end: OutputCursor { stdout: self.end.bytes[0], stderr: self.end.bytes[1] },
        }
    }

    /// Takes output of a history into a new journal.
    pub(super) fn restore(&mut self, output: &HistoryOutput, is_ended: bool) {
        // Nothing is kept of earlier attempts.
        let OutputCursor { stdout, stderr } = output.begin;
        self.skip_to(JournalPosition { bytes: [stdout, stderr], ..self.end });
        for OutputPiece { stream, offset, bytes } in &output.pieces {
            let mut start = self.end;
            start.bytes[stream.index()] = *offset;
            // What a history has stored is not believed: a piece before its place is left out.
            if self.end.bytes[stream.index()] > *offset {
                continue;
            }
            self.skip_to(start);
            if bytes.is_empty() {
                continue;
            }
            let buffer = Box::new(Buffer::Complete(bytes.clone()));
            self.push_entry(EntryKind::Evictable(*stream, buffer));
            self.end.bytes[stream.index()] += bytes.len() as u64;
        }
        let OutputCursor { stdout, stderr } = output.end;
        let [out, err] = self.end.bytes;
        self.skip_to(JournalPosition { bytes: [stdout.max(out), stderr.max(err)], ..self.end });
        self.closed = is_ended;
    }

    /// Leaves a gap in a stream for bytes that never came. The line before it ends there.
    pub(super) fn miss(&mut self, stream: OutputStream, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.flush_partial(stream, PartialFlush::Everything);
        self.stream(stream).capture.miss(bytes);
        if !self.entries.back().is_some_and(JournalEntry::is_gap) {
            self.push_entry(EntryKind::Gap);
        }
        self.end.bytes[stream.index()] += bytes;
    }

    /// Leaves a gap up to a position.
    fn skip_to(&mut self, position: JournalPosition) {
        if position != self.end {
            self.push_entry(EntryKind::Gap);
            self.end = position;
        }
    }
}

/// Returns true if the second span follows the first in the same place.
fn is_continued(first: &Span, second: &Span) -> bool {
    first.stream == second.stream
        && first.to == second.from
        && first.held == Some(Holder::Capture)
        && second.held == Some(Holder::Capture)
}
