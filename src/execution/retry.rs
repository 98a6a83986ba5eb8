//! Another attempt: the pause before it, and the beginning of it.

use std::time::Instant;

use execution_engine_process::Launch;

use super::completion::{AttemptOutcome, CompletionGuard};
use super::state::StateInput;
use super::supervisor::{ExecutionParams, StartedExecution};
use crate::output::{ExecutionLogs, OutputSettings};
use crate::time;
use crate::types::{ExecutionEvent, RetryPolicy};

/// What another attempt needs. The permit stays with the execution meanwhile, so that the latest
/// moment of its end is known when it begins: all attempts and all pauses together.
pub(crate) struct RetryContext {
    pub(crate) launch: Launch,
    pub(crate) retry: RetryPolicy,
    pub(crate) plan: OutputSettings,
    pub(crate) terms: Box<ExecutionParams>,
}

impl CompletionGuard {
    /// After an attempt: if another one is to follow, notes this one and waits for the time of the
    /// next. What there is to tell comes back if there is none after all, because this was the last
    /// or because somebody wanted the execution to end.
    pub(super) async fn rest(
        &mut self,
        again: &RetryContext,
        logs: &mut ExecutionLogs,
        outcome: AttemptOutcome,
    ) -> Result<(), AttemptOutcome> {
        let Some(ending) = self.live().decision() else { return Err(outcome) };
        if self.live().apply(StateInput::Rest).is_err() {
            return Err(outcome);
        }
        // Of an attempt that could not be started it is still open.
        self.live().inbox().close();
        let (attempt, all) = (self.live().attempt(), again.retry.attempts);
        let pause = again.retry.pause(attempt, fastrand::u64(..));
        logs.note(&format!("attempt {attempt} of {all}: {ending}; the next one in {pause:?}"));
        let execution_id = self.live().profile().id;
        self.note_attempt(ending.clone(), outcome);
        self.tell(ExecutionEvent::Retrying { execution_id, attempt, ending, pause });
        tokio::select! {
            biased;
            () = self.live().stopped() => {}
            () = time::sleep_until(Instant::now().checked_add(pause)) => {}
        }
        self.live().apply(StateInput::RetryContext).map_err(|_| self.no_outcome())
    }

    /// Begins the next attempt.
    pub(super) fn again(
        self,
        again: Box<RetryContext>,
        logs: ExecutionLogs,
    ) -> Box<StartedExecution> {
        self.live().reopen();
        self.journal().start_over();
        let RetryContext { launch, plan, terms, .. } = &*again;
        let (launch, plan, terms) = (launch.clone(), plan.clone(), terms.again());
        StartedExecution::attempt(self, launch, logs, plan, terms, Some(again))
    }
}
