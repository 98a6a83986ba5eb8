//! How steps of a plan become executions.

use std::collections::HashMap;

use execution_engine::{Ending, SkipReason};
use futures_util::future::join_all;
use uuid::Uuid;

use super::run::Run;
use crate::error::{ErrorCode, ServiceError};
use crate::faults;
use crate::service::inner::{RETRY, pause};
use crate::view::NewExecution;

/// How many steps are submitted before it is looked at what has happened meanwhile.
const AT_A_TIME: usize = 64;

/// What became of a step that was to be submitted.
enum Submitted {
    /// It is this execution.
    Begun(Uuid),
    /// It could not be, and that is an event now.
    Refused,
    /// The plan was stopped meanwhile.
    Stopped,
}

impl Run {
    /// Submits some of the steps that may start, and ends those that may not any more. Returns `false` if the service
    /// ends.
    pub(super) async fn submit_some(&mut self) -> bool {
        let number = self.ready.len().min(AT_A_TIME);
        let some: Vec<usize> = self.ready.drain(..number).collect();
        let submitted = join_all(some.iter().map(|step| self.submit(*step))).await;
        for (step, submitted) in some.into_iter().zip(submitted) {
            match submitted {
                Some(Submitted::Begun(execution)) => self.begin(step, execution),
                Some(Submitted::Refused) => self.plan.wake.notify_one(),
                Some(Submitted::Stopped) => self.ready.push(step),
                None => return false,
            }
        }
        for step in std::mem::take(&mut self.withdrawn) {
            let ending = Ending::NotRun { reason: self.reason(step) };
            if self.end_unstarted(step, ending).await.is_none() {
                return false;
            }
            self.plan.wake.notify_one();
        }
        if !self.ready.is_empty() {
            self.plan.wake.notify_one();
        }
        true
    }

    /// Submits a step. None is a service that ends.
    async fn submit(&self, step: usize) -> Option<Submitted> {
        faults::at("plan_before_step");
        let takes = self.rules.takes_from(step).next().is_some();
        // Until it is stored: what it takes is in memory as long.
        let _permit = if takes { self.readers.acquire().await.ok() } else { None };
        let new = loop {
            match self.new_execution(step).await {
                Ok(Ok(new)) => break new,
                Ok(Err(reason)) => {
                    self.end_unstarted(step, Ending::NotRun { reason }).await?;
                    return Some(Submitted::Refused);
                }
                Err(error) => self.wait_after(&error).await?,
            }
        };
        loop {
            let (owner, of) = (self.plan.stored.owner, self.of(step));
            match self.inner.submit(new.clone(), None, owner, Some(of)).await {
                Ok(submitted) if submitted.created => {
                    faults::at("plan_after_step");
                    return Some(Submitted::Begun(submitted.execution.id));
                }
                Ok(submitted) => {
                    let id = submitted.execution.id;
                    let text = format!("its id {id} is that of another execution");
                    return self.refused(step, &ServiceError::invalid("id", text)).await;
                }
                Err(error) if error.code == ErrorCode::PlanStopped => {
                    return Some(Submitted::Stopped);
                }
                Err(error) if is_final(error.code) => return self.refused(step, &error).await,
                Err(error) => self.wait_after(&error).await?,
            }
        }
    }

    /// Makes the execution of a step, with the output that it takes from others.
    async fn new_execution(
        &self,
        step: usize,
    ) -> Result<Result<NewExecution, SkipReason>, ServiceError> {
        let mut limits: HashMap<usize, usize> = HashMap::new();
        for (from, most) in self.rules.takes_from(step) {
            let limit = limits.entry(from).or_default();
            *limit = (*limit).max(most);
        }
        let mut outputs = HashMap::new();
        for (from, limit) in limits {
            let execution = self.known.get(&from).and_then(|it| it.execution);
            let output = match execution {
                Some(execution) => self.inner.taken_output(execution, limit).await?,
                None => Err("it never ran".to_string()),
            };
            outputs.insert(from, output.map(|bytes| (bytes.clone(), bytes.len() as u64)));
        }
        let output = |from: usize| outputs.get(&from).cloned().unwrap_or(Err(String::new()));
        let prepared = self.rules.prepare(step, output);
        Ok(prepared.map(|(request, options)| {
            self.secret.new_execution(request, options, self.plan.stored.round)
        }))
    }

    /// Waits until something that failed may be tried again. None is a service that ends.
    async fn wait_after(&self, error: &ServiceError) -> Option<()> {
        if error.code == ErrorCode::Stopping {
            return None;
        }
        if error.code != ErrorCode::StoreFull {
            tracing::error!(%error, "a step of a plan is tried again");
        }
        let again = async {
            pause(RETRY).await;
            self.inner.store.writable().await
        };
        self.inner.unless_closing(again).await.ok()?.ok()
    }

    /// Stores that a step could not be submitted.
    async fn refused(&self, step: usize, error: &ServiceError) -> Option<Submitted> {
        let ending = Ending::SpawnFailed { reason: error.to_string(), os_error: None };
        self.end_unstarted(step, ending).await?;
        Some(Submitted::Refused)
    }

    async fn end_unstarted(&self, step: usize, ending: Ending) -> Option<()> {
        let (of, store) = (self.of(step), &self.inner.store);
        self.inner
            .until_stored(|| async { Ok(store.end_step_unstarted(of, ending.clone()).await?) })
            .await
    }
}

/// Returns `true` if the same request would be refused again.
fn is_final(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::Stopping | ErrorCode::StoreFull | ErrorCode::Internal)
}
