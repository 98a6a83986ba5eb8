//! Journals of executions that have ended: what is in them, and the last record of those whose keeper
//! could not write it. These functions block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionResult};
use execution_engine_journal::{
    JournalEvent, JournalReader, JournalWriter, Recovered, StreamTotals, encode_event,
};
use execution_engine_store::{EndedExecution, OutputPlace};
use serde_json::Value;
use uuid::Uuid;

use super::errors::internal;
use crate::error::{ErrorCode, ServiceError};

/// Longest journal that goes into the database.
pub(crate) const INLINE_BYTES: u64 = 64 * 1024;

/// Journal of an execution that has ended.
#[derive(Debug)]
pub(crate) enum Closed {
    /// Its last record says how the execution ended.
    Whole(Box<EndedExecution>),
    /// The last record is not there (yet).
    Open(Recovered),
    /// There is no journal.
    Missing,
}

/// End of a journal that its keeper has not written.
#[derive(Debug, Clone)]
pub(crate) struct ToldEnd {
    /// How it ended.
    pub(crate) result: ExecutionResult,
    /// Output that is missing before.
    pub(crate) missed: Option<JournalEvent>,
}

/// Looks at the journal of an execution that should have ended, and puts a large one on the disk.
///
/// # Errors
/// The journal cannot be read, or be put on the disk.
pub(crate) fn closed(id: Uuid, path: &Path) -> Result<Closed, ServiceError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Closed::Missing),
        Err(error) => return Err(failed("read", path, &error)),
    };
    let journal = JournalReader::new(file, path.display().to_string());
    let recovered = journal.recover()?;
    let Some(result) = recovered.result() else { return Ok(Closed::Open(recovered)) };
    let output = if recovered.end <= INLINE_BYTES {
        // The length was compared.
        let mut bytes = vec![0; recovered.end as usize];
        journal
            .source()
            .read_exact_at(&mut bytes, 0)
            .map_err(|error| failed("read", path, &error))?;
        OutputPlace::Inline(bytes)
    } else {
        sync(journal.source(), path).map_err(|error| failed("sync", path, &error))?;
        OutputPlace::Journal { path: path.to_path_buf(), bytes: recovered.end }
    };
    ended(id, result, recovered.totals, output).map(|ended| Closed::Whole(Box::new(ended)))
}

/// Appends the last record to a journal whose keeper has died.
///
/// # Errors
/// The record cannot be written, for instance because the disk is full.
pub(crate) fn append_end(
    path: &Path,
    recovered: &Recovered,
    end: &ToldEnd,
) -> Result<(), ServiceError> {
    let attempt = recovered.last.as_ref().map_or(1, |last| last.attempt.max(1));
    let result = serde_json::to_value(&end.result).map_err(internal)?;
    let at = end.result.completed_at.timestamp_micros();
    let write = || {
        let mut writer = JournalWriter::resume(path, recovered.end)?;
        if let Some(missed) = &end.missed {
            writer.append_event(attempt, at, missed)?;
        }
        writer.append_event(attempt, at, &JournalEvent::Ended { result })
    };
    write().map(drop).map_err(|error| failed("write", path, &error))
}

/// Returns the ending of an execution without a journal: it never ran, or its journal is gone.
///
/// # Errors
/// The result has no JSON form.
pub(crate) fn without_journal(result: &ExecutionResult) -> Result<EndedExecution, ServiceError> {
    let value = serde_json::to_value(result).map_err(internal)?;
    let event = JournalEvent::Ended { result: value.clone() };
    let at = result.completed_at.timestamp_micros();
    let record = encode_event(0, result.attempts, at, &event).map_err(internal)?;
    ended(result.id, value, StreamTotals::default(), OutputPlace::Inline(record))
}

/// Returns the result of an execution that never ran.
pub(crate) fn never_ran(id: Uuid, ending: Ending, at: DateTime<Utc>) -> ExecutionResult {
    let mut result = ExecutionResult::lost(id, at, at, String::new());
    result.status = ending.status();
    result.exit_code = ending.exit_code();
    result.error = Some(ending.to_string());
    result.attempts = 0;
    result.containment.proven = true;
    result.ending = ending;
    result
}

fn ended(
    id: Uuid,
    mut result: Value,
    totals: StreamTotals,
    output: OutputPlace,
) -> Result<EndedExecution, ServiceError> {
    let read: ExecutionResult = serde_json::from_value(result.take()).map_err(|error| {
        internal(format!("the result of execution {id} cannot be read: {error}"))
    })?;
    let has_run = read.attempts > 0;
    Ok(EndedExecution {
        id,
        stdout_bytes: totals.stdout,
        stderr_bytes: totals.stderr,
        attempts: read.attempts,
        started_at: has_run.then_some(read.started_at),
        ended_at: read.completed_at,
        duration_ms: has_run.then(|| u64::try_from(read.duration.as_millis()).unwrap_or(u64::MAX)),
        result: serde_json::to_value(&read).map_err(internal)?,
        ending: read.ending,
        output,
    })
}

/// Puts a journal on the disk, with the directories that lead to it from the state directory:
/// `STATE/keepers/NAME/journals`.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    path.ancestors().skip(1).take(4).try_for_each(|dir| File::open(dir)?.sync_all())
}

/// Returns the error of a journal that cannot be read or written.
pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> ServiceError {
    let text = format!("cannot {what} the journal {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::ReadOnlyFilesystem => ServiceError::new(ErrorCode::StoreFull, text),
        _ => internal(text),
    }
}
