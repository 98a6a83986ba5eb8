//! Reads of single executions.

use std::path::PathBuf;

use execution_engine::{ExecutionOptions, ExecutionRequest};
use rusqlite::{Connection, OptionalExtension as _, Row};
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::execution::{ScheduleRun, StoredExecution, StoredPlace};
use crate::secrets;
use crate::status;
use crate::store::Store;
use crate::time::of_us;

impl Store {
    /// Returns an execution; None if it was never accepted or was removed.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time, as all that only read.
    pub async fn get(&self, id: Uuid) -> Result<Option<StoredExecution>> {
        self.read(move |connection| {
            let seq = seq_of(connection, id)?;
            seq.map(|seq| load(connection, seq)).transpose().map(Option::flatten)
        })
        .await
    }

    /// Returns `true` if an execution has this id, or was accepted under this idempotency key of this owner.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn is_known(&self, owner: u32, key: Option<String>, id: Uuid) -> Result<bool> {
        self.read(move |connection| {
            let by_key = "SELECT 1 FROM idempotency WHERE owner = ?1 AND idempotency_key = ?2";
            let mut by_key = connection.prepare_cached(by_key)?;
            Ok(by_key.exists(rusqlite::params![owner, key])? || seq_of(connection, id)?.is_some())
        })
        .await
    }

    /// Returns an execution with the values of its environment and its input, to start it. After
    /// [`erase_env`](Self::erase_env) or its ending they are missing.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound); [`OtherKey`](StoreError::OtherKey) if they were sealed with another key
    /// than that of the key file: it must not be started without them.
    pub async fn whole(&self, id: Uuid) -> Result<(ExecutionRequest, ExecutionOptions)> {
        let read = move |connection: &Connection| {
            let seq = seq_of(connection, id)?.ok_or(StoreError::NotFound { id })?;
            let stored = load(connection, seq)?.ok_or(StoreError::NotFound { id })?;
            let mut query =
                connection.prepare_cached("SELECT key_id, value FROM sealed WHERE seq = ?1")?;
            let sealed = query.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok((stored, sealed))
        };
        let (stored, sealed): (_, Option<(Vec<u8>, Vec<u8>)>) = self.read(read).await?;
        let (mut request, mut options) = (stored.request, stored.options);
        if let Some((key_id, value)) = sealed {
            let secret = self.key().unseal(id, &key_id, &value)?;
            let has_stdin = stored.stdin_bytes.is_some();
            secrets::join(&mut request, &mut options, has_stdin, &secret)
                .ok_or_else(|| self.key().other_key(id, "the environment of execution"))?;
        }
        Ok((request, options))
    }

    /// Returns the ids that begin with these hexadecimal digits, two at most. Hyphens may be left out.
    ///
    /// # Errors
    ///
    /// [`Query`](StoreError::Query) if that can be no beginning of an id.
    pub async fn find_prefix(&self, prefix: &str) -> Result<Vec<Uuid>> {
        let (first, last) = range_of(prefix)?;
        self.read(move |connection| {
            let ids = "SELECT id FROM executions WHERE id BETWEEN ?1 AND ?2 LIMIT 2";
            let mut query = connection.prepare_cached(ids)?;
            let ids = query.query_map([first, last], |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Returns the execution that was accepted last.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn newest(&self) -> Result<Option<Uuid>> {
        self.read(|connection| {
            let newest = "SELECT id FROM executions ORDER BY seq DESC LIMIT 1";
            let mut query = connection.prepare_cached(newest)?;
            Ok(query.query_row([], |row| Ok(Uuid::from_bytes(row.get(0)?))).optional()?)
        })
        .await
    }

    /// Returns the executions that wait or run, in the order they were accepted.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn unfinished(&self) -> Result<Vec<StoredExecution>> {
        self.read(|connection| {
            let seqs = "SELECT seq FROM executions WHERE status IN (0, 1) ORDER BY seq";
            let mut query = connection.prepare_cached(seqs)?;
            let seqs =
                query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
            load_all(connection, seqs)
        })
        .await
    }

    /// Returns the executions whose output is in a journal, with its path, for [`archive`](Self::archive).
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn unarchived(&self) -> Result<Vec<(Uuid, PathBuf)>> {
        let dir = self.files().dir().to_path_buf();
        self.read(move |connection| {
            let query = "SELECT id, place_path FROM executions WHERE place = 2 ORDER BY seq";
            let mut query = connection.prepare_cached(query)?;
            let all = query.query_map([], |row| {
                Ok((Uuid::from_bytes(row.get(0)?), dir.join(row.get::<_, String>(1)?)))
            })?;
            Ok(all.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

/// Returns the sequence of an execution.
pub(crate) fn seq_of(connection: &Connection, id: Uuid) -> Result<Option<i64>> {
    let mut query = connection.prepare_cached("SELECT seq FROM executions WHERE id = ?1")?;
    Ok(query.query_row([id.as_bytes()], |row| row.get(0)).optional()?)
}

/// Loads executions that were found in the same transaction.
pub(crate) fn load_all(connection: &Connection, seqs: Vec<i64>) -> Result<Vec<StoredExecution>> {
    let all = seqs.into_iter().filter_map(|seq| load(connection, seq).transpose());
    all.collect()
}

const LOAD: &str = "SELECT e.id, e.owner, e.status, e.pinned, e.priority, e.created_at, e.started_at, e.ended_at, \
    e.duration_ms, e.exit_code, e.attempts, e.stdout_bytes, e.stderr_bytes, e.place, e.keeper, e.command, \
    r.request, r.options, r.env_names, r.stdin_bytes, r.after, x.ending, x.result, e.paused, r.inherited_names, r.start_at, \
    e.plan, e.step, r.after_ended, r.schedule, r.schedule_moment \
    FROM executions e JOIN requests r USING (seq) LEFT JOIN results x USING (seq) WHERE e.seq = ?1";

/// Loads an execution.
pub(crate) fn load(connection: &Connection, seq: i64) -> Result<Option<StoredExecution>> {
    let mut query = connection.prepare_cached(LOAD)?;
    let mut rows = query.query([seq])?;
    rows.next()?.map(|row| of_row(seq, row)).transpose()
}

fn of_row(seq: i64, row: &Row<'_>) -> Result<StoredExecution> {
    let count = |at: usize| -> Result<u64> { Ok(row.get::<_, i64>(at)?.unsigned_abs()) };
    let time = |at: usize| -> Result<_> { Ok(row.get::<_, Option<i64>>(at)?.map(of_us)) };
    let text = |at| text(row, at);
    let some_text = |at| some_text(row, at);
    let request: ExecutionRequest = serde_json::from_str(text(16)?)?;
    let options: ExecutionOptions = serde_json::from_str(text(17)?)?;
    Ok(StoredExecution {
        id: Uuid::from_bytes(row.get(0)?),
        seq: seq.unsigned_abs(),
        owner: row.get(1)?,
        status: status::of_number(row.get(2)?),
        pinned: row.get(3)?,
        paused: row.get(23)?,
        priority: row.get(4)?,
        created_at: of_us(row.get(5)?),
        started_at: time(6)?,
        ended_at: time(7)?,
        duration_ms: row.get::<_, Option<i64>>(8)?.map(i64::unsigned_abs),
        exit_code: row.get(9)?,
        attempts: row.get(10)?,
        stdout_bytes: count(11)?,
        stderr_bytes: count(12)?,
        output: StoredPlace::of_number(row.get(13)?),
        keeper: row.get(14)?,
        command: row.get(15)?,
        tags: request.metadata.tags.clone(),
        labels: request.metadata.labels.clone().into_iter().collect(),
        group: options.group.clone(),
        request,
        options,
        env_names: serde_json::from_str(text(18)?)?,
        inherited_names: some_text(24)?.map(serde_json::from_str).transpose()?,
        stdin_bytes: row.get::<_, Option<i64>>(19)?.map(i64::unsigned_abs),
        after: serde_json::from_str(text(20)?)?,
        after_ended: serde_json::from_str(text(28)?)?,
        schedule: schedule_of(row)?,
        start_at: time(25)?,
        plan: row.get::<_, Option<_>>(26)?.map(Uuid::from_bytes),
        step: row.get::<_, Option<i64>>(27)?.and_then(|step| usize::try_from(step).ok()),
        ending: some_text(21)?.map(serde_json::from_str).transpose()?,
        result: some_text(22)?.map(serde_json::from_str).transpose()?,
    })
}

fn text<'a>(row: &'a Row<'_>, at: usize) -> Result<&'a str> {
    let value = row.get_ref(at)?.as_str();
    value.map_err(|error| StoreError::Database { reason: error.to_string() })
}

fn some_text<'a>(row: &'a Row<'_>, at: usize) -> Result<Option<&'a str>> {
    let value = row.get_ref(at)?.as_str_or_null();
    value.map_err(|error| StoreError::Database { reason: error.to_string() })
}

/// Returns the schedule that it is a run of.
fn schedule_of(row: &Row<'_>) -> Result<Option<ScheduleRun>> {
    let moment: Option<i64> = row.get(30)?;
    let run = |id| ScheduleRun { id: Uuid::from_bytes(id), moment: moment.map(of_us) };
    Ok(row.get::<_, Option<[u8; 16]>>(29)?.map(run))
}

/// Returns the first and the last id with a prefix.
pub(crate) fn range_of(prefix: &str) -> Result<([u8; 16], [u8; 16])> {
    let bad = || StoreError::Query {
        field: "id",
        what: format!("{prefix:?} is no beginning of an id, which has 32 hexadecimal digits"),
    };
    let digits = prefix.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
    let digits: Vec<u8> = digits
        .map(|digit| digit.map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    if digits.is_empty() || digits.len() > 32 {
        return Err(bad());
    }
    let fill = |rest: u8| {
        let digit = |at: usize| digits.get(at).copied().unwrap_or(rest);
        std::array::from_fn(|byte| digit(2 * byte) << 4 | digit(2 * byte + 1))
    };
    Ok((fill(0), fill(15)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_a_range_of_ids() {
        let (first, last) = range_of("A1b").unwrap();
        assert_eq!((first[0], first[1], first[2]), (0xa1, 0xb0, 0));
        assert_eq!((last[0], last[1], last[15]), (0xa1, 0xbf, 0xff));
        let id = Uuid::new_v4();
        let whole = (*id.as_bytes(), *id.as_bytes());
        assert_eq!(range_of(&id.to_string()).unwrap(), whole);
        assert_eq!(range_of(&id.simple().to_string()).unwrap(), whole);
        for bad in ["", "-", "xyz", &"0".repeat(33)] {
            assert_eq!(range_of(bad).unwrap_err().code(), "invalid_query", "{bad}");
        }
    }
}
