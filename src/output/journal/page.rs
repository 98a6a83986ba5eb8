//! Output as pages: what a caller has not read yet, found by the number of bytes of each stream that
//! it has read.
//!
//! Such a cursor is exact whatever was evicted meanwhile, unlike a sequence number, which does not
//! tell how much of each stream lies before it inside a gap.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::entry::EntryKind;
use super::state::JournalState;
use super::{Journal, wake_later};
use crate::output::capture::{to_index, whole_characters};
use crate::output::lines::complete_characters;
use crate::types::{OutputCursor, OutputPage, OutputPart, OutputQuery, OutputStream, OutputWindow};

/// Fewest bytes of a page: more than two streams can hold back of characters that have only begun,
/// so that each page has something.
const LEAST_BYTES: usize = 8;

/// Consecutive bytes of one stream, from one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) stream: OutputStream,
    /// Offsets in the stream.
    pub(super) from: u64,
    pub(super) to: u64,
    /// None if they are no longer held.
    pub(super) held: Option<Holder>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// What is kept of the stream.
    Capture,
    /// The entry at this index.
    Entry(usize),
}

impl Span {
    fn length(&self) -> u64 {
        self.to - self.from
    }

    fn held_length(&self) -> u64 {
        if self.held.is_some() { self.length() } else { 0 }
    }

    /// Returns true if what follows continues the same part of a page.
    fn joins(&self, next: &Self) -> bool {
        match (self.held, next.held) {
            (None, None) => true,
            (Some(_), Some(_)) => self.stream == next.stream,
            _ => false,
        }
    }
}

impl Journal {
    /// Returns the output that a query asks for.
    pub(crate) fn page(&self, query: &OutputQuery) -> OutputPage {
        self.state.lock().page(query)
    }

    /// Like [`page`](Self::page), for a reader that is woken once there is something to tell.
    pub(crate) fn poll_page(
        &self,
        query: &OutputQuery,
        reader: u64,
        cx: &mut Context<'_>,
    ) -> Poll<OutputPage> {
        let state = self.state.lock();
        let page = state.page(query);
        if page.ended || !page.parts.is_empty() {
            return Poll::Ready(page);
        }
        wake_later(state, reader, cx);
        Poll::Pending
    }

    /// Returns the last output of the current attempt, at most so many bytes of each stream, and how
    /// much there was.
    pub(crate) fn end_of_attempt(&self, max_bytes: usize) -> [(Bytes, u64); 2] {
        let state = self.state.lock();
        let begun = state.streams.each_ref().map(|stream| stream.capture.base);
        let cursor = OutputCursor { stdout: begun[0], stderr: begun[1] };
        let query = OutputQuery::after(cursor).max_bytes(max_bytes).window(OutputWindow::Tail);
        OutputStream::BOTH.map(|stream| {
            let written = state.end.bytes[stream.index()] - begun[stream.index()];
            (state.page(&query.stream(stream)).bytes(), written)
        })
    }
}

impl JournalState {
    /// Returns the output that a query asks for.
    pub(super) fn page(&self, query: &OutputQuery) -> OutputPage {
        let mut spans = self.unread(query);
        let most = query.max_bytes.max(LEAST_BYTES) as u64;
        let is_all = held(&spans) <= most;
        let mut pages = Pages { state: self, parts: Vec::new(), read: self.read(query) };
        match query.window {
            _ if is_all => pages.show(&spans),
            OutputWindow::Head => pages.show(&take_first(&mut spans, most)),
            window => {
                let tail_bytes = if window == OutputWindow::Tail { most } else { most / 2 };
                let head = take_first(&mut spans, most - tail_bytes);
                let tail = take_last(&mut spans, tail_bytes);
                pages.show(&head);
                pages.leave_out(&spans);
                pages.show_tail(&tail);
            }
        }
        pages.hold_back();
        pages.complete(query)
    }

    /// Returns the offsets at which a query begins.
    fn read(&self, query: &OutputQuery) -> [u64; 2] {
        let OutputCursor { stdout, stderr } = query.cursor;
        [stdout.min(self.end.bytes[0]), stderr.min(self.end.bytes[1])]
    }

    /// Returns what a query has not read of its streams, in order.
    pub(super) fn unread(&self, query: &OutputQuery) -> Vec<Span> {
        let read = self.read(query);
        let streams = OutputStream::BOTH.into_iter().filter(|stream| is_wanted(query, *stream));
        let is_read = |bytes: [u64; 2]| {
            streams.clone().all(|stream| bytes[stream.index()] <= read[stream.index()])
        };
        let after = self.entries.partition_point(|entry| is_read(entry.start.bytes));
        let mut spans = Vec::new();
        for index in after.saturating_sub(1)..self.entries.len() {
            let (start, end) = (self.position(index), self.position(index + 1));
            for stream in streams.clone() {
                let of = stream.index();
                let (from, to) = (start.bytes[of].max(read[of]), end.bytes[of]);
                if from < to {
                    self.push_spans(&mut spans, index, Span { stream, from, to, held: None });
                }
            }
        }
        spans
    }

    /// Adds what an entry says of a stream, in one piece for each place that holds it.
    fn push_spans(&self, spans: &mut Vec<Span>, index: usize, span: Span) {
        let held = match self.entries[index].kind {
            EntryKind::Kept(_) => Some(Holder::Capture),
            EntryKind::Evictable(..) => Some(Holder::Entry(index)),
            EntryKind::Event(_) | EntryKind::Partial(_) | EntryKind::Gap => None,
        };
        if held.is_some() {
            return spans.push(Span { held, ..span });
        }
        // What the capture keeps is held, also if there were too many entries for all of it.
        let [head, tail] = self.streams[span.stream.index()].capture.held();
        let mut from = span.from;
        for (to, held) in [
            (head.start, None),
            (head.end, Some(Holder::Capture)),
            (tail.start, None),
            (tail.end, Some(Holder::Capture)),
            (span.to, None),
        ] {
            let to = to.min(span.to);
            if from < to {
                spans.push(Span { from, to, held, ..span });
                from = to;
            }
        }
    }

    /// Adds the bytes of a span.
    fn copy(&self, span: &Span, to: &mut Vec<u8>) {
        let of = span.stream.index();
        match span.held {
            Some(Holder::Capture) => self.streams[of].capture.copy(span.from..span.to, to),
            Some(Holder::Entry(index)) => {
                let start = self.position(index).bytes[of];
                to.extend_from_slice(&self.output(index, span.from - start, span.to - start).bytes);
            }
            None => {}
        }
    }
}

fn is_wanted(query: &OutputQuery, stream: OutputStream) -> bool {
    query.stream.is_none_or(|only| only == stream)
}

fn held(spans: &[Span]) -> u64 {
    spans.iter().map(Span::held_length).sum()
}

/// Takes the first spans, with so many bytes that are held.
fn take_first(spans: &mut Vec<Span>, mut bytes: u64) -> Vec<Span> {
    let mut first = Vec::new();
    let mut rest = std::mem::take(spans).into_iter();
    while bytes > 0
        && let Some(span) = rest.next()
    {
        let middle =
            span.from + span.length().min(if span.held.is_some() { bytes } else { u64::MAX });
        bytes -= Span { to: middle, ..span }.held_length();
        first.push(Span { to: middle, ..span });
        if middle < span.to {
            spans.push(Span { from: middle, ..span });
        }
    }
    spans.extend(rest);
    first
}

/// Takes the last spans, with so many bytes that are held.
fn take_last(spans: &mut Vec<Span>, bytes: u64) -> Vec<Span> {
    let before = held(spans).saturating_sub(bytes);
    let first = take_first(spans, before);
    std::mem::replace(spans, first)
}

/// A page that is being made.
struct Pages<'a> {
    state: &'a JournalState,
    parts: Vec<OutputPart>,
    /// Offsets up to which the output was told.
    read: [u64; 2],
}

impl Pages<'_> {
    fn show(&mut self, spans: &[Span]) {
        for part in spans.chunk_by(Span::joins) {
            let length: u64 = part.iter().map(Span::length).sum();
            self.pass(part);
            self.parts.push(match part[0].held {
                None => OutputPart::Missed { bytes: length },
                Some(_) => {
                    let mut bytes = Vec::with_capacity(to_index(length));
                    part.iter().for_each(|span| self.state.copy(span, &mut bytes));
                    OutputPart::Output { stream: part[0].stream, bytes: bytes.into() }
                }
            });
        }
    }

    /// Leaves out what lies between head and tail, with the part of a character before it.
    fn leave_out(&mut self, spans: &[Span]) {
        self.pass(spans);
        let mut omitted = held(spans);
        if let Some(OutputPart::Output { bytes, .. }) = self.parts.last_mut() {
            let whole = complete_characters(bytes);
            omitted += (bytes.len() - whole) as u64;
            bytes.truncate(whole);
        }
        let missed = spans.iter().map(Span::length).sum::<u64>() - held(spans);
        let parts = [OutputPart::Omitted { bytes: omitted }, OutputPart::Missed { bytes: missed }];
        self.parts.extend(parts);
    }

    /// Shows what comes behind that, from its first whole character on.
    fn show_tail(&mut self, spans: &[Span]) {
        let first = self.parts.len();
        self.show(spans);
        let Some(OutputPart::Output { bytes, .. }) = self.parts.get_mut(first) else { return };
        let whole = whole_characters(bytes);
        let cut = (bytes.len() - whole.len()) as u64;
        *bytes = whole;
        for part in &mut self.parts[..first] {
            if let OutputPart::Omitted { bytes } = part {
                *bytes += cut;
            }
        }
    }

    fn pass(&mut self, spans: &[Span]) {
        for span in spans {
            self.read[span.stream.index()] = span.to;
        }
    }

    /// Leaves a character that has only begun to the next page, which has the rest of it.
    fn hold_back(&mut self) {
        for of in OutputStream::BOTH {
            let is_complete =
                self.state.closed && self.read[of.index()] == self.state.end.bytes[of.index()];
            let last = self.parts.iter_mut().rev().find_map(|part| match part {
                OutputPart::Output { stream, bytes } if *stream == of => Some(Some(bytes)),
                // What was begun before it has no rest.
                OutputPart::Missed { .. } | OutputPart::Omitted { .. } => Some(None),
                OutputPart::Output { .. } => None,
            });
            if let (false, Some(Some(bytes))) = (is_complete, last) {
                let whole = complete_characters(bytes);
                self.read[of.index()] -= (bytes.len() - whole) as u64;
                bytes.truncate(whole);
            }
        }
    }

    fn complete(self, query: &OutputQuery) -> OutputPage {
        let Self { state, mut parts, read } = self;
        parts.retain(|part| match part {
            OutputPart::Output { bytes, .. } => !bytes.is_empty(),
            OutputPart::Missed { bytes } | OutputPart::Omitted { bytes } => *bytes > 0,
        });
        let is_told = |of: OutputStream| {
            !is_wanted(query, of) || read[of.index()] == state.end.bytes[of.index()]
        };
        let ended = state.closed && OutputStream::BOTH.into_iter().all(is_told);
        let next = OutputCursor { stdout: read[0], stderr: read[1] };
        OutputPage { parts, next, ended }
    }
}
