//! An execution that waits in the queue: a request checked and resolved, and nothing else. It has no
//! process and no open file.

use std::path::Path;

use execution_engine_process::Launch;

use super::duty::Duty;
use super::live::Live;
use super::retry::Again;
use super::supervisor::{Job, Terms};
use crate::error::ExecutionError;
use crate::model::Ending;
use crate::output::{LogHeader, LogPlan, Logs, PumpPlan};

/// What is needed to start it when its turn has come.
pub(crate) struct Waiting {
    pub(crate) duty: Duty,
    pub(crate) launch: Launch,
    pub(crate) logs: LogPlan,
    pub(crate) plan: PumpPlan,
    pub(crate) terms: Box<Terms>,
    pub(crate) again: Option<Box<Again>>,
}

impl Waiting {
    /// Waits for the permit, then runs the program. Stopped before, it ends at once.
    pub(crate) async fn run(self) {
        let Self { mut duty, launch, logs, plan, terms, again } = self;
        if !duty.admitted().await {
            return duty.end_without_program();
        }
        match open_logs(&logs, duty.live(), launch.working_dir.as_deref()) {
            // On the heap only now, so that those who wait stay small.
            Ok(logs) => Box::pin(Job::attempt(duty, launch, logs, plan, terms, again).run()).await,
            Err(error) => {
                duty.decide(Ending::SpawnFailed { reason: error.to_string(), os_error: None });
                duty.end_without_program();
            }
        }
    }
}

/// Opens the logs of an execution that is about to start.
pub(crate) fn open_logs(
    plan: &LogPlan,
    live: &Live,
    working_dir: Option<&Path>,
) -> Result<Logs, ExecutionError> {
    let profile = live.profile();
    let mut logs = Logs::open(plan, profile.id)?;
    logs.header(&LogHeader {
        id: profile.id,
        command: &profile.command,
        working_dir,
        started_at: profile.started_at(live.waited()),
    });
    Ok(logs)
}
