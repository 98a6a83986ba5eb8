//! The reading side of a journal: finds where a reader starts, and what comes next for it.

use chrono::{DateTime, Utc};

use super::cursor::{JournalCursor, JournalItem, Output, View};
use super::entry::{EntryKind, EventPayload};
use super::state::{JournalState, LONGEST_PORTION};
use crate::output::capture::to_index;
use crate::output::lines::UnfinishedLine;
use crate::types::OutputStream;

/// What a reader passes next.
#[derive(Debug)]
pub(super) enum Lookup {
    Output(Output),
    /// The first bytes of an unfinished line are published as they are.
    Partial {
        stream: OutputStream,
        length: usize,
        end: u64,
        at: DateTime<Utc>,
    },
    Missed(JournalItem),
    Event {
        end: u64,
        at: DateTime<Utc>,
        payload: EventPayload,
    },
}

impl JournalState {
    /// Moves a reader behind what comes next for it, up to this end, and returns that.
    pub(super) fn find(&mut self, cursor: &mut JournalCursor, end: u64) -> Option<Lookup> {
        let found = self.pass(cursor, end.min(self.end.sequence()));
        if let Some(pin) = cursor.pin {
            self.pins[pin] = cursor.position.sequence();
        }
        found
    }

    fn pass(&self, cursor: &mut JournalCursor, end: u64) -> Option<Lookup> {
        while cursor.position.sequence() < end {
            let index = self.index_of(cursor.position.sequence());
            let (entry, next) = (&self.entries[index], self.position(index + 1));
            let (at, begin) = (entry.timestamp(), cursor.position);
            match &entry.kind {
                EntryKind::Event(payload) => {
                    cursor.position = next;
                    let payload = payload.clone();
                    return Some(Lookup::Event { end: next.sequence(), at, payload });
                }
                _ if cursor.view == View::Events => cursor.position = next,
                EntryKind::Gap => {
                    let bytes = cursor.pass_gap(next, self.unfinished(index + 1));
                    if bytes > 0 {
                        let sequence = next.sequence();
                        return Some(Lookup::Missed(JournalItem::Missed { sequence, at, bytes }));
                    }
                }
                EntryKind::Partial(stream) => {
                    cursor.position = next;
                    if cursor.view == View::Lines {
                        let [before, after] = [entry.unfinished, self.unfinished(index + 1)];
                        let length =
                            before[stream.index()].length() - after[stream.index()].length();
                        let (stream, end) = (*stream, next.sequence());
                        return Some(Lookup::Partial { stream, length, end, at });
                    }
                }
                EntryKind::Kept(stream) | EntryKind::Evictable(stream, _) => {
                    let to =
                        end.min(next.sequence()).min(begin.sequence() + LONGEST_PORTION as u64);
                    cursor.position.bytes[stream.index()] += to - begin.sequence();
                    let [from, to] = [begin.sequence(), to].map(|at| at - entry.start.sequence());
                    return Some(Lookup::Output(self.output(index, from, to)));
                }
            }
        }
        None
    }

    /// Puts a new reader behind a sequence number, in the middle of lines like one that has read
    /// everything before.
    pub(super) fn place(&self, cursor: &mut JournalCursor, after: u64) {
        let sequence = after.min(self.end.sequence());
        let index = self.index_of(sequence);
        let (start, next) = (self.position(index), self.position(index + 1));
        let passed = sequence - start.sequence();
        let is_inside_gap = passed > 0 && self.entries[index].is_gap();
        cursor.after = sequence;
        cursor.position = if is_inside_gap { start.inside_gap(next, sequence) } else { start };
        if is_inside_gap && cursor.view == View::Lines {
            self.place_inside_gap(cursor, index, passed);
        } else if cursor.view == View::Lines {
            // The entry is read from its start, because lines may end or become too long in it.
            for stream in OutputStream::BOTH {
                self.start_in_line(cursor, stream, index);
            }
        } else if passed > 0
            && let Some(stream) = self.entries[index].stream()
        {
            cursor.position.bytes[stream.index()] += passed;
        }
    }

    /// Lets a reader of lines start in the line that is unfinished where an entry starts.
    fn start_in_line(&self, cursor: &mut JournalCursor, stream: OutputStream, index: usize) {
        let line = self.unfinished(index)[stream.index()];
        let held = self.unfinished_line(stream, index);
        cursor.start_in_line(stream, line, held.as_deref());
    }

    /// Puts a new reader of lines inside a gap, behind the first part of it.
    ///
    /// What was unfinished there is missed, too, and its length is not known. It is taken to be the
    /// longest that it may have been, so that the loss is never reported too small.
    fn place_inside_gap(&self, cursor: &mut JournalCursor, index: usize, passed: u64) {
        let (start, end) = (self.position(index), self.position(index + 1));
        let [before, after] = [index, index + 1].map(|index| self.unfinished(index));
        for stream in OutputStream::BOTH {
            let of = stream.index();
            if start.bytes[of] == end.bytes[of] {
                self.start_in_line(cursor, stream, index);
                continue;
            }
            let written = to_index(passed.min(end.bytes[of] - start.bytes[of]));
            // A carriage return at its end is held back.
            let longest = self.streams[of].lines.longest() + 1;
            let most = longest.min(before[of].length() + written);
            // At least what is unfinished at the end of the gap and was begun before this place.
            let behind = to_index(end.bytes[of] - cursor.position.bytes[of]);
            let least = after[of].length().saturating_sub(behind);
            cursor.start_in_line(stream, UnfinishedLine::unknown(most.max(least)), None);
        }
    }

    /// Returns the index of the entry that holds what comes after a sequence number.
    fn index_of(&self, sequence: u64) -> usize {
        if sequence == self.end.sequence() {
            return self.entries.len();
        }
        self.entries.partition_point(|entry| entry.start.sequence() <= sequence) - 1
    }

    /// Returns a part of an entry of output.
    pub(super) fn output(&self, index: usize, from: u64, to: u64) -> Output {
        let entry = &self.entries[index];
        let (stream, bytes) = match &entry.kind {
            EntryKind::Kept(stream) => {
                let capture = &self.streams[stream.index()].capture;
                let start = entry.start.bytes[stream.index()] - capture.base;
                (*stream, capture.buffer.part(to_index(start + from), to_index(start + to)))
            }
            EntryKind::Evictable(stream, buffer) => {
                (*stream, buffer.part(to_index(from), to_index(to)))
            }
            kind => unreachable!("{kind:?} is no output"),
        };
        Output { stream, bytes, from: entry.start.sequence() + from, at: entry.timestamp() }
    }

    /// Returns the line of a stream that is unfinished where an entry starts; None if its beginning
    /// is no longer held.
    fn unfinished_line(&self, stream: OutputStream, index: usize) -> Option<Vec<u8>> {
        let offset = |index: usize| self.position(index).bytes[stream.index()];
        let length = self.unfinished(index)[stream.index()].length() as u64;
        let start = offset(index) - length;
        let after =
            self.entries.partition_point(|entry| entry.start.bytes[stream.index()] <= start);
        let mut line = Vec::new();
        for part in after.saturating_sub(1)..index {
            if self.entries[part].stream() == Some(stream) {
                let [from, to] = [start.max(offset(part)), offset(part + 1)];
                let part = self.output(part, from - offset(part), to - offset(part));
                line.extend_from_slice(&part.bytes);
            }
        }
        (line.len() as u64 == length).then_some(line)
    }
}
