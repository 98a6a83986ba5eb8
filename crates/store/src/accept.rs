//! Acceptance: from the answer on, the execution is durable.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use crate::error::Result;
use crate::execution::{Accepted, NewExecution, ScheduleRun, StoredExecution, StoredPlace, facets};
use crate::key::Key;
use crate::plans::StepOf;
use crate::rows::{PENDING, RUNNING};
use crate::secrets::{self, Split};
use crate::status;
use crate::store::Store;
use crate::time::of_us;
use crate::writer::WriteTx;

impl Store {
    /// Accepts an execution. When this returns, it is on the disk (`fsync`), with values of the environment
    /// and input sealed.
    ///
    /// With [`dispatch_to`](NewExecution::dispatch_to) it is dispatched in the same transaction.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::StoreError::Full) and [`ReadOnly`](crate::StoreError::ReadOnly): it was not accepted.
    /// [`OtherKey`](crate::StoreError::OtherKey): the idempotency key or the id is that of an execution whose
    /// body cannot be compared, because the key file is another one.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the execution may be accepted all the same. The same call again finds out.
    pub async fn accept(&self, new: NewExecution) -> Result<Accepted> {
        let bytes = new.body.len() + 4096;
        let prepared = Prepared::new(self.key(), new)?;
        let store = self.clone();
        self.write("accept", bytes, move |tx| prepared.write(store.key(), tx)).await
    }
}

/// All that can be done before the transaction.
pub(crate) struct Prepared {
    owner: u32,
    idempotency_key: Option<String>,
    after: Vec<Uuid>,
    pub(crate) after_ended: Vec<Uuid>,
    schedule: Option<ScheduleRun>,
    start_at: Option<DateTime<Utc>>,
    pinned: bool,
    inherited_names: Vec<String>,
    step: Option<StepOf>,
    keeper: Option<String>,
    split: Split,
    command: String,
    facets: Vec<String>,
    request_json: String,
    options_json: String,
    sealed: Option<Vec<u8>>,
    body_mac: [u8; 32],
    /// When it was accepted, if that is not now.
    created_at: Option<i64>,
}

impl Prepared {
    pub(crate) fn new(key: &Key, new: NewExecution) -> Result<Self> {
        let split = secrets::split(new.request, new.options)?;
        let mut facets = facets::of(&split.request, &split.options);
        facets.extend(new.schedule.map(|run| facets::schedule(run.id)));
        facets.extend(new.step.map(|of| facets::plan(of.plan)));
        let sealed = split.secret.as_ref().map(|secret| key.seal(split.request.id, secret));
        Ok(Self {
            owner: new.owner,
            idempotency_key: new.key,
            after: new.after,
            after_ended: new.after_ended,
            schedule: new.schedule,
            start_at: new.start_at,
            pinned: new.pinned,
            inherited_names: new.inherited_names,
            step: new.step,
            keeper: new.dispatch_to,
            command: split.request.command.to_string(),
            facets,
            request_json: serde_json::to_string(&split.request)?,
            options_json: serde_json::to_string(&split.options)?,
            sealed: sealed.transpose()?,
            body_mac: key.body_mac(&new.body),
            created_at: None,
            split,
        })
    }

    /// Sets what an execution has that others have accepted.
    pub(crate) fn accepted_elsewhere(mut self, at_us: i64, env_names: Vec<String>) -> Self {
        self.created_at = Some(at_us);
        self.split.env_names = env_names;
        self
    }

    /// Sets the size of input that is not here.
    pub(crate) fn with_stdin_bytes(mut self, bytes: Option<u64>) -> Self {
        self.split.stdin_bytes = bytes;
        self
    }

    /// Writes the execution, unless it is known.
    pub(crate) fn write(self, key: &Key, tx: &mut WriteTx<'_>) -> Result<Accepted> {
        if let Some(known) = self.find_known(tx)? {
            let Known { id, key_id, body_mac, by } = known;
            if key_id != key.id() {
                return Err(key.other_key(id, "the body of execution"));
            }
            return Ok(match by {
                _ if body_mac == self.body_mac => Accepted::Existing(id),
                KnownBy::Key => Accepted::KeyReused(id),
                KnownBy::Id => Accepted::IdReused(id),
            });
        }
        let seq = tx.totals.next_seq;
        tx.totals.next_seq += 1;
        let created_at = self.created_at.unwrap_or(tx.now_us);
        // What others have accepted may be from a clock that was ahead. It would be the latest for years, and searches
        // by time would look at all that is accepted until then.
        tx.totals.latest_at = tx.totals.latest_at.max(created_at.min(tx.now_us));
        let status = if self.keeper.is_some() { RUNNING } else { PENDING };
        tx.totals.count(status, 1);
        self.insert_execution(tx, seq, status, created_at)?;
        self.insert_request(tx, seq, key)?;
        tx.insert_facets(seq, status, &self.facets)?;
        if let Some(run) = self.schedule {
            tx.note_run(run.id, self.split.request.id)?;
        }
        if let Some(sealed) = &self.sealed {
            let insert = "INSERT INTO sealed VALUES (?1, ?2, ?3)";
            tx.connection.prepare_cached(insert)?.execute(params![seq, key.id(), sealed])?;
        }
        if let Some(of) = self.step {
            tx.begin_step(of, self.split.request.id)?;
        }
        Ok(Accepted::Created(Box::new(self.stored(seq, status, created_at))))
    }

    fn find_known(&self, tx: &WriteTx<'_>) -> Result<Option<Known>> {
        let columns =
            "SELECT e.id, r.key_id, r.body_mac FROM executions e JOIN requests r USING (seq)";
        if let Some(key) = &self.idempotency_key {
            let by_key = format!(
                "{columns} WHERE seq = (SELECT seq FROM idempotency WHERE owner = ?1 AND idempotency_key = ?2)"
            );
            let mut query = tx.connection.prepare_cached(&by_key)?;
            let found = query.query_row(params![self.owner, key], Known::by(KnownBy::Key));
            let found = found.optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        let mut query = tx.connection.prepare_cached(&format!("{columns} WHERE e.id = ?1"))?;
        let id = self.split.request.id;
        Ok(query.query_row([id.as_bytes()], Known::by(KnownBy::Id)).optional()?)
    }

    fn insert_execution(
        &self,
        tx: &WriteTx<'_>,
        seq: i64,
        status: i64,
        created_at: i64,
    ) -> Result<()> {
        let insert = "INSERT INTO executions (seq, id, owner, status, pinned, priority, created_at, latest_at, \
                      attempts, stdout_bytes, stderr_bytes, place, journal_bytes, file_bytes, keeper, facets, \
                      command, plan, step) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, 0, 0, ?9, ?10, ?11, ?12, ?13)";
        tx.connection.prepare_cached(insert)?.execute(params![
            seq,
            self.split.request.id.as_bytes(),
            self.owner,
            status,
            self.pinned,
            self.split.options.priority,
            created_at,
            tx.totals.latest_at,
            self.keeper,
            serde_json::to_string(&self.facets)?,
            self.command,
            self.step.map(|of| *of.plan.as_bytes()),
            self.step.map(|of| of.step as i64),
        ])?;
        Ok(())
    }

    fn insert_request(&self, tx: &WriteTx<'_>, seq: i64, key: &Key) -> Result<()> {
        let insert = "INSERT INTO requests (seq, request, options, env_names, stdin_bytes, after, idempotency_key, \
                      key_id, body_mac, inherited_names, start_at, after_ended, schedule, schedule_moment) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        tx.connection.prepare_cached(insert)?.execute(params![
            seq,
            self.request_json,
            self.options_json,
            serde_json::to_string(&self.split.env_names)?,
            self.split.stdin_bytes.map(u64::cast_signed),
            serde_json::to_string(&self.after)?,
            self.idempotency_key,
            key.id(),
            self.body_mac,
            serde_json::to_string(&self.inherited_names)?,
            self.start_at.map(|at| at.timestamp_micros()),
            serde_json::to_string(&self.after_ended)?,
            self.schedule.map(|run| run.id.into_bytes()),
            self.schedule.and_then(|run| run.moment).map(|at| at.timestamp_micros()),
        ])?;
        if let Some(idempotency_key) = &self.idempotency_key {
            let insert = "INSERT INTO idempotency VALUES (?1, ?2, ?3)";
            tx.connection.prepare_cached(insert)?.execute(params![
                self.owner,
                idempotency_key,
                seq
            ])?;
        }
        Ok(())
    }

    fn stored(self, seq: i64, status: i64, created_at: i64) -> StoredExecution {
        let metadata = &self.split.request.metadata;
        StoredExecution {
            id: self.split.request.id,
            seq: seq.unsigned_abs(),
            owner: self.owner,
            status: status::of_number(status),
            exit_code: None,
            ending: None,
            result: None,
            command: self.command,
            tags: metadata.tags.clone(),
            labels: metadata.labels.clone().into_iter().collect(),
            group: self.split.options.group.clone(),
            priority: self.split.options.priority,
            request: self.split.request,
            options: self.split.options,
            env_names: self.split.env_names,
            inherited_names: Some(self.inherited_names),
            stdin_bytes: self.split.stdin_bytes,
            after: self.after,
            after_ended: self.after_ended,
            schedule: self.schedule,
            start_at: self.start_at,
            plan: self.step.map(|of| of.plan),
            step: self.step.map(|of| of.step),
            keeper: self.keeper,
            attempts: 0,
            pinned: self.pinned,
            paused: false,
            created_at: of_us(created_at),
            started_at: None,
            ended_at: None,
            duration_ms: None,
            stdout_bytes: 0,
            stderr_bytes: 0,
            output: StoredPlace::None,
        }
    }
}

/// What has the same idempotency key or id.
pub(crate) struct Known {
    pub(crate) id: Uuid,
    pub(crate) key_id: Vec<u8>,
    pub(crate) body_mac: Vec<u8>,
    pub(crate) by: KnownBy,
}

/// What two requests have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownBy {
    Key,
    Id,
}

impl Known {
    /// Returns what reads the three columns of one that was looked for by this.
    pub(crate) fn by(by: KnownBy) -> impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        move |row| {
            let id = Uuid::from_bytes(row.get(0)?);
            Ok(Self { id, key_id: row.get(1)?, body_mac: row.get(2)?, by })
        }
    }
}
