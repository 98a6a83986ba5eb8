//! Entries of a history as rows of the store.

use execution_engine::{Ending, HistoryEntry, HistoryOutput, OutputCursor};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::pieces::Kept;
use crate::accept::Prepared;
use crate::error::{Result, StoreError};
use crate::execution::{Accepted, EndedExecution, NewExecution, OutputPlace, StoredPlace};
use crate::key::Key;
use crate::progress::Placed;
use crate::read;
use crate::writer::WriteTx;

/// An entry that is to be accepted.
pub(super) struct Accept {
    id: Uuid,
    prepared: Prepared,
    summary: String,
}

impl Accept {
    pub(super) fn new(key: &Key, entry: &HistoryEntry) -> Result<Self> {
        let new = NewExecution::new(0, entry.request.clone(), entry.options.clone());
        let at = entry.accepted_at.timestamp_micros();
        let prepared = Prepared::new(key, new)?.accepted_elsewhere(at, entry.env_names.clone());
        Ok(Self { id: entry.id(), prepared, summary: serde_json::to_string(&entry.summary)? })
    }

    /// Writes the entry, unless there is one of this id that has not ended. One that has ended is replaced.
    pub(super) fn write(self, key: &Key, tx: &mut WriteTx<'_>) -> Result<()> {
        if let Some(former) = tx.find(self.id)? {
            if !former.is_ended() {
                return Ok(());
            }
            tx.remove(&former)?;
        }
        if let Accepted::Created(stored) = self.prepared.write(key, tx)? {
            let insert = "INSERT INTO history (seq, summary) VALUES (?1, ?2)";
            let seq = stored.seq.cast_signed();
            tx.connection.prepare_cached(insert)?.execute(params![seq, self.summary])?;
        }
        Ok(())
    }
}

/// An entry that has ended.
pub(super) struct End {
    /// For an entry that was not accepted before.
    accept: Accept,
    ended: EndedExecution,
    summary: String,
    cursors: String,
    kept: Kept,
}

impl End {
    pub(super) fn new(
        key: &Key,
        entry: &HistoryEntry,
        output: &HistoryOutput,
        kept: Kept,
    ) -> Result<Self> {
        let summary = &entry.summary;
        let unknown = || Ending::Lost { reason: super::LOST.to_string() };
        Ok(Self {
            accept: Accept::new(key, entry)?,
            ended: EndedExecution {
                id: entry.id(),
                ending: summary.ending.clone().unwrap_or_else(unknown),
                result: serde_json::to_value(&entry.result)?,
                stdout_bytes: output.end.stdout,
                stderr_bytes: output.end.stderr,
                attempts: summary.attempts,
                started_at: Some(summary.started_at),
                ended_at: summary.completed_at.unwrap_or(summary.started_at),
                duration_ms: u64::try_from(summary.duration.as_millis()).ok(),
                output: OutputPlace::None,
            },
            summary: serde_json::to_string(summary)?,
            cursors: serde_json::to_string(&(output.begin, output.end))?,
            kept,
        })
    }

    /// Returns the file of its output.
    pub(super) fn path(&self) -> Option<String> {
        match &self.kept {
            Kept::Archive { path, .. } => Some(path.clone()),
            Kept::Nothing | Kept::Inline(_) => None,
        }
    }

    /// Returns about how many bytes it adds to the database.
    pub(super) fn bytes(&self) -> usize {
        match &self.kept {
            Kept::Inline(journal) => journal.len() + 4096,
            Kept::Nothing | Kept::Archive { .. } => 4096,
        }
    }

    /// Writes the ending, in place of what there is of this id.
    pub(super) fn write(self, key: &Key, tx: &mut WriteTx<'_>) -> Result<()> {
        let id = self.ended.id;
        self.accept.write(key, tx)?;
        let row = tx.known(id)?;
        tx.end(&row, &self.ended, &self.kept.placed())?;
        if let Kept::Archive { path, .. } = &self.kept {
            let delete = "DELETE FROM unowned_files WHERE path = ?1";
            tx.connection.prepare_cached(delete)?.execute([path])?;
        }
        let update = "INSERT INTO history VALUES (?1, ?2, ?3) \
                      ON CONFLICT DO UPDATE SET summary = excluded.summary, cursors = excluded.cursors";
        let mut update = tx.connection.prepare_cached(update)?;
        update.execute(params![row.seq, self.summary, self.cursors])?;
        Ok(())
    }
}

impl Kept {
    fn placed(&self) -> Placed<'_> {
        let (place, path, file_bytes, inline) = match self {
            Self::Nothing => (StoredPlace::None, None, 0, None),
            Self::Inline(journal) => (StoredPlace::Database, None, 0, Some(&**journal)),
            Self::Archive { path, file_bytes, .. } => {
                (StoredPlace::Archive, Some(path.clone()), *file_bytes, None)
            }
        };
        let journal_bytes = match self {
            Self::Archive { journal_bytes, .. } => *journal_bytes,
            _ => inline.map_or(0, |journal| journal.len() as u64),
        };
        Placed { place, path, journal_bytes, file_bytes, inline }
    }
}

/// Returns an entry by its id.
pub(super) fn get(connection: &Connection, id: Uuid) -> Result<Option<HistoryEntry>> {
    match read::seq_of(connection, id)? {
        Some(seq) => entry(connection, seq),
        None => Ok(None),
    }
}

/// Returns entries by their sequences.
pub(super) fn entries(connection: &Connection, seqs: Vec<i64>) -> Result<Vec<HistoryEntry>> {
    seqs.into_iter().filter_map(|seq| entry(connection, seq).transpose()).collect()
}

/// Returns the entries that have not ended.
pub(super) fn unfinished(connection: &Connection) -> Result<Vec<HistoryEntry>> {
    let seqs = "SELECT seq FROM executions WHERE status IN (0, 1) ORDER BY seq";
    let mut query = connection.prepare_cached(seqs)?;
    let seqs = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    entries(connection, seqs)
}

/// Returns an entry; None if the execution is not one of an engine.
fn entry(connection: &Connection, seq: i64) -> Result<Option<HistoryEntry>> {
    let query = "SELECT h.summary, e.created_at, r.request, r.options, r.env_names, x.result \
                 FROM history h JOIN executions e USING (seq) JOIN requests r USING (seq) \
                 LEFT JOIN results x USING (seq) WHERE h.seq = ?1";
    let mut query = connection.prepare_cached(query)?;
    let texts = query.query_row([seq], |row| {
        let text = |at: usize| row.get::<_, Option<String>>(at);
        Ok(([text(0)?, text(2)?, text(3)?, text(4)?, text(5)?], row.get(1)?))
    });
    let Some((texts, accepted_at)) = texts.optional()? else { return Ok(None) };
    let parse = |text: &Option<String>| -> Result<Value> {
        Ok(text.as_deref().map_or(Ok(Value::Null), serde_json::from_str)?)
    };
    let [summary, request, options, env_names, result] = &texts;
    let entry = json!({
        "summary": parse(summary)?,
        "accepted_at": crate::time::of_us(accepted_at),
        "request": parse(request)?,
        "options": parse(options)?,
        "env_names": parse(env_names)?,
        "result": parse(result)?,
    });
    Ok(Some(serde_json::from_value(entry)?))
}

/// Returns where the output of an entry begins and ends; None if it has not ended.
pub(super) fn cursors(
    connection: &Connection,
    id: Uuid,
) -> Result<Option<(OutputCursor, OutputCursor)>> {
    let query = "SELECT cursors FROM history JOIN executions USING (seq) WHERE id = ?1";
    let mut query = connection.prepare_cached(query)?;
    let text: Option<Option<String>> =
        query.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    let cursors = text.flatten().map(|text| serde_json::from_str(&text));
    cursors.transpose().map_err(StoreError::from)
}
