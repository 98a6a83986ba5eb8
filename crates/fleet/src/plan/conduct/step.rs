//! One step of a plan, from its ticket to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use execution_engine::{
    Backend as _, Ending, ExecutionError, ExecutionOptions, ExecutionRequest, PlanRules,
    StdinSource,
};
use tokio::sync::{Semaphore, mpsc, watch};
use uuid::Uuid;

use super::input::prepare;
use super::machine::{Closed, Wanted};
use crate::cluster::{Changes, Cluster, ClusterError, Expect};
use crate::engine::FleetBackend;
use crate::engine::request::MAX_STDIN_BYTES;
use crate::engine::results::result;
use crate::error::FleetError;
use crate::fold::Outcome;
use crate::pause::pause;
use crate::plan::event::StepRun;
use crate::plan::ticket::step_id;
use crate::reader::{Known, decisions};
use crate::record::End;

/// Pause before servers are asked again that did not do something.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest time between two looks at a step, if no change wakes before.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the steps of a plan share.
pub(super) struct Shared {
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) fleet: FleetBackend,
    pub(super) plan: Uuid,
    /// For what a step is made of; where the plan stands is known elsewhere.
    pub(super) rules: PlanRules,
    /// Who reads the output of other steps: it is in memory as long.
    pub(super) readers: Semaphore,
    /// Who submits.
    pub(super) submitters: Semaphore,
    /// Is told which step a worker runs.
    pub(super) running: mpsc::UnboundedSender<(usize, String)>,
}

/// A step that may start, or runs.
pub(super) struct Step {
    pub(super) shared: Arc<Shared>,
    pub(super) step: usize,
    pub(super) wanted: watch::Receiver<Wanted>,
    /// Why it could not be submitted.
    pub(super) refusal: Option<Ending>,
}

impl Step {
    /// Sees to a step until it has ended. Others may do the same at the same time: each thing that
    /// decides is decided in the log of the step.
    pub(super) async fn attend(mut self) -> (usize, Closed) {
        if *self.wanted.borrow() == Wanted::Run
            && let Err(refusal) = self.submit().await
        {
            self.refusal = Some(refusal);
        }
        let (mut changes, mut fence) = (None, 0);
        loop {
            if changes.is_none() {
                let subject = decisions(self.shared.fleet.tenant(), self.id());
                changes = self.shared.cluster.changes(&subject).await.ok();
            }
            match self.look(&mut fence).await {
                Ok(Some(closed)) => return (self.step, closed),
                Ok(None) => self.wait(&mut changes).await,
                Err(error) => {
                    tracing::debug!(id = %self.id(), %error, "a step could not be looked at");
                    pause(AGAIN).await;
                }
            }
        }
    }

    fn id(&self) -> Uuid {
        step_id(self.shared.plan, self.step)
    }

    /// Reads where the step stands, and stops it if it is to be. Returns its end.
    async fn look(&mut self, fence: &mut u64) -> Result<Option<Closed>, FleetError> {
        let (mut known, mut end) = self.shared.fleet.client().look(self.id(), 0).await?;
        if let Some(expect) = self.cancels(&known) {
            let client = self.shared.fleet.client();
            let seq = match client.append_cancel(self.id(), "its plan stops it", None, expect).await
            {
                Err(FleetError::Cluster(ClusterError::Conflict { .. })) => {
                    client.look(self.id(), 0).await?.0.last
                }
                appended => appended?,
            };
            (known, end) = client.look(self.id(), seq).await?;
        }
        if let Some(start) = known.state.running().filter(|start| start.fence > *fence) {
            *fence = start.fence;
            let _ended = self.shared.running.send((self.step, start.worker.clone()));
        }
        Ok(known.state.is_closed().then(|| self.closed(&known, end)))
    }

    /// Returns the condition of a cancel, if the step is to be cancelled now.
    fn cancels(&self, known: &Known) -> Option<Expect> {
        if known.state.outcome().is_some() {
            return None;
        }
        let is_unstarted = known.state.starts().is_empty();
        let wanted = *self.wanted.borrow();
        match wanted {
            Wanted::Stop => Some(Expect::Anything),
            Wanted::NoStart if is_unstarted => Some(Expect::Last(known.last)),
            // Another conductor may have been able to submit it.
            _ if self.refusal.is_some() && is_unstarted => Some(Expect::Last(known.last)),
            _ => None,
        }
    }

    fn closed(&mut self, known: &Known, end: Option<Box<End>>) -> Closed {
        let unknown = Outcome::Ended;
        let outcome = known.state.outcome().unwrap_or(&unknown);
        let starts = known.state.starts();
        let is_cancelled = matches!(outcome, Outcome::Cancelled { .. });
        let is_unstarted = is_cancelled && starts.is_empty();
        let has_report = end.is_some();
        let result = result(self.id(), outcome, end, None);
        let attempts = starts.last().map_or(0, |start| start.attempt);
        let ran = has_report.then(|| StepRun::of(&result, attempts));
        let ending = match self.refusal.take().filter(|_| is_unstarted) {
            Some(refusal) => refusal,
            None => result.ending,
        };
        Closed { ending, is_unstarted, ran }
    }

    /// Waits until there may be something new.
    async fn wait(&mut self, changes: &mut Option<Changes>) {
        let changed = async {
            match changes {
                Some(changes) => changes.next().await,
                None => pause(AGAIN).await,
            }
        };
        tokio::select! {
            () = changed => {}
            wanted = self.wanted.changed() => if wanted.is_err() {
                // The conductor is gone, and with it this task.
                std::future::pending::<()>().await;
            },
            () = pause(LOOK_EVERY) => {}
        }
    }

    /// Submits the step, unless it is not to start any more. It may be submitted already, by this
    /// conductor or another one.
    ///
    /// # Errors
    ///
    /// Its ending, if it cannot be submitted.
    async fn submit(&mut self) -> Result<(), Ending> {
        let shared = Arc::clone(&self.shared);
        let rules = &shared.rules;
        let takes = rules.takes_from(self.step).next().is_some()
            || rules.takes_files_from(self.step).next().is_some();
        let limit = if takes { &shared.readers } else { &shared.submitters };
        // Neither is ever closed.
        let _permit = limit.acquire().await.ok();
        while *self.wanted.borrow() == Wanted::Run {
            match self.try_submit().await {
                Ok(Some(refusal)) => return Err(refusal),
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::warn!(id = %self.id(), %error, "a step is submitted again");
                    tokio::select! {
                        () = pause(AGAIN) => {}
                        _ = self.wanted.changed() => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Submits the step once. The inner ending says why it cannot be.
    async fn try_submit(&self) -> Result<Option<Ending>, ExecutionError> {
        let (shared, client) = (&self.shared, self.shared.fleet.client());
        let backend = |error: FleetError| ExecutionError::backend(error.to_string());
        let (known, _) = client.look(self.id(), 0).await.map_err(backend)?;
        let is_over = known.state.outcome().is_some();
        if is_over && !known.state.starts().is_empty() {
            return Ok(None);
        }
        // Also of one that was cancelled before its start: a conductor that was lost may have done that because
        // of what is found here again.
        let prepared = prepare(client, &shared.rules, shared.plan, self.step).await;
        let (mut request, mut options) = match prepared.map_err(backend)? {
            Ok(prepared) => prepared,
            Err(ending) => return Ok(Some(ending)),
        };
        request.id = self.id();
        let input = take_large_input(&mut options);
        let refused = |error: &dyn std::fmt::Display| {
            Ok(Some(Ending::SpawnFailed { reason: error.to_string(), os_error: None }))
        };
        if let Err(error) = shared.fleet.check(&request, &options) {
            return refused(&error);
        }
        if is_over {
            return Ok(None);
        }
        match shared.fleet.submit(&request, &options).await {
            // By this conductor or an earlier one: the id is that of this step alone.
            Ok(()) | Err(ExecutionError::DuplicateId(_)) => {}
            Err(error @ ExecutionError::Validation(_)) => return refused(&error),
            Err(error) => return Err(error),
        }
        if let Some(input) = input {
            self.write(&request, &options, &input).await?;
        }
        Ok(None)
    }

    /// Writes input that is too large for a ticket.
    async fn write(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
        input: &Bytes,
    ) -> Result<(), ExecutionError> {
        let (pool, _) = self.shared.fleet.queue(options)?;
        let written = self.shared.fleet.client().write_whole_input(request.id, pool, input).await;
        written.map_err(|error| ExecutionError::backend(error.to_string()))
    }
}

/// Takes input out of options that is too large for a ticket: it is written while the program runs.
fn take_large_input(options: &mut ExecutionOptions) -> Option<Bytes> {
    match &options.stdin {
        StdinSource::Bytes { data } if data.len() > MAX_STDIN_BYTES => {
            let data = data.clone();
            options.stdin = StdinSource::Piped;
            Some(data)
        }
        _ => None,
    }
}
