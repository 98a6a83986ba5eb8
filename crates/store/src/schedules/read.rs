//! Reads of schedules.

use chrono::{DateTime, Utc};
use execution_engine::{ExecutionOptions, ExecutionRequest};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Counted, StoredSchedule};
use crate::error::{Result, StoreError};
use crate::read::range_of;
use crate::secrets;
use crate::store::Store;
use crate::time::of_us;

const COLUMNS: &str = "SELECT id, owner, name, created_at, every, time_zone, missed, overlap, paused, next_at, request, \
    options, env_names, inherited_names, stdin_bytes, pinned, runs, last_run, last_run_at, overlaps, overlapped_at, \
    misses, missed_at, error, error_at FROM schedules ";

impl Store {
    /// Returns a schedule; None if there is none.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn schedule(&self, id: Uuid) -> Result<Option<StoredSchedule>> {
        self.read(move |connection| one(connection, id)).await
    }

    /// Returns all schedules, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn schedules(&self) -> Result<Vec<StoredSchedule>> {
        self.read(|connection| all(connection, "ORDER BY created_at, id", [])).await
    }

    /// Returns the ids of the schedules with a name, or else of those whose ids begin with these hexadecimal digits, two
    /// at most.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn find_schedules(&self, name: &str) -> Result<Vec<Uuid>> {
        let (name, range) = (name.to_string(), range_of(name).ok());
        self.read(move |connection| {
            let id = |row: &Row<'_>| Ok(Uuid::from_bytes(row.get(0)?));
            let mut named =
                connection.prepare_cached("SELECT id FROM schedules WHERE name = ?1")?;
            if let Some(found) = named.query_row([name], id).optional()? {
                return Ok(vec![found]);
            }
            let Some((first, last)) = range else { return Ok(Vec::new()) };
            let ids = "SELECT id FROM schedules WHERE id BETWEEN ?1 AND ?2 LIMIT 2";
            let mut query = connection.prepare_cached(ids)?;
            let found = query.query_map([first, last], id)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Returns the schedules whose next moment has come, the earliest first, and the earliest moment of the others.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn due_schedules(
        &self,
        now: DateTime<Utc>,
    ) -> Result<(Vec<StoredSchedule>, Option<DateTime<Utc>>)> {
        let now = now.timestamp_micros();
        self.read(move |connection| {
            let due =
                all(connection, "WHERE paused = 0 AND next_at <= ?1 ORDER BY next_at", [now])?;
            let next = "SELECT min(next_at) FROM schedules WHERE paused = 0 AND next_at > ?1";
            let mut next = connection.prepare_cached(next)?;
            let next: Option<i64> = next.query_row([now], |row| row.get(0))?;
            Ok((due, next.map(of_us)))
        })
        .await
    }

    /// Returns what a schedule runs, with the values of its environment and its input.
    ///
    /// # Errors
    ///
    /// [`UnknownSchedule`](StoreError::UnknownSchedule); [`OtherKey`](StoreError::OtherKey) if they were sealed with
    /// another key than that of the key file: it must not be run without them.
    pub async fn whole_schedule(&self, id: Uuid) -> Result<(ExecutionRequest, ExecutionOptions)> {
        let read = move |connection: &Connection| {
            let stored = one(connection, id)?.ok_or(StoreError::UnknownSchedule { id })?;
            let sealed = "SELECT key_id, sealed FROM schedules WHERE id = ?1";
            let mut sealed = connection.prepare_cached(sealed)?;
            let sealed: (Vec<u8>, Option<Vec<u8>>) =
                sealed.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok((stored, sealed))
        };
        let (stored, (key_id, sealed)) = self.read(read).await?;
        let (mut request, mut options) = (stored.request, stored.options);
        if let Some(sealed) = sealed {
            let other = || self.key().other_key(id, "the environment of schedule");
            let secret = self.key().unseal(id, &key_id, &sealed).map_err(|_| other())?;
            let has_stdin = stored.stdin_bytes.is_some();
            secrets::join(&mut request, &mut options, has_stdin, &secret).ok_or_else(other)?;
        }
        Ok((request, options))
    }
}

/// Loads a schedule.
pub(super) fn one(connection: &Connection, id: Uuid) -> Result<Option<StoredSchedule>> {
    Ok(all(connection, "WHERE id = ?1", params![id.as_bytes()])?.pop())
}

fn all(connection: &Connection, which: &str, values: impl Params) -> Result<Vec<StoredSchedule>> {
    let mut query = connection.prepare_cached(&format!("{COLUMNS}{which}"))?;
    let mut rows = query.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(of_row(row)?);
    }
    Ok(found)
}

fn of_row(row: &Row<'_>) -> Result<StoredSchedule> {
    let count = |at: usize| -> Result<u64> { Ok(row.get::<_, i64>(at)?.unsigned_abs()) };
    let time = |at: usize| -> Result<_> { Ok(row.get::<_, Option<i64>>(at)?.map(of_us)) };
    Ok(StoredSchedule {
        id: Uuid::from_bytes(row.get(0)?),
        owner: row.get(1)?,
        name: row.get(2)?,
        created_at: of_us(row.get(3)?),
        every: row.get(4)?,
        time_zone: row.get(5)?,
        missed: json(row, 6)?,
        overlap: json(row, 7)?,
        paused: row.get(8)?,
        next_at: time(9)?,
        request: json(row, 10)?,
        options: json(row, 11)?,
        env_names: json(row, 12)?,
        inherited_names: json(row, 13)?,
        stdin_bytes: row.get::<_, Option<i64>>(14)?.map(i64::unsigned_abs),
        pinned: row.get(15)?,
        runs: count(16)?,
        last_run: row.get::<_, Option<[u8; 16]>>(17)?.map(Uuid::from_bytes),
        last_run_at: time(18)?,
        overlaps: Counted { count: count(19)?, last_at: time(20)? },
        misses: Counted { count: count(21)?, last_at: time(22)? },
        error: row.get(23)?,
        error_at: time(24)?,
    })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> Result<T> {
    let text: String = row.get(at)?;
    Ok(serde_json::from_str(&text)?)
}
