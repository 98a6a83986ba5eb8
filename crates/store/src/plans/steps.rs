//! What happens to the steps of a plan.

use chrono::Utc;
use execution_engine::Ending;
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use super::StepOf;
use crate::error::{Result, StoreError};
use crate::execution::EndedExecution;
use crate::store::Store;
use crate::writer::WriteTx;

impl Store {
    /// Stores how a step has ended that was not submitted, because it could not be or must not be any more. When this
    /// returns, that is on the disk. Nothing is changed if the step was begun in this round.
    ///
    /// # Errors
    ///
    /// [`PlanNotFound`](StoreError::PlanNotFound), also if the round is over; [`Full`](StoreError::Full) and
    /// [`ReadOnly`](StoreError::ReadOnly).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be stored all the same.
    pub async fn end_step_unstarted(&self, of: StepOf, ending: Ending) -> Result<()> {
        let ending = serde_json::to_string(&ending)?;
        self.write("end_step_unstarted", ending.len() + 512, move |tx| {
            let plan = tx.plan_of_step(of)?;
            let known = "SELECT 1 FROM plan_steps WHERE plan = ?1 AND round = ?2 AND step = ?3";
            let mut known = tx.connection.prepare_cached(known)?;
            if known.exists(params![plan, of.round, of.step as i64])? {
                return Ok(());
            }
            let event = tx.next_plan_event(plan)?;
            let insert = "INSERT INTO plan_steps (plan, round, step, event, ending, ended_at, attempts) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
            tx.connection.prepare_cached(insert)?.execute(params![
                plan,
                of.round,
                of.step as i64,
                event.cast_signed(),
                ending,
                Utc::now().timestamp_micros(),
            ])?;
            Ok(())
        })
        .await
    }
}

impl WriteTx<'_> {
    /// Returns the sequence of the plan, if its round is that of the step.
    fn plan_of_step(&self, of: StepOf) -> Result<i64> {
        let query = "SELECT seq FROM plans WHERE id = ?1 AND round = ?2 AND ended_at IS NULL";
        let mut query = self.connection.prepare_cached(query)?;
        let seq = query.query_row(params![of.plan.as_bytes(), of.round], |row| row.get(0));
        seq.optional()?.ok_or(StoreError::PlanNotFound { id: of.plan })
    }

    /// Notes that a step of a plan has become an execution.
    pub(crate) fn begin_step(&self, of: StepOf, execution: Uuid) -> Result<()> {
        let plan = self.plan_of_step(of)?;
        if self.stops(plan)?.iter().any(|stop| stop.event > of.event) {
            return Err(StoreError::PlanStopped { id: of.plan });
        }
        let insert = "INSERT INTO plan_steps (plan, round, step, execution, attempts) VALUES (?1, ?2, ?3, ?4, 0)";
        self.connection.prepare_cached(insert)?.execute(params![
            plan,
            of.round,
            of.step as i64,
            execution.as_bytes()
        ])?;
        Ok(())
    }

    /// Notes how the execution of a step has ended.
    pub(crate) fn end_step(&self, plan: Uuid, ended: &EndedExecution) -> Result<()> {
        let query = "SELECT s.plan, s.round, s.step, p.ended_at IS NULL AND p.round = s.round FROM plan_steps s \
                     JOIN plans p ON p.seq = s.plan WHERE s.execution = ?1 AND p.id = ?2 AND s.ending IS NULL";
        let mut query = self.connection.prepare_cached(query)?;
        let found = query.query_row(params![ended.id.as_bytes(), plan.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
        });
        let Some((plan, round, step, counts)) = found.optional()? else { return Ok(()) };
        let event = match counts {
            true => Some(self.next_plan_event(plan)?.cast_signed()),
            false => None,
        };
        let update = "UPDATE plan_steps SET event = ?4, ending = ?5, started_at = ?6, ended_at = ?7, \
                      duration_ms = ?8, attempts = ?9 WHERE plan = ?1 AND round = ?2 AND step = ?3";
        self.connection.prepare_cached(update)?.execute(params![
            plan,
            round,
            step,
            event,
            serde_json::to_string(&ended.ending)?,
            ended.started_at.map(|at| at.timestamp_micros()),
            ended.ended_at.timestamp_micros(),
            ended.duration_ms.map(u64::cast_signed),
            ended.attempts,
        ])?;
        Ok(())
    }
}
