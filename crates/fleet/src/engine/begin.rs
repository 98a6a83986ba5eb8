//! The begin and the end of a start: its files, its program, and what is told of its end.

use std::sync::Arc;

use chrono::Utc;
use execution_engine::{
    Duration, Ending, Execution, ExecutionEngine, ExecutionError, ExecutionOptions,
    ExecutionRequest, ExecutionResult, ProgramFault,
};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::files::Workspace;
use super::request::TicketError;
use super::runner::{Route, ended};
use crate::cluster::Cluster;
use crate::worker::ProgramEvent;

/// A start that is to begin.
pub(super) struct Begin {
    pub(super) engine: ExecutionEngine,
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) tenant: String,
    pub(super) id: Uuid,
    pub(super) request: ExecutionRequest,
    pub(super) options: ExecutionOptions,
    pub(super) events: mpsc::Sender<ProgramEvent>,
    pub(super) route: Route,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) has_started: watch::Sender<bool>,
}

impl Begin {
    pub(super) fn has_files(&self) -> bool {
        !self.options.inputs.is_empty() || !self.options.collect.is_empty()
    }

    /// Places the inputs and starts the program, unless it is stopped before. A task does that, so what
    /// goes wrong is told as its end.
    pub(super) async fn with_files(mut self) {
        let (events, id) = (self.events.clone(), self.id);
        let mut stopped = self.stopped.clone();
        let prepared = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            prepared = Workspace::prepare(
                &*self.cluster, &self.tenant, &mut self.request, &mut self.options,
            ) => Some(prepared),
        };
        let failed = match prepared {
            None => {
                let now = Utc::now();
                Some(ExecutionResult::unobserved(id, now, now, Ending::Cancelled))
            }
            Some(Ok(workspace)) => {
                self.start(workspace).await.err().map(|failed| failed.result(id))
            }
            Some(Err(reason)) => Some(NotStarted::from(reason).result(id)),
        };
        if let Some(failed) = failed {
            let _given_up = events.send(ended(id, failed)).await;
        }
    }

    /// Starts the program. A task tells its end.
    pub(super) async fn start(self, workspace: Option<Workspace>) -> Result<(), NotStarted> {
        let local = self.request.id;
        let execution = self.engine.start_with(self.request, self.options).await?;
        self.has_started.send_replace(true);
        if *self.stopped.borrow() {
            // The engine did not know it when it was told to stop.
            let _ended = self.engine.cancel_within(local, Duration::ZERO).await;
        }
        let end = Telling {
            cluster: self.cluster,
            tenant: self.tenant,
            id: self.id,
            events: self.events,
            route: self.route,
            workspace,
            stopped: self.stopped,
        };
        tokio::spawn(end.tell(execution));
        Ok(())
    }
}

/// What is needed to tell the end of a start.
struct Telling {
    cluster: Arc<dyn Cluster>,
    tenant: String,
    id: Uuid,
    events: mpsc::Sender<ProgramEvent>,
    route: Route,
    workspace: Option<Workspace>,
    stopped: watch::Receiver<bool>,
}

impl Telling {
    /// Waits for the end of an execution, behind all of its output, collects its files, and tells it.
    async fn tell(self, execution: Execution) {
        let mut result = match execution.wait().await {
            Ok(result) => result,
            Err(error) => NotStarted::from(error).result(self.id),
        };
        drop(self.route);
        if let Some(workspace) = self.workspace
            && !matches!(result.ending, Ending::SpawnFailed { .. })
        {
            // A stop does not wait for uploads.
            workspace.collect(&*self.cluster, &self.tenant, &mut result, self.stopped).await;
        }
        let _given_up = self.events.send(ended(self.id, result)).await;
    }
}

/// Why a start has no program.
pub(super) struct NotStarted {
    reason: String,
    /// The number of the system's error; of a program that is missing or cannot be run, what a shell would meet.
    os_error: Option<i32>,
}

impl NotStarted {
    pub(super) fn result(self, id: Uuid) -> ExecutionResult {
        let (now, Self { reason, os_error }) = (Utc::now(), self);
        ExecutionResult::unobserved(id, now, now, Ending::SpawnFailed { reason, os_error })
    }
}

impl From<ExecutionError> for NotStarted {
    fn from(error: ExecutionError) -> Self {
        let os_error = match &error {
            ExecutionError::SpawnFailed { os_error, .. } => *os_error,
            error => error.program_fault().map(ProgramFault::os_error),
        };
        Self { reason: error.to_string(), os_error }
    }
}

impl From<TicketError> for NotStarted {
    fn from(error: TicketError) -> Self {
        Self { reason: error.to_string(), os_error: None }
    }
}

impl From<String> for NotStarted {
    fn from(reason: String) -> Self {
        Self { reason, os_error: None }
    }
}
