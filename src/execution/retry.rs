//! Another attempt: the pause before it, and the beginning of it.

use std::time::Instant;

use execution_engine_process::Launch;

use super::duty::{Duty, Outcome};
use super::state::Input;
use super::supervisor::{Job, Terms};
use crate::model::{ExecutionEvent, Retry};
use crate::moment;
use crate::output::{Logs, PumpPlan};

/// What another attempt needs. The permit stays with the execution meanwhile, so that the latest
/// moment of its end is known when it begins: all attempts and all pauses together.
pub(crate) struct Again {
    pub(crate) launch: Launch,
    pub(crate) retry: Retry,
    pub(crate) plan: PumpPlan,
    pub(crate) terms: Box<Terms>,
}

impl Duty {
    /// After an attempt: if another one is to follow, notes this one and waits for the time of the
    /// next. What there is to tell comes back if there is none after all, because this was the last
    /// or because somebody wanted the execution to end.
    pub(super) async fn rest(
        &mut self,
        again: &Again,
        logs: &mut Logs,
        outcome: Outcome,
    ) -> Result<(), Outcome> {
        let Some(ending) = self.live().decision() else { return Err(outcome) };
        if self.live().apply(Input::Rest).is_err() {
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
            () = moment::reached(Instant::now().checked_add(pause)) => {}
        }
        self.live().apply(Input::Again).map_err(|_| self.no_outcome())
    }

    /// Begins the next attempt.
    pub(super) fn again(self, again: Box<Again>, logs: Logs) -> Box<Job> {
        self.live().reopen();
        self.journal().start_over();
        let Again { launch, plan, terms, .. } = &*again;
        let (launch, plan, terms) = (launch.clone(), plan.clone(), terms.again());
        Job::attempt(self, launch, logs, plan, terms, Some(again))
    }
}
