//! Acceptance: from the answer on, the execution is durable.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use crate::error::Result;
use crate::execution::{Accepted, NewExecution, StoredExecution, StoredPlace, facets};
use crate::key::Key;
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
    start_at: Option<DateTime<Utc>>,
    pinned: bool,
    inherited_names: Vec<String>,
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
        let sealed = split.secret.as_ref().map(|secret| key.seal(split.request.id, secret));
        Ok(Self {
            owner: new.owner,
            idempotency_key: new.key,
            after: new.after,
            start_at: new.start_at,
            pinned: new.pinned,
            inherited_names: new.inherited_names,
            keeper: new.dispatch_to,
            command: split.request.command.to_string(),
            facets: facets::of(&split.request, &split.options),
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

    /// Writes the execution, unless it is known.
    pub(crate) fn write(self, key: &Key, tx: &mut WriteTx<'_>) -> Result<Accepted> {
        if let Some(known) = self.find_known(tx)? {
            let Known { id, key_id, body_mac } = known;
            if key_id != key.id() {
                return Err(key.other_key(id, "the body"));
            }
            let is_same = body_mac == self.body_mac;
            return Ok(if is_same { Accepted::Existing(id) } else { Accepted::KeyReused(id) });
        }
        let seq = tx.totals.next_seq;
        tx.totals.next_seq += 1;
        let created_at = self.created_at.unwrap_or(tx.now_us);
        tx.totals.latest_at = tx.totals.latest_at.max(created_at);
        let status = if self.keeper.is_some() { RUNNING } else { PENDING };
        tx.totals.count(status, 1);
        self.insert_execution(tx, seq, status, created_at)?;
        self.insert_request(tx, seq, key)?;
        tx.insert_facets(seq, status, &self.facets)?;
        if let Some(sealed) = &self.sealed {
            let insert = "INSERT INTO sealed VALUES (?1, ?2, ?3)";
            tx.connection.prepare_cached(insert)?.execute(params![seq, key.id(), sealed])?;
        }
        Ok(Accepted::Created(Box::new(self.stored(seq, status, created_at))))
    }

    fn find_known(&self, tx: &WriteTx<'_>) -> Result<Option<Known>> {
        let columns =
            "SELECT e.id, r.key_id, r.body_mac FROM executions e JOIN requests r USING (seq)";
        let known = |row: &rusqlite::Row<'_>| {
            Ok(Known {
                id: Uuid::from_bytes(row.get(0)?),
                key_id: row.get(1)?,
                body_mac: row.get(2)?,
            })
        };
        if let Some(key) = &self.idempotency_key {
            let by_key = format!(
                "{columns} WHERE seq = (SELECT seq FROM idempotency WHERE owner = ?1 AND idempotency_key = ?2)"
            );
            let mut query = tx.connection.prepare_cached(&by_key)?;
            let found = query.query_row(params![self.owner, key], known).optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        let mut query = tx.connection.prepare_cached(&format!("{columns} WHERE e.id = ?1"))?;
        Ok(query.query_row([self.split.request.id.as_bytes()], known).optional()?)
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
                      command) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, 0, 0, ?9, ?10, ?11)";
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
        ])?;
        Ok(())
    }

    fn insert_request(&self, tx: &WriteTx<'_>, seq: i64, key: &Key) -> Result<()> {
        let insert = "INSERT INTO requests VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
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
            start_at: self.start_at,
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

/// An execution that has the same idempotency key or id.
struct Known {
    id: Uuid,
    key_id: Vec<u8>,
    body_mac: Vec<u8>,
}
