//! Where the lines of an output begin.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use execution_engine::OutputCursor;

use super::place::{Pages, Place, WalkEnd, walk};
use crate::error::Error;

/// Distance of two remembered places, in lines and in bytes: what is read to find a line.
const LINES_APART: u64 = 1024;
const BYTES_APART: u64 = 64 * 1024;
/// Number of ends that are remembered for pages that continue from them.
const MAX_ENDS: usize = 8;

/// Remembers places in the output of one execution, some tens of KB per hundred MB.
#[derive(Debug)]
pub(crate) struct LineIndex {
    /// In order; the first is the beginning.
    marks: Vec<Place>,
    /// Up to here the output was looked at.
    end: Place,
    /// Where pages ended that were told.
    ends: VecDeque<Place>,
}

impl Default for LineIndex {
    fn default() -> Self {
        Self { marks: vec![Place::default()], end: Place::default(), ends: VecDeque::new() }
    }
}

impl LineIndex {
    /// Looks at what has been written since the last time.
    pub(super) fn extend(&mut self, pages: &impl Pages) -> Result<(), Error> {
        if self.try_extend(pages)? == WalkEnd::OtherOutput {
            *self = Self::default();
            self.try_extend(pages)?;
        }
        Ok(())
    }

    fn try_extend(&mut self, pages: &impl Pages) -> Result<WalkEnd, Error> {
        let Self { marks, end, .. } = self;
        walk(pages, end, |place, _, _| {
            let is_due = marks.last().is_none_or(|last| {
                place.line - last.line >= LINES_APART || place.bytes() - last.bytes() >= BYTES_APART
            });
            if is_due {
                marks.push(place.clone());
            }
            ControlFlow::Continue(())
        })
    }

    /// Returns the number of lines so far, an unfinished one included.
    pub(super) fn lines(&self) -> u64 {
        self.end.lines()
    }

    /// Returns a remembered place at or before the beginning of a line.
    pub(super) fn before_line(&self, line: u64) -> Place {
        let is_before = |mark: &Place| mark.line < line || (mark.line == line && mark.column == 0);
        self.last_where(is_before)
    }

    /// Returns a remembered place from which the last lines can be read, or the last bytes if they
    /// are fewer.
    pub(super) fn before_last(&self, lines: u64, bytes: u64) -> Place {
        let from_line = self.lines().saturating_sub(lines);
        let from_byte = self.end.bytes().saturating_sub(bytes);
        let is_before = |mark: &Place| {
            mark.bytes() <= from_byte
                || mark.line < from_line
                || (mark.line, mark.column) == (from_line, 0)
        };
        self.last_where(is_before)
    }

    fn last_where(&self, is_before: impl Fn(&Place) -> bool) -> Place {
        let after = self.marks.partition_point(is_before);
        self.marks[after.saturating_sub(1)].clone()
    }

    /// Returns the place of a page that was told and ended at this cursor.
    pub(super) fn end_at(&self, cursor: OutputCursor) -> Option<Place> {
        self.ends.iter().find(|end| end.cursor == cursor).cloned()
    }

    /// Remembers where a page ended.
    pub(super) fn remember_end(&mut self, end: &Place) {
        self.ends.retain(|known| known.cursor != end.cursor);
        self.ends.push_back(end.clone());
        if self.ends.len() > MAX_ENDS {
            self.ends.pop_front();
        }
    }

    /// Corrects the line of a place behind a gap by what was known before its lines were dropped.
    pub(super) fn correct(&self, place: &mut Place) {
        let is_end = place.is_behind(&self.end);
        let mark = self.last_where(|mark| place.is_behind(mark));
        place.line = place.line.max(if is_end { self.end.line } else { mark.line });
    }
}
