//! Writes of schedules. A run is accepted in the transaction that moves its schedule on.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use super::read::one;
use super::{AcceptedSchedule, DueRuns, NewSchedule, OverlapPolicy, StoredSchedule};
use crate::accept::{Known, KnownBy, Prepared};
use crate::error::{Result, StoreError};
use crate::execution::{Accepted, StoredExecution, facets};
use crate::key::Key;
use crate::rows::{PENDING, RUNNING};
use crate::secrets;
use crate::store::Store;
use crate::writer::WriteTx;

impl Store {
    /// Makes a schedule. When this returns, it is on the disk, with values of the environment and input sealed.
    ///
    /// # Errors
    ///
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly): it was not made.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be made all the same. The same call again finds out.
    pub async fn create_schedule(&self, new: NewSchedule) -> Result<AcceptedSchedule> {
        let bytes = new.body.len() + 4096;
        let store = self.clone();
        self.write("schedule_create", bytes, move |tx| create(store.key(), new, tx)).await
    }

    /// Accepts the runs of a schedule whose moments have come, and moves it on to its next moment, in one transaction.
    /// Returns the runs that were accepted. Those that would overlap an earlier one are left out and counted, or wait
    /// for it, as the schedule says. If it has another moment by now, is paused or was removed, nothing is done.
    ///
    /// # Errors
    ///
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly): nothing was done.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be done all the same, as a whole.
    pub async fn run_schedule(&self, due: DueRuns) -> Result<Vec<StoredExecution>> {
        let bytes = due.runs.len() * 8192 + 512;
        let DueRuns { schedule, expected, next_at, missed, runs, most_unended } = due;
        let prepared = runs.into_iter().map(|run| Prepared::new(self.key(), run));
        let runs = prepared.collect::<Result<Vec<_>>>()?;
        let store = self.clone();
        self.write("schedule_run", bytes, move |tx| {
            let known = one(tx.connection, schedule)?;
            let expects = |known: &StoredSchedule| !known.paused && known.next_at == Some(expected);
            let Some(known) = known.filter(expects) else { return Ok(Vec::new()) };
            tx.move_on(schedule, next_at, missed)?;
            let mut accepted = Vec::new();
            for run in runs {
                let run = tx.without_overlap(run, known.overlap, schedule, most_unended)?;
                let Some(run) = run else { continue };
                if let Accepted::Created(stored) = run.write(store.key(), tx)? {
                    accepted.push(*stored);
                }
            }
            Ok(accepted)
        })
        .await
    }

    /// Notes why runs of a schedule cannot be accepted.
    ///
    /// # Errors
    ///
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly): it is not noted.
    pub async fn note_schedule_error(
        &self,
        id: Uuid,
        error: String,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.write("schedule_error", 512, move |tx| {
            let update = "UPDATE schedules SET error = ?2, error_at = ?3 WHERE id = ?1";
            let mut update = tx.connection.prepare_cached(update)?;
            update.execute(params![id.as_bytes(), error, at.timestamp_micros()])?;
            Ok(())
        })
        .await
    }

    /// Pauses a schedule, or lets it go on with this moment. One that is as it should be stays as it is.
    ///
    /// # Errors
    ///
    /// [`UnknownSchedule`](StoreError::UnknownSchedule); [`Full`](StoreError::Full) and
    /// [`ReadOnly`](StoreError::ReadOnly).
    pub async fn pause_schedule(
        &self,
        id: Uuid,
        paused: bool,
        next_at: Option<DateTime<Utc>>,
    ) -> Result<()> {
        self.write("schedule_pause", 128, move |tx| {
            one(tx.connection, id)?.ok_or(StoreError::UnknownSchedule { id })?;
            let update =
                "UPDATE schedules SET paused = ?2, next_at = ?3 WHERE id = ?1 AND paused <> ?2";
            let next_at = next_at.map(|at| at.timestamp_micros());
            tx.connection.prepare_cached(update)?.execute(params![
                id.as_bytes(),
                paused,
                next_at
            ])?;
            Ok(())
        })
        .await
    }

    /// Removes a schedule, with the values of its variables. Its runs stay.
    ///
    /// # Errors
    ///
    /// [`UnknownSchedule`](StoreError::UnknownSchedule); [`Full`](StoreError::Full) and
    /// [`ReadOnly`](StoreError::ReadOnly).
    pub async fn remove_schedule(&self, id: Uuid) -> Result<()> {
        self.write("schedule_remove", 128, move |tx| {
            let mut delete = tx.connection.prepare_cached("DELETE FROM schedules WHERE id = ?1")?;
            match delete.execute([id.as_bytes()])? {
                0 => Err(StoreError::UnknownSchedule { id }),
                _ => {
                    tx.has_erased = true;
                    Ok(())
                }
            }
        })
        .await
    }
}

fn create(key: &Key, new: NewSchedule, tx: &WriteTx<'_>) -> Result<AcceptedSchedule> {
    let id = new.request.id;
    let body_mac = key.body_mac(&new.body);
    if let Some(known) = known(&new, tx)? {
        if known.key_id != key.id() {
            return Err(key.other_key(known.id, "the body of schedule"));
        }
        return Ok(match known.by {
            _ if known.body_mac == body_mac => AcceptedSchedule::Existing(known.id),
            KnownBy::Key => AcceptedSchedule::KeyReused(known.id),
            KnownBy::Id => AcceptedSchedule::IdReused(known.id),
        });
    }
    let by_name = "SELECT id FROM schedules WHERE name = ?1";
    let mut by_name = tx.connection.prepare_cached(by_name)?;
    let taken = by_name.query_row([&new.name], |row| row.get(0)).optional()?;
    if let Some(other) = taken {
        return Ok(AcceptedSchedule::NameTaken(Uuid::from_bytes(other)));
    }
    let count: i64 =
        tx.connection.query_row("SELECT count(*) FROM schedules", [], |row| row.get(0))?;
    if count.unsigned_abs() >= new.most {
        return Ok(AcceptedSchedule::TooMany);
    }
    insert(key, new, body_mac, tx)?;
    let stored = one(tx.connection, id)?.ok_or(StoreError::UnknownSchedule { id })?;
    Ok(AcceptedSchedule::Created(Box::new(stored)))
}

/// Returns the schedule that has the same key or id, with what its body is compared by.
fn known(new: &NewSchedule, tx: &WriteTx<'_>) -> Result<Option<Known>> {
    let columns = "SELECT id, key_id, body_mac FROM schedules";
    let by_key = format!("{columns} WHERE owner = ?1 AND idempotency_key = ?2");
    let mut by_key = tx.connection.prepare_cached(&by_key)?;
    let found = by_key.query_row(params![new.owner, new.key], Known::by(KnownBy::Key));
    if let Some(found) = found.optional()? {
        return Ok(Some(found));
    }
    let mut by_id = tx.connection.prepare_cached(&format!("{columns} WHERE id = ?1"))?;
    Ok(by_id.query_row([new.request.id.as_bytes()], Known::by(KnownBy::Id)).optional()?)
}

fn insert(key: &Key, new: NewSchedule, body_mac: [u8; 32], tx: &WriteTx<'_>) -> Result<()> {
    let split = secrets::split(new.request, new.options)?;
    let id = split.request.id;
    let sealed = split.secret.as_ref().map(|secret| key.seal(id, secret)).transpose()?;
    let insert = "INSERT INTO schedules (id, owner, name, created_at, every, time_zone, missed, overlap, paused, next_at, \
                  request, options, env_names, inherited_names, stdin_bytes, pinned, idempotency_key, key_id, body_mac, \
                  sealed, runs, overlaps, misses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11, ?12, ?13, \
                  ?14, ?15, ?16, ?17, ?18, ?19, 0, 0, 0)";
    tx.connection.prepare_cached(insert)?.execute(params![
        id.as_bytes(),
        new.owner,
        new.name,
        new.created_at.timestamp_micros(),
        new.every,
        new.time_zone,
        serde_json::to_string(&new.missed)?,
        serde_json::to_string(&new.overlap)?,
        new.next_at.timestamp_micros(),
        serde_json::to_string(&split.request)?,
        serde_json::to_string(&split.options)?,
        serde_json::to_string(&split.env_names)?,
        serde_json::to_string(&new.inherited_names)?,
        split.stdin_bytes.map(u64::cast_signed),
        new.pinned,
        new.key,
        key.id(),
        body_mac,
        sealed,
    ])?;
    Ok(())
}

impl WriteTx<'_> {
    /// Notes that a schedule has a run.
    pub(crate) fn note_run(&self, schedule: Uuid, run: Uuid) -> Result<()> {
        let update =
            "UPDATE schedules SET runs = runs + 1, last_run = ?2, last_run_at = ?3 WHERE id = ?1";
        let mut update = self.connection.prepare_cached(update)?;
        match update.execute(params![schedule.as_bytes(), run.as_bytes(), self.now_us])? {
            0 => Err(StoreError::UnknownSchedule { id: schedule }),
            _ => Ok(()),
        }
    }

    /// Lets a schedule have this next moment, and counts what was missed before it.
    fn move_on(&self, schedule: Uuid, next_at: Option<DateTime<Utc>>, missed: u64) -> Result<()> {
        let update = "UPDATE schedules SET next_at = ?2, misses = misses + ?3, \
                      missed_at = CASE WHEN ?3 > 0 THEN ?4 ELSE missed_at END WHERE id = ?1";
        self.connection.prepare_cached(update)?.execute(params![
            schedule.as_bytes(),
            next_at.map(|at| at.timestamp_micros()),
            missed.cast_signed(),
            self.now_us,
        ])?;
        Ok(())
    }

    /// Lets a run wait for an earlier one, or counts it as left out, as its schedule says.
    fn without_overlap(
        &self,
        mut run: Prepared,
        policy: OverlapPolicy,
        schedule: Uuid,
        most_unended: usize,
    ) -> Result<Option<Prepared>> {
        let unended = self.unended_runs(schedule, most_unended)?;
        let is_left_out = policy == OverlapPolicy::Skip && !unended.is_empty();
        if is_left_out || unended.len() >= most_unended {
            let update =
                "UPDATE schedules SET overlaps = overlaps + 1, overlapped_at = ?2 WHERE id = ?1";
            let mut update = self.connection.prepare_cached(update)?;
            update.execute(params![schedule.as_bytes(), self.now_us])?;
            return Ok(None);
        }
        if policy == OverlapPolicy::Queue {
            run.after_ended.extend(unended.first());
        }
        Ok(Some(run))
    }

    /// Returns runs of a schedule that wait or run, the newest first.
    fn unended_runs(&self, schedule: Uuid, most: usize) -> Result<Vec<Uuid>> {
        let query = "SELECT e.id FROM facets f JOIN executions e USING (seq) \
                     WHERE f.facet = ?1 AND f.status IN (?2, ?3) ORDER BY f.seq DESC LIMIT ?4";
        let mut query = self.connection.prepare_cached(query)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = params![facets::schedule(schedule), PENDING, RUNNING, most];
        let ids = query.query_map(values, |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }
}
