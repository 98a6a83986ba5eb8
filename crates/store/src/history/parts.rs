//! Parts of an output, without reading what is before them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use execution_engine::{HistoryOutput, HistoryPart, OutputCursor, OutputPiece, OutputStream};
use execution_engine_journal::{JournalReader, StreamTotals};
use uuid::Uuid;

use super::pieces;
use crate::error::Result;
use crate::output::StoredOutput;

/// Bytes of a journal that are read at once, and between two marks: about a frame of an archive.
const READ_BYTES: usize = 256 << 10;
/// Outputs whose marks are remembered.
const MAX_OUTPUTS: usize = 8;

/// Where the outputs that were read last have been read before.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<VecDeque<(Uuid, Vec<Mark>)>>);

/// A place in a journal.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    position: u64,
    /// Bytes of each stream before it, those that are missing included.
    at: StreamTotals,
}

impl Marks {
    /// Reads what comes behind a cursor: so many bytes at least, or all of it.
    pub(super) fn read(
        &self,
        id: Uuid,
        stored: &StoredOutput,
        (begin, end): (OutputCursor, OutputCursor),
        after: OutputCursor,
        max_bytes: usize,
    ) -> Result<HistoryPart> {
        let journal = JournalReader::new(stored, stored.name());
        let mut marks = self.of(id);
        let known = marks.partition_point(|mark| mark.is_read(after));
        let Mark { mut position, mut at } = marks[known - 1];
        let (mut found, mut bytes) = (Vec::new(), 0);
        while position < stored.end() && bytes < max_bytes {
            let batch = journal.read(position, stored.end(), READ_BYTES)?;
            position = batch.next;
            for record in batch.records {
                let piece = pieces::of_record(&record, &mut at);
                let Some(piece) = piece.and_then(|piece| behind(piece, after)) else { continue };
                bytes += piece.bytes.len();
                found.push(piece);
            }
            if marks.last().is_none_or(|last| last.position < position) {
                marks.push(Mark { position, at });
            }
        }
        self.remember(id, marks);
        let is_last = position >= stored.end();
        let up_to =
            |at: u64, after: u64, end: u64| if is_last { end } else { at.max(after.min(end)) };
        let end = OutputCursor {
            stdout: up_to(at.stdout, after.stdout, end.stdout),
            stderr: up_to(at.stderr, after.stderr, end.stderr),
        };
        Ok(HistoryPart { output: HistoryOutput { pieces: found, begin, end }, is_last })
    }

    /// Forgets an output, which is removed or replaced.
    pub(super) fn forget(&self, id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != id);
    }

    /// Returns the marks of an output; the first is its beginning.
    fn of(&self, id: Uuid) -> Vec<Mark> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().find(|(other, _)| *other == id);
        known.map_or_else(|| vec![Mark::default()], |(_, marks)| marks.clone())
    }

    fn remember(&self, id: Uuid, marks: Vec<Mark>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _)| *other != id);
        all.push_back((id, marks));
        if all.len() > MAX_OUTPUTS {
            all.pop_front();
        }
    }
}

impl Mark {
    /// Returns `true` if nothing before it comes behind a cursor.
    fn is_read(&self, cursor: OutputCursor) -> bool {
        self.at.stdout <= cursor.stdout && self.at.stderr <= cursor.stderr
    }
}

/// Returns what of a piece comes behind a cursor.
fn behind(piece: OutputPiece, cursor: OutputCursor) -> Option<OutputPiece> {
    let OutputPiece { stream, offset, bytes } = piece;
    let read = match stream {
        OutputStream::Stdout => cursor.stdout,
        OutputStream::Stderr => cursor.stderr,
    };
    if offset + bytes.len() as u64 <= read {
        return None;
    }
    let skipped = read.saturating_sub(offset);
    // Less than the length of the piece.
    let bytes = bytes.slice(skipped as usize..);
    Some(OutputPiece { stream, offset: offset + skipped, bytes })
}
