//! Submits, follows, lists and stops plans.

use bytes::Bytes;
use execution_engine::{
    Backend as _, ExecutionError, ExecutionMetadata, ExecutionStatus, PlanEnding, PlanError,
    PlanRules, PlanSpec, Result, ValidationError,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Lines, PlanEvent, parse};
use super::view::FleetPlan;
use super::{PLANS_POOL, ticket};
use crate::client::{FleetEvent, Follower, Position};
use crate::engine::FleetBackend;
use crate::engine::backend::now_ms;
use crate::engine::results::{moment, status, to_engine};
use crate::error::FleetError;
use crate::fold::Outcome;
use crate::place::{QueueName, QueuePlace};
use crate::pool::Pool;
use crate::record::{End, PlanTitle, Stream};
use crate::wire::{MAX_RECORD_BYTES, RecordError};

/// Priority of plans among each other.
const PRIORITY: u8 = 1;

/// A plan in a list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlanEntry {
    /// Its id.
    pub id: Uuid,
    /// Number of steps, and description.
    pub title: PlanTitle,
    /// Notes of the caller.
    pub metadata: ExecutionMetadata,
    /// When it was submitted, as far as that is known.
    pub submitted_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Where it stands.
    pub status: ExecutionStatus,
}

/// What of a plan a client stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopPlan {
    /// All steps but those that always run.
    Cancel,
    /// All steps.
    CancelAll,
}

/// Plans that a worker conducts. Any process may end when it has submitted one.
///
/// ```no_run
/// use std::sync::Arc;
/// use execution_engine::*;
/// use execution_engine_fleet::{Cluster, FleetBackend, StopPlan};
///
/// # async fn example(cluster: Arc<dyn Cluster>) -> Result<(), Box<dyn std::error::Error>> {
/// let fleet = FleetBackend::connect(cluster, "default", "my program").await?;
/// let plan = ExecutionPlan::builder()
///     .step("build", ExecutionRequest::shell("make"))
///     .step("test", ExecutionRequest::shell("make test"))
///     .build()?;
/// let id = fleet.submit_plan(plan).await?;
///
/// let mut events = fleet.follow_plan(id).await?;
/// while let Some(event) = events.next().await? {
///     println!("{}: {:?}", event.number, event.kind);
/// }
/// println!("{:?}", events.plan().ending);
/// # Ok(()) }
/// ```
impl FleetBackend {
    /// Submits a plan. `Ok` means that a majority of servers has it: a worker conducts it, whatever
    /// becomes of this process. A plan whose id the fleet knows is not begun again: submitting the same
    /// one returns its id, and another one is refused. [`FleetClient::id_of_plan_key`](crate::FleetClient::id_of_plan_key)
    /// makes an id from a key.
    ///
    /// # Errors
    ///
    /// [`ExecutionError::Validation`] if the plan breaks a rule, a step could not run elsewhere, or
    /// the plan is too large; [`ExecutionError::DuplicateId`] if another plan has its id;
    /// [`ExecutionError::OutcomeUnknown`] if no answer came: submit the same plan again to know.
    pub async fn submit_plan(&self, spec: impl Into<PlanSpec>) -> Result<Uuid> {
        let spec = spec.into();
        let id = spec.plan.id;
        let pool = self.plans_pool()?;
        self.check_plan(&spec, pool)?;
        let ticket = ticket::ticket(self.tenant(), pool, &spec, now_ms())?;
        let class = pool.classes.first().map(|class| class.name.clone()).unwrap_or_default();
        let (tenant, pool) = (self.tenant().to_owned(), pool.name.clone());
        let queue = QueueName { tenant, pool, class, priority: PRIORITY };
        match self.submit_ticket(QueuePlace { queue, id }, ticket).await {
            Ok(()) => Ok(id),
            Err(FleetError::Record(RecordError::TooLong { bytes })) => Err(refused(format!(
                "has {bytes} bytes and may have {MAX_RECORD_BYTES}; make several plans of it, or let steps read large \
                 values from files"
            ))),
            Err(error) => Err(to_engine(id, error)),
        }
    }

    fn plans_pool(&self) -> Result<&Pool> {
        self.pool(PLANS_POOL).ok_or_else(|| {
            ExecutionError::backend(format!(
                "the fleet has no pool {PLANS_POOL}; repeat `exeng fleet init`, which makes it"
            ))
        })
    }

    /// Checks that each step could be submitted, as far as that is known now.
    fn check_plan(&self, spec: &PlanSpec, plans: &Pool) -> Result<()> {
        let invalid = |error: PlanError| ValidationError::from(error);
        spec.check().map_err(invalid)?;
        let rules = PlanRules::new(spec.clone()).map_err(invalid)?;
        for step in 0..spec.plan.commands.len() {
            let of_step =
                |error: &dyn std::fmt::Display| refused(format!("{}: {error}", rules.step(step)));
            let prepared = rules.prepare(step, |_| Ok((Bytes::new(), 0)));
            let (request, options) = prepared.map_err(|reason| of_step(&reason))?;
            self.check(&request, &options).map_err(|error| of_step(&error))?;
            let (pool, _) = self.queue(&options)?;
            if plans.sealing.is_empty() && !pool.sealing.is_empty() {
                return Err(of_step(&format!(
                    "values for pool {} are sealed, and pool {PLANS_POOL} has no key to seal the plan to; submit the \
                     steps one by one, or make a fleet whose pools have keys from the beginning",
                    pool.name
                )));
            }
        }
        Ok(())
    }

    /// Returns a plan as it stands now.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotFound`] and [`FleetError::NoPlan`]; [`FleetError::EventsLost`] if its records
    /// have passed their age.
    pub async fn plan(&self, id: Uuid) -> std::result::Result<FleetPlan, FleetError> {
        let mut follower = self.follow_plan(id).await?;
        while follower.next_now().await?.is_some() {}
        Ok(follower.plan)
    }

    /// Returns the plans of the tenant that the queue or the log knows, newest first.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if the servers do not answer.
    pub async fn plans(&self) -> std::result::Result<Vec<PlanEntry>, FleetError> {
        let mut plans = Vec::new();
        for (id, described) in self.client().describe_all().await? {
            let Some(title) = described.plan else { continue };
            let metadata = described.metadata.and_then(|it| serde_json::from_value(it).ok());
            plans.push(PlanEntry {
                id,
                title,
                metadata: metadata.unwrap_or_default(),
                submitted_at: described.submitted_at_ms.map(moment),
                status: status(&described.state),
            });
        }
        plans.sort_by_key(|plan| std::cmp::Reverse(plan.submitted_at));
        Ok(plans)
    }

    /// Follows a plan from its beginning.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotFound`] and [`FleetError::NoPlan`].
    pub async fn follow_plan(&self, id: Uuid) -> std::result::Result<PlanFollower, FleetError> {
        let described = self.client().describe(id).await?;
        if described.plan.is_none() {
            return Err(FleetError::NoPlan(id));
        }
        // Before its first event, the queue has its steps.
        let queued = self.client().queued(id).await?.and_then(|ticket| ticket.plan);
        let spec = queued.and_then(|plan| serde_json::from_value::<PlanSpec>(plan).ok());
        let spec = ticket::shown(&spec.unwrap_or_else(|| no_steps(id)));
        Ok(PlanFollower {
            follower: self.client().follow(id, Position::default()),
            lines: Lines::default(),
            plan: FleetPlan::new(id, spec, described.submitted_at_ms.map(moment)),
        })
    }

    /// Stops steps of a plan, as the plan's rules say. Returns once a majority of servers has the
    /// stop: its conductor obeys it, the next one if there is none at this moment. The plan
    /// ends when its steps have; [`follow_plan`](Self::follow_plan) tells. If no step is left to stop,
    /// it ends as it would have.
    ///
    /// A cancel of the plan's execution instead ([`Backend::cancel`](execution_engine::Backend)) is the
    /// ending at once. Its conductor stops the steps likewise; but if that is lost then, all steps
    /// are stopped, and none that always runs is started.
    ///
    /// # Errors
    ///
    /// [`FleetError::AlreadyEnded`], [`FleetError::NotFound`], [`FleetError::NoPlan`]. After
    /// [`ClusterError::NoAnswer`](crate::ClusterError::NoAnswer) it is stopped or not; stopping again
    /// is harmless.
    pub async fn stop_plan(&self, id: Uuid, stop: StopPlan) -> std::result::Result<(), FleetError> {
        if self.client().describe(id).await?.plan.is_none() {
            return Err(FleetError::NoPlan(id));
        }
        let missing = || FleetError::NotFound(id);
        let pool = self.pool(PLANS_POOL).ok_or_else(missing)?;
        let stop = serde_json::to_vec(&stop).unwrap_or_default();
        self.client().write_input(id, pool, stop.into(), false).await
    }
}

fn refused(why: String) -> ExecutionError {
    ValidationError::invalid_option("plan", why).into()
}

fn no_steps(id: Uuid) -> PlanSpec {
    let mut plan = execution_engine::ExecutionPlan::serial([]);
    plan.id = id;
    plan.into()
}

/// Reads the events of a plan. See [`FleetBackend::follow_plan`].
pub struct PlanFollower {
    follower: Follower,
    lines: Lines,
    plan: FleetPlan,
}

impl PlanFollower {
    /// Returns the plan as the events so far tell it.
    pub fn plan(&self) -> &FleetPlan {
        &self.plan
    }

    /// Returns the next event; `None` when the plan has ended. Waits for it. Each event is returned
    /// once, whichever workers conducted the plan. Cancel safe: no event is lost.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if the servers gave no answer; call it again to go on.
    /// [`FleetError::EventsLost`] if the log has not all.
    pub async fn next(&mut self) -> std::result::Result<Option<PlanEvent>, FleetError> {
        loop {
            if let Some(event) = self.next_line()? {
                return Ok(Some(event));
            }
            match self.follower.next().await? {
                Some((_, event)) => self.take(event)?,
                None => return Ok(None),
            }
        }
    }

    /// Returns the next event that the log has now.
    async fn next_now(&mut self) -> std::result::Result<Option<PlanEvent>, FleetError> {
        loop {
            if let Some(event) = self.next_line()? {
                return Ok(Some(event));
            }
            match self.follower.next_now().await? {
                Some((_, event)) => self.take(event)?,
                None => return Ok(None),
            }
        }
    }

    fn next_line(&mut self) -> std::result::Result<Option<PlanEvent>, FleetError> {
        let Some(line) = self.lines.next() else { return Ok(None) };
        match parse(&line) {
            Ok(event) if event.number == self.plan.events => {
                self.plan.apply(&event);
                Ok(Some(event))
            }
            _ => Err(FleetError::EventsLost(self.plan.id)),
        }
    }

    fn take(&mut self, event: FleetEvent) -> std::result::Result<(), FleetError> {
        match event {
            FleetEvent::Claimed { .. } => self.lines.begin(),
            FleetEvent::Output { runs, bytes } => push(&mut self.lines, &runs, bytes),
            FleetEvent::Missed(..) => return Err(FleetError::EventsLost(self.plan.id)),
            FleetEvent::Ended { outcome, end } => self.plan.end(ending(&outcome, end)),
            FleetEvent::Started(_) | FleetEvent::Lost(_) => {}
        }
        Ok(())
    }
}

/// Adds the standard output of a plan.
pub(super) fn push(lines: &mut Lines, runs: &[(Stream, u32)], mut bytes: Bytes) {
    for (stream, length) in runs {
        let part = bytes.split_to((*length as usize).min(bytes.len()));
        if *stream == Stream::Stdout {
            lines.push(&part);
        }
    }
}

/// Returns how a plan has ended, from the end of its execution.
fn ending(outcome: &Outcome, end: Option<Box<End>>) -> PlanEnding {
    let told = || {
        let ending = end?.result.get("plan")?.get("ending").cloned()?;
        serde_json::from_value(ending).ok()
    };
    let failed = |reason: String| PlanEnding::EngineFailed { reason };
    match outcome {
        Outcome::Ended => told().unwrap_or_else(|| failed("its end cannot be read".to_owned())),
        Outcome::Cancelled { .. } => PlanEnding::Cancelled,
        Outcome::WorkerLost { attempts, .. } => {
            failed(format!("{attempts} workers that conducted it were lost, one after the other"))
        }
        Outcome::NotStarted { .. } => failed("no worker conducted it in time".to_owned()),
    }
}
