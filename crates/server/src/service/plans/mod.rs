//! Plans as objects of the service: accepted, run, stopped, resumed, shown and removed.
//!
//! | file | what it does |
//! |---|---|
//! | `spec` | which plans are accepted, and what of them may be read (pure) |
//! | `secret` | the whole plan, as it is sealed |
//! | `active` | a plan that has not ended, in memory |
//! | `run`, `submit` | the task of a plan: starts and stops its steps |
//! | `output` | what a step takes from another one |
//! | `outcome`, `views` | how it has ended, and how it is shown |
//! | `handle` | the calls, for callers |

mod active;
mod handle;
mod outcome;
mod output;
mod run;
mod secret;
mod spec;
mod submit;
mod views;

use std::collections::HashMap;
use std::sync::Arc;

use execution_engine::{ExecutionStatus, Limits, PlanRules};
use execution_engine_store::{
    AcceptedPlan, NewPlan as Row, PlanQuery as StoreQuery, PlanStop, StoredPlan,
};
use uuid::Uuid;

pub(crate) use active::ActivePlan;

use super::check;
use super::errors::{internal, not_ended_plan, stopping, unknown_plan};
use super::inner::Inner;
use super::same::{self, Reused};
use crate::error::{ErrorCode, ServiceError};
use crate::view::{CancelPlan, NewPlan, PlanPage, PlanQuery, PlanView, ResumePlan, SubmittedPlan};
use secret::Secret;

/// Most plans that have not ended.
const MOST: usize = 1_000;

impl Inner {
    /// Goes on with the plans that an earlier service has left.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn recover_plans(self: &Arc<Self>) -> Result<(), ServiceError> {
        for id in self.store.unfinished_plans().await? {
            if let Some(stored) = self.store.plan(id).await? {
                self.spawn_plan(stored);
            }
        }
        Ok(())
    }

    /// Runs a plan in a task of its own.
    fn spawn_plan(self: &Arc<Self>, mut stored: StoredPlan) -> Arc<ActivePlan> {
        let spec = views::shown_spec(&stored);
        let steps = std::mem::take(&mut stored.steps);
        let plan = ActivePlan::new(stored, spec);
        self.plans.lock().insert(plan.stored.id, Arc::clone(&plan));
        self.tasks.spawn(Arc::clone(self).run_plan(Arc::clone(&plan), steps));
        plan
    }

    /// Accepts a plan; see [`Service::submit_plan`](super::Service::submit_plan).
    async fn submit_plan(
        self: &Arc<Self>,
        new: NewPlan,
        key: Option<String>,
        owner: u32,
    ) -> Result<SubmittedPlan, ServiceError> {
        check::key(key.as_deref())?;
        spec::check(&new)?;
        self.check_plan_limits(&new).await?;
        if self.plans.lock().len() >= MOST {
            let text = format!("{MOST} plans have not ended, and no more are allowed");
            return Err(ServiceError::invalid("spec", text).fix("wait until some have ended"));
        }
        let id = new.spec.plan.id;
        let row = Row {
            id,
            owner,
            key,
            body: spec::body(&new.spec)?,
            shown: spec::json(&spec::shown(&new.spec))?,
            title: serde_json::to_value(views::title(&new.spec)).unwrap_or_default(),
            secret: Secret::write(new)?,
        };
        if self.closing.is_cancelled() {
            return Err(stopping());
        }
        match self.store.accept_plan(row).await? {
            AcceptedPlan::Created(stored) => {
                let plan = self.spawn_plan(*stored);
                Ok(SubmittedPlan { plan: self.show_active(&plan, 0), created: true })
            }
            AcceptedPlan::Existing(id) => {
                Ok(SubmittedPlan { plan: self.plan(id).await?, created: false })
            }
            AcceptedPlan::KeyReused(id) => Err(reused(Reused::Key, id)),
            AcceptedPlan::IdReused(id) => Err(reused(Reused::Id("spec.id"), id)),
        }
    }

    /// Refuses limits that no step could have.
    async fn check_plan_limits(self: &Arc<Self>, new: &NewPlan) -> Result<(), ServiceError> {
        let mut checked: Vec<Limits> = Vec::new();
        for step in 0..new.spec.plan.commands.len() {
            let limits = new.spec.options.effective_options(step).limits;
            if !checked.contains(&limits) {
                self.check_limits(&limits).await?;
                checked.push(limits);
            }
        }
        Ok(())
    }

    /// Returns a plan with all of its steps.
    async fn plan(&self, id: Uuid) -> Result<PlanView, ServiceError> {
        let active = self.plans.lock().get(&id).cloned();
        let stored = self.store.plan(id).await?.ok_or_else(|| unknown_plan(id))?;
        let view = match active {
            // It is stored as it is in memory, but for its stops.
            Some(active) if stored.ended_at.is_none() => {
                let stopping = !stored.stops.is_empty();
                PlanView { stopping, ..self.show_active(&active, 0) }
            }
            _ => self.show_stored(&stored),
        };
        Ok(PlanView { spec: Some(stored.shown), ..view })
    }

    /// Waits until a plan has changed behind a version, or has ended, and returns what has changed.
    async fn plan_changes(&self, id: Uuid, after: u64) -> Result<PlanView, ServiceError> {
        let active = self.plans.lock().get(&id).cloned();
        if let Some(active) = active {
            let mut changes = active.subscribe();
            // One that is beyond is of an earlier service, before the clock was set back.
            let after = if after > changes.borrow().number { 0 } else { after };
            let changed = changes.wait_for(|now| now.is_ended || now.number > after);
            // It cannot fail: `active` holds the sender.
            let is_ended = self.unless_closing(changed).await?.is_ok_and(|now| now.is_ended);
            if !is_ended {
                return Ok(self.show_active(&active, after));
            }
        }
        let stored = self.store.plan(id).await?.ok_or_else(|| unknown_plan(id))?;
        Ok(self.show_stored(&stored))
    }

    async fn list_plans(&self, query: PlanQuery) -> Result<PlanPage, ServiceError> {
        let query = StoreQuery {
            status: query.status,
            limit: query.limit.unwrap_or(100),
            cursor: query.cursor,
        };
        let page = self.store.list_plans(query).await?;
        let plans = page.items.iter().map(|listed| self.show_listed(listed)).collect();
        Ok(PlanPage { plans, next: page.next })
    }

    async fn cancel_plan(&self, id: Uuid, cancel: CancelPlan) -> Result<PlanView, ServiceError> {
        let stop = if cancel.all { PlanStop::CancelAll } else { PlanStop::Cancel };
        self.store.stop_plan(id, stop).await?;
        if let Some(active) = self.plans.lock().get(&id) {
            active.wake.notify_one();
        }
        self.plan(id).await
    }

    async fn resume_plan(
        self: &Arc<Self>,
        id: Uuid,
        resume: ResumePlan,
    ) -> Result<PlanView, ServiceError> {
        let stored = self.store.plan(id).await?.ok_or_else(|| unknown_plan(id))?;
        let is_resumed = resume.after_round.is_some_and(|round| round + 1 == stored.round);
        match stored.ended_at {
            None if is_resumed => return self.plan(id).await,
            None => return Err(not_ended_plan(id)),
            Some(_) if stored.status == ExecutionStatus::Completed => {
                return Err(ServiceError::new(
                    ErrorCode::AlreadyEnded,
                    format!("plan {id} has completed, so nothing of it is left to run"),
                )
                .fix("submit the plan again to run it once more"));
            }
            Some(_) => {}
        }
        let secret = self.store.plan_secret(id).await?;
        let (_, spec) = Secret::read(&secret).map_err(internal)?;
        let rules =
            PlanRules::new(spec).map_err(|error| internal(format!("the stored plan: {error}")))?;
        let mut endings = vec![None; rules.spec().plan.commands.len()];
        for step in &stored.steps {
            endings[step.step] = step.ending.clone();
        }
        let mut again = rules.to_resume(&endings);
        self.run_again_for_output(&rules, &stored, &mut again).await?;
        let keep = (0..again.len()).filter(|step| !again[*step]).collect();
        self.store.resume_plan(id, keep).await?;
        let resumed = self.store.plan(id).await?.ok_or_else(|| unknown_plan(id))?;
        let plan = self.spawn_plan(resumed);
        Ok(self.show_active(&plan, 0))
    }

    /// Adds the steps whose output is taken by one that runs again, and is no longer there.
    async fn run_again_for_output(
        &self,
        rules: &PlanRules,
        stored: &StoredPlan,
        again: &mut [bool],
    ) -> Result<(), ServiceError> {
        let executions: HashMap<usize, Uuid> =
            stored.steps.iter().filter_map(|step| Some((step.step, step.execution?))).collect();
        let mut to_look_at: Vec<usize> = (0..again.len()).filter(|step| again[*step]).collect();
        while let Some(step) = to_look_at.pop() {
            for (from, _) in rules.takes_from(step) {
                let is_there = match executions.get(&from) {
                    Some(execution) => self.store.get(*execution).await?.is_some(),
                    None => false,
                };
                if !again[from] && !is_there {
                    again[from] = true;
                    to_look_at.push(from);
                }
            }
        }
        Ok(())
    }

    async fn remove_plan(&self, id: Uuid) -> Result<(), ServiceError> {
        Ok(self.store.remove_plan(id).await?)
    }
}

fn reused(reused: Reused, id: Uuid) -> ServiceError {
    same::reused(reused, &format!("plan {id}"), "")
}
