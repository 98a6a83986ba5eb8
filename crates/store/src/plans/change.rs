//! What happens to a plan: acceptance, stops, its end, another round, removal.

use chrono::Utc;
use execution_engine::ExecutionStatus;
use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;
use uuid::Uuid;

use super::{AcceptedPlan, NewPlan, PlanStop, StoredPlan, StoredStop};
use crate::error::{Result, StoreError};
use crate::execution::facets;
use crate::rows::RUNNING;
use crate::status;
use crate::store::Store;
use crate::time::of_us;
use crate::writer::WriteTx;

/// A plan that has the same idempotency key or id.
struct KnownPlan {
    id: Uuid,
    key_id: Vec<u8>,
    body_mac: Vec<u8>,
    /// Whether it has the key.
    by_key: bool,
}

/// What a write has to know of a plan.
struct PlanRow {
    seq: i64,
    round: u32,
    is_ended: bool,
}

impl Store {
    /// Accepts a plan. When this returns, it is on the disk (`fsync`), with all that must not be read sealed.
    ///
    /// # Errors
    ///
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly): it was not accepted.
    /// [`OtherKey`](StoreError::OtherKey): the idempotency key or the id is that of a plan whose body cannot
    /// be compared, because the key file is another one.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the plan may be accepted all the same. The same call again finds out.
    pub async fn accept_plan(&self, new: NewPlan) -> Result<AcceptedPlan> {
        let sealed = self.key().seal(new.id, &new.secret)?;
        let body_mac = self.key().body_mac(&new.body);
        let shown = serde_json::to_string(&new.shown)?;
        let bytes = sealed.len() + shown.len() + 4096;
        let store = self.clone();
        self.write("accept_plan", bytes, move |tx| {
            let key = store.key();
            if let Some(KnownPlan { id, key_id, body_mac: known, by_key }) = tx.known_plan(&new)? {
                if key_id != key.id() {
                    return Err(key.other_key(id, "the body of plan"));
                }
                return Ok(match known == body_mac {
                    true => AcceptedPlan::Existing(id),
                    false if by_key => AcceptedPlan::KeyReused(id),
                    false => AcceptedPlan::IdReused(id),
                });
            }
            let insert = "INSERT INTO plans (id, owner, status, round, events, created_at, round_at, stops, shown, \
                          title, idempotency_key, key_id, body_mac, sealed) \
                          VALUES (?1, ?2, ?3, 1, 0, ?4, ?4, '[]', ?5, ?6, ?7, ?8, ?9, ?10)";
            tx.connection.prepare_cached(insert)?.execute(params![
                new.id.as_bytes(),
                new.owner,
                RUNNING,
                tx.now_us,
                shown,
                new.title.to_string(),
                new.key,
                key.id(),
                body_mac,
                sealed,
            ])?;
            let at = of_us(tx.now_us);
            Ok(AcceptedPlan::Created(Box::new(StoredPlan {
                id: new.id,
                owner: new.owner,
                status: ExecutionStatus::Running,
                round: 1,
                shown: new.shown,
                created_at: at,
                round_at: at,
                ended_at: None,
                outcome: None,
                stops: Vec::new(),
                steps: Vec::new(),
            })))
        })
        .await
    }

    /// Notes that a plan is to be stopped, unless it is already, as far as that. When this returns, that is on the
    /// disk, and no step of it is accepted any more whose starter does not know it.
    ///
    /// # Errors
    ///
    /// [`PlanNotFound`](StoreError::PlanNotFound); [`PlanEnded`](StoreError::PlanEnded);
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be noted all the same.
    pub async fn stop_plan(&self, id: Uuid, stop: PlanStop) -> Result<()> {
        self.write("stop_plan", 512, move |tx| {
            let plan = tx.known_plan_row(id)?;
            if plan.is_ended {
                return Err(StoreError::PlanEnded { id });
            }
            let mut stops = tx.stops(plan.seq)?;
            if stops.iter().any(|known| known.stop.covers(stop)) {
                return Ok(());
            }
            let event = tx.next_plan_event(plan.seq)?;
            stops.push(StoredStop { stop, event });
            let update = "UPDATE plans SET stops = ?2 WHERE seq = ?1";
            let stops = serde_json::to_string(&stops)?;
            tx.connection.prepare_cached(update)?.execute(params![plan.seq, stops])?;
            Ok(())
        })
        .await
    }

    /// Stores how a plan has ended. When this returns, that is on the disk: tell others after it. The sealed plan of
    /// one that has completed is erased. Returns `false` if it had ended already.
    ///
    /// # Errors
    ///
    /// [`PlanNotFound`](StoreError::PlanNotFound); [`Full`](StoreError::Full) and
    /// [`ReadOnly`](StoreError::ReadOnly).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be stored all the same.
    pub async fn end_plan(
        &self,
        id: Uuid,
        status: ExecutionStatus,
        outcome: Value,
    ) -> Result<bool> {
        let outcome = serde_json::to_string(&outcome)?;
        self.write("end_plan", outcome.len() + 512, move |tx| {
            let plan = tx.known_plan_row(id)?;
            if plan.is_ended {
                return Ok(false);
            }
            let update = "UPDATE plans SET status = ?2, ended_at = ?3, aged_at = ?4, outcome = ?5 WHERE seq = ?1";
            tx.connection.prepare_cached(update)?.execute(params![
                plan.seq,
                status::number(status),
                Utc::now().timestamp_micros(),
                tx.totals.age,
                outcome,
            ])?;
            if status == ExecutionStatus::Completed {
                let erase = "UPDATE plans SET sealed = NULL WHERE seq = ?1";
                tx.connection.prepare_cached(erase)?.execute([plan.seq])?;
                tx.has_erased = true;
            }
            Ok(true)
        })
        .await
    }

    /// Begins another round of a plan that has ended. The steps in `keep` count as they ended; the others are run
    /// again.
    ///
    /// # Errors
    ///
    /// [`PlanNotFound`](StoreError::PlanNotFound); [`PlanNotEnded`](StoreError::PlanNotEnded);
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may have begun all the same.
    pub async fn resume_plan(&self, id: Uuid, keep: Vec<usize>) -> Result<()> {
        self.write("resume_plan", keep.len() * 256 + 512, move |tx| {
            let plan = tx.known_plan_row(id)?;
            if !plan.is_ended {
                return Err(StoreError::PlanNotEnded { id });
            }
            let copy = "INSERT INTO plan_steps SELECT plan, ?2, step, execution, NULL, ending, started_at, ended_at, \
                        duration_ms, attempts FROM plan_steps WHERE plan = ?1 AND round = ?3 AND step = ?4";
            let mut copy = tx.connection.prepare_cached(copy)?;
            for step in keep {
                copy.execute(params![plan.seq, plan.round + 1, plan.round, step as i64])?;
            }
            let update = "UPDATE plans SET round = ?2, status = ?3, events = 0, stops = '[]', round_at = ?4, \
                          ended_at = NULL, aged_at = NULL, outcome = NULL WHERE seq = ?1";
            tx.connection.prepare_cached(update)?.execute(params![
                plan.seq,
                plan.round + 1,
                RUNNING,
                tx.now_us
            ])?;
            Ok(())
        })
        .await
    }

    /// Removes a plan that has ended. The executions of its steps stay.
    ///
    /// # Errors
    ///
    /// [`PlanNotFound`](StoreError::PlanNotFound); [`PlanNotEnded`](StoreError::PlanNotEnded);
    /// [`Full`](StoreError::Full) and [`ReadOnly`](StoreError::ReadOnly).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be removed all the same.
    pub async fn remove_plan(&self, id: Uuid) -> Result<()> {
        self.write("remove_plan", 512, move |tx| {
            let plan = tx.known_plan_row(id)?;
            if !plan.is_ended {
                return Err(StoreError::PlanNotEnded { id });
            }
            tx.delete_plan(plan.seq)
        })
        .await
    }
}

impl WriteTx<'_> {
    /// Returns the plan that has the key or the id of a new one, with the hash of its body.
    fn known_plan(&self, new: &NewPlan) -> Result<Option<KnownPlan>> {
        let query = "SELECT id, key_id, body_mac, owner = ?1 AND idempotency_key IS NOT NULL AND idempotency_key IS ?2 \
                     FROM plans WHERE (owner = ?1 AND idempotency_key = ?2) OR id = ?3 \
                     ORDER BY idempotency_key IS ?2 DESC LIMIT 1";
        let mut query = self.connection.prepare_cached(query)?;
        let known = query.query_row(params![new.owner, new.key, new.id.as_bytes()], |row| {
            let id = Uuid::from_bytes(row.get(0)?);
            Ok(KnownPlan { id, key_id: row.get(1)?, body_mac: row.get(2)?, by_key: row.get(3)? })
        });
        Ok(known.optional()?)
    }

    fn known_plan_row(&self, id: Uuid) -> Result<PlanRow> {
        let query = "SELECT seq, round, ended_at IS NOT NULL FROM plans WHERE id = ?1";
        let mut query = self.connection.prepare_cached(query)?;
        let row = query.query_row([id.as_bytes()], |row| {
            Ok(PlanRow { seq: row.get(0)?, round: row.get(1)?, is_ended: row.get(2)? })
        });
        row.optional()?.ok_or(StoreError::PlanNotFound { id })
    }

    /// Returns the stops of the round of a plan.
    pub(super) fn stops(&self, seq: i64) -> Result<Vec<StoredStop>> {
        let query = "SELECT stops FROM plans WHERE seq = ?1";
        let mut query = self.connection.prepare_cached(query)?;
        let stops: String = query.query_row([seq], |row| row.get(0))?;
        Ok(serde_json::from_str(&stops)?)
    }

    /// Returns the number of the next event of a plan.
    pub(super) fn next_plan_event(&self, seq: i64) -> Result<u64> {
        let update = "UPDATE plans SET events = events + 1 WHERE seq = ?1 RETURNING events";
        let mut update = self.connection.prepare_cached(update)?;
        Ok(update.query_row([seq], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    fn delete_plan(&mut self, seq: i64) -> Result<()> {
        let deletes =
            ["DELETE FROM plan_steps WHERE plan = ?1", "DELETE FROM plans WHERE seq = ?1"];
        for delete in deletes {
            self.connection.prepare_cached(delete)?.execute([seq])?;
        }
        self.has_erased = true;
        Ok(())
    }

    /// Removes an ended plan whose last execution has gone.
    pub(crate) fn remove_plan_without_executions(&mut self, id: Uuid) -> Result<()> {
        let of_it = "SELECT 1 FROM facets WHERE facet = ?1";
        if self.connection.prepare_cached(of_it)?.exists([facets::plan(id)])? {
            return Ok(());
        }
        match self.known_plan_row(id) {
            Ok(plan) if plan.is_ended => self.delete_plan(plan.seq),
            Ok(_) | Err(StoreError::PlanNotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes up to `limit` plans that ended before an age, and have no executions any more. Returns their number.
    pub(crate) fn remove_old_plans(&mut self, before: i64, limit: u64) -> Result<u64> {
        let old = "SELECT id FROM plans p WHERE aged_at < ?1 AND NOT EXISTS \
                   (SELECT 1 FROM plan_steps s JOIN executions e ON e.id = s.execution WHERE s.plan = p.seq) LIMIT ?2";
        let ids = {
            let mut old = self.connection.prepare_cached(old)?;
            let ids = old.query_map(params![before, limit.cast_signed()], |row| row.get(0))?;
            ids.collect::<rusqlite::Result<Vec<[u8; 16]>>>()?
        };
        for id in &ids {
            self.remove_plan_without_executions(Uuid::from_bytes(*id))?;
        }
        Ok(ids.len() as u64)
    }
}
