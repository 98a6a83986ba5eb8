//! Series of calls that aim at one moment: the end of an execution, or the second use of an id.

use std::sync::Arc;
use std::time::Instant;

use execution_engine::*;

use crate::caller::Caller;
use crate::history::{Exec, Input, Look, Op, Slot, View};
use crate::program::{Last, Program};
use crate::rules::{Check, Rule};
use crate::watch::{About, Recording, Told, What};
use crate::world::{PATIENCE, Said, World};

/// Returns an execution that does nothing.
pub(crate) fn nothing(slot: Slot) -> Exec {
    Exec {
        slot,
        program: Program { acts: Vec::new(), last: Last::Exit(0) },
        timeout_ms: None,
        retry: None,
        input: Input::None,
        is_merged: false,
        partial_after_ms: None,
        idle_timeout_ms: None,
        priority: 0,
        watchers: Vec::new(),
    }
}

impl Caller {
    /// Starts one execution after the other, each as soon as the end of the one before is seen.
    pub(crate) async fn relay(&self, first: &Exec, rounds: u16, look: Look) -> Check {
        for round in 0..u32::from(rounds) {
            let exec = Exec { slot: first.slot + round, ..first.clone() };
            let id = World::id(exec.slot);
            if self.start(&exec).await.is_none() {
                continue;
            }
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE {
                // Without a note of each answer, for these are many.
                let has_ended = match look {
                    Look::Status => {
                        self.engine.get_status(id).await.is_ok_and(ExecutionStatus::is_terminal)
                    }
                    Look::Result => self.engine.get_result(id).await.is_ok_and(|it| it.is_some()),
                    Look::List => {
                        let listed = self.engine.list_executions().await;
                        listed.iter().any(|one| one.id == id && one.status.is_terminal())
                    }
                    Look::Position => self.engine.wait_for_completion(id).await.is_ok(),
                };
                if has_ended {
                    break;
                }
            }
            if let Some(one) = self.world.only(id) {
                one.ended.note(self.world.tick());
            }
        }
        Ok(())
    }

    /// Uses one id again and again, each time as soon as it is free.
    pub(crate) async fn reuse(&self, exec: &Exec, rounds: u16) -> Check {
        let id = World::id(exec.slot);
        for _ in 0..rounds {
            if self.start(exec).await.is_none() {
                continue;
            }
            self.waiters(id, 1);
            if exec.program.last == Last::SleepOn {
                let from = self.world.tick();
                let answer = self.engine.cancel(id).await;
                self.world.say(from, Said::Cancelled(id, answer));
            }
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE {
                match self.engine.remove_execution(id).await {
                    Err(ExecutionError::StillRunning(_)) => std::thread::yield_now(),
                    Ok(()) | Err(_) => break,
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn call_plan(&self, op: &Op) -> Check {
        match op {
            Op::Plan(plan) => {
                let run = self.world.plan((**plan).clone());
                let spec = self.plan_spec(&run);
                let answer = self.engine.execute_plan(spec).await;
                let is_accepted = answer.is_ok();
                *crate::world::lock(&run.answer) = Some((self.world.tick(), answer));
                for pace in plan.watchers.iter().filter(|_| is_accepted) {
                    self.subscribe_plan(run.id, *pace).await;
                }
            }
            Op::CancelPlan(slot, step) => self.cancel_plan(*slot, *step).await,
            Op::WaitPlan(slot) => {
                let id = World::id(*slot);
                if self.engine.wait_for_plan(id).await.is_ok() {
                    self.plan_has_ended(id);
                }
            }
            Op::SubscribePlan(slot, pace) => self.subscribe_plan(World::id(*slot), *pace).await,
            Op::RemovePlan(slot) => drop(self.engine.remove_plan(World::id(*slot)).await),
            Op::LookPlan(slot) => return self.look_plan(World::id(*slot)).await,
            other => unreachable!("{other}"),
        }
        Ok(())
    }

    fn plan_has_ended(&self, id: Uuid) {
        let mut plans = self.world.plans().into_iter();
        if let Some(run) = plans.find(|run| run.id == id) {
            run.ended.note(self.world.tick());
        }
    }

    async fn cancel_plan(&self, slot: Slot, step: Option<usize>) {
        let id = World::id(slot);
        if let Some(step) = step {
            let (step, begun) = (World::step_id(slot, step), Instant::now());
            while begun.elapsed() < Duration::from_millis(500) {
                match self.engine.get_result(step).await {
                    Ok(Some(_)) => break,
                    Ok(None) | Err(_) => std::thread::yield_now(),
                }
                if self.engine.get_plan_status(id).await.is_ok_and(ExecutionStatus::is_terminal) {
                    return;
                }
            }
        }
        let mut plans = self.world.plans().into_iter();
        if let Some(run) = plans.find(|run| run.id == id) {
            run.cancel_called.note(self.world.tick());
        }
        // It may be unknown, or have ended.
        let _answer = self.engine.cancel_plan(id).await;
    }

    /// Cancels all, and checks that nothing was left that had been accepted before.
    pub(crate) async fn cancel_all(&self) -> Check {
        let accepted = self.world.accepted();
        let from = self.world.tick();
        self.world.plans().iter().for_each(|run| run.cancel_called.note(from));
        let report = self.engine.cancel_all().await;
        for id in report.executions {
            self.world.say(from, Said::Cancelled(id, Ok(())));
            if let Some(one) = self.world.only(id) {
                one.cancelled.note(self.world.tick());
            }
        }
        for one in accepted {
            let from = self.world.tick();
            if self.engine.cancel(one.id).await.is_err() {
                continue;
            }
            self.world.say(from, Said::Cancelled(one.id, Ok(())));
            // The id may have been used again meanwhile.
            let only = self.world.only(one.id);
            Rule::CancelIsKept.check(only.is_none_or(|it| it.number != one.number), || {
                format!("{} could be cancelled after a cancel of all", one.name())
            })?;
        }
        Ok(())
    }

    async fn subscribe_plan(&self, id: Uuid, pace: crate::history::Pace) {
        let recording = Recording::new(About::Plan(id), View::Lines, 0, self.world.tick());
        let Ok(records) = self.engine.subscribe_plan(id).await else { return };
        let world = Arc::clone(&self.world);
        let mut plans = self.world.plans().into_iter();
        let run = plans.find(|run| run.id == id);
        let note = move |told: &Told, tick| {
            if let (What::Event(ExecutionEvent::PlanEnded { .. }), Some(run)) = (&told.what, &run) {
                run.ended.note(tick);
            }
        };
        self.world.watch(recording.read(world, records, pace, note));
    }

    async fn look_plan(&self, id: Uuid) -> Check {
        let Ok(status) = self.engine.get_plan_status(id).await else { return Ok(()) };
        if status.is_terminal() {
            self.plan_has_ended(id);
            match self.engine.get_plan_result(id).await {
                Err(_) => {}
                Ok(Some(result)) => Rule::Agreement.check(result.status == status, || {
                    format!("plan {id} was {status}, then {:?}", result.ending)
                })?,
                Ok(None) => {
                    Rule::Agreement.check(false, || format!("plan {id} is {status}, no result"))?;
                }
            }
        }
        Ok(())
    }
}
