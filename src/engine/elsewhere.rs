//! Executions that run elsewhere, with a backend: starting them, and finding those that others have
//! started.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use execution_engine_process::PassedDescriptors;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::core::EngineCore;
use super::{Execution, ExecutionEngine};
use crate::backend::{Backend, BackendExecution};
use crate::error::{ExecutionError, Result};
use crate::execution::{
    ActiveExecution, CompletionGuard, Followed, PhaseContext, Remote, Submission, ask, instant_of,
    stdin_pair,
};
use crate::output::{ExecutionLogs, Journal, JournalOwner, LogTargets};
use crate::prepare;
use crate::store::{ExecutionEntry, ExecutionInfo, Origin, RequestNotes};
use crate::time::Deadline;
use crate::types::{ExecutionMetadata, ExecutionOptions, ExecutionRequest, StdinSource};
use crate::waker;

/// What the engine knows of an execution before it is registered.
struct Identity<'a> {
    id: Uuid,
    command: String,
    metadata: &'a ExecutionMetadata,
    /// None is now.
    accepted_at: Option<DateTime<Utc>>,
}

/// An execution that was registered, and the answer of the backend that is still to come.
pub(super) type Submitted = (Arc<ActiveExecution>, oneshot::Receiver<Result<()>>);

impl ExecutionEngine {
    /// Returns the executions that the [backend](crate::EngineBuilder::backend) knows, of all
    /// submitters. [`list_executions`](Self::list_executions) has those that this engine has started
    /// or was asked about.
    ///
    /// # Errors
    /// [`NoBackend`](ExecutionError::NoBackend) without a backend, else what the backend says.
    ///
    /// # Cancel safety
    /// Listing changes nothing, so the future can be dropped at any point.
    pub async fn list_backend(&self) -> Result<Vec<BackendExecution>> {
        self.core.check_process()?;
        let backend = self.core.backend.clone().ok_or(ExecutionError::NoBackend)?;
        self.core.start_threads()?;
        ask(&self.core.shared, async move { backend.list().await }).await
    }

    /// Returns true if executions run elsewhere, so that methods that do not wait otherwise do.
    pub(crate) fn has_backend(&self) -> bool {
        self.core.backend.is_some()
    }

    /// Submits an execution and waits for the answer.
    pub(super) async fn start_elsewhere(
        &self,
        backend: Arc<dyn Backend>,
        request: ExecutionRequest,
        options: ExecutionOptions,
        passed: PassedDescriptors,
    ) -> Result<Execution> {
        prepare::nothing_passed(&passed)?;
        let id = request.id;
        let origin = Origin::Caller;
        let (active, answer) = self.core.submit(backend, request, options, origin, |_| ())?;
        let lost = |_| ExecutionError::outcome_unknown(id, "the call of the backend has panicked");
        waker::catching(answer).await.map_err(lost)??;
        Ok(Execution::new(active, self.core.view(), &self.core.shared))
    }

    /// Returns an execution that this engine has not started, if its backend knows it.
    ///
    /// # Errors
    /// `unknown`, if it does not.
    pub(super) async fn attach(
        &self,
        id: Uuid,
        unknown: ExecutionError,
    ) -> Result<Arc<ActiveExecution>> {
        let (Some(backend), ExecutionError::NotFound(_)) = (&self.core.backend, &unknown) else {
            return Err(unknown);
        };
        self.core.start_threads()?;
        let asked = Arc::clone(backend);
        let found = ask(&self.core.shared, async move { asked.find(id).await }).await?;
        let found = found.ok_or(unknown)?;
        match self.core.follow(Arc::clone(backend), found) {
            // Another call was faster.
            Err(ExecutionError::DuplicateId(_)) => match self.core.shared.registry.get(id) {
                Some(ExecutionEntry::Active(active)) => Ok(active),
                _ => Err(ExecutionError::NotFound(id)),
            },
            followed => followed,
        }
    }

    /// Returns an execution elsewhere as soon as all is here that was known when it was found.
    pub(super) async fn settled(
        active: Arc<ActiveExecution>,
    ) -> Result<ExecutionEntry<ActiveExecution>> {
        let Some(remote) = active.remote() else { return Ok(ExecutionEntry::Active(active)) };
        remote.caught_up().await;
        match active.ending() {
            Some(Some(record)) => Ok(ExecutionEntry::Ended(record)),
            Some(None) => Err(remote.gone()),
            None => Ok(ExecutionEntry::Active(active)),
        }
    }
}

impl EngineCore {
    /// Registers an execution and submits it on a thread of the engine. A refused request leaves
    /// nothing behind.
    pub(super) fn submit(
        &self,
        backend: Arc<dyn Backend>,
        mut request: ExecutionRequest,
        options: ExecutionOptions,
        origin: Origin<'_>,
        admitted: impl FnOnce(&Arc<ActiveExecution>),
    ) -> Result<Submitted> {
        self.check_process()?;
        self.check_elsewhere(&*backend, &request, &options)?;
        request.timeout_ms.get_or_insert(self.config.default_timeout_ms);
        self.start_threads()?;
        let identity = Identity {
            id: request.id,
            command: request.command.to_string(),
            metadata: &request.metadata,
            accepted_at: None,
        };
        let remote = Remote::new(request.id, Arc::clone(&backend), &self.shared);
        let cx = self.register(identity, remote, origin)?;
        let mut guard = CompletionGuard::new(cx, None);
        guard.tell_history(&request, &options);
        let active = Arc::clone(&guard.active);
        admitted(&active);
        let logs = match self.shared.open_logs(&self.logs_elsewhere(), &active, None) {
            Ok(logs) => logs,
            Err(error) => {
                guard.refuse();
                return Err(error);
            }
        };
        let (reply, answer) = oneshot::channel();
        let reply = matches!(origin, Origin::Caller).then_some(reply);
        let partial = options.partial_lines_after_ms;
        let followed = self.followed(guard, backend, logs, partial);
        let submission = Box::new(Submission { request, options, reply });
        self.shared.runtime.spawn(followed.submit(submission));
        Ok((active, answer))
    }

    /// Checks a request for the backend.
    pub(super) fn check_elsewhere(
        &self,
        backend: &dyn Backend,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<(), crate::error::ValidationError> {
        prepare::check_elsewhere(request, options, &self.config)?;
        backend.check(request, options)
    }

    /// Registers an execution that was accepted before, and follows it from its first record on.
    fn follow(
        &self,
        backend: Arc<dyn Backend>,
        found: BackendExecution,
    ) -> Result<Arc<ActiveExecution>> {
        let BackendExecution { id, command, metadata, accepted_at, cursor, .. } = found;
        let identity =
            Identity { id, command, metadata: &metadata, accepted_at: Some(accepted_at) };
        let remote = Remote::new(id, Arc::clone(&backend), &self.shared).accepted_before(cursor);
        let cx = self.register(identity, remote, Origin::Caller)?.without_sink();
        let active = Arc::clone(&cx.active);
        let guard = CompletionGuard::new(cx, None);
        let followed = self.followed(guard, backend, ExecutionLogs::default(), None);
        self.shared.runtime.spawn(followed.follow());
        Ok(active)
    }

    /// Makes an execution without process and permit, and lets it be seen.
    fn register(
        &self,
        identity: Identity<'_>,
        remote: Remote,
        origin: Origin<'_>,
    ) -> Result<PhaseContext> {
        let Identity { id, command, metadata, accepted_at } = identity;
        let owner = JournalOwner { id, number: self.shared.registry.next_number() };
        let command: Arc<str> = command.into();
        let notes = RequestNotes::of(metadata, None);
        let info = ExecutionInfo::new(owner, Arc::clone(&command), notes);
        let info = match accepted_at {
            Some(at) => info.accepted_at(at),
            None => info,
        };
        let journal = Journal::new(owner, command, self.journal_limits());
        let journal = Arc::new(journal.with_metadata(info.metadata()));
        let publisher = self.publisher(Arc::clone(&journal))?;
        // What is written goes to the backend.
        let (stdin, _) = stdin_pair(&StdinSource::Null);
        let accepted = accepted_at.map_or_else(Instant::now, instant_of);
        let active = ActiveExecution::new(info, journal, stdin, Deadline::never(), None);
        let active = Arc::new(active.elsewhere(remote, accepted));
        self.shared.registry.register(id, &active, origin)?;
        // No program here holds up a plan.
        Ok(PhaseContext::new(active, Arc::clone(&self.shared), publisher, None))
    }

    fn followed(
        &self,
        guard: CompletionGuard,
        backend: Arc<dyn Backend>,
        logs: ExecutionLogs,
        partial_lines_after_ms: Option<u64>,
    ) -> Followed {
        let output = self.output(partial_lines_after_ms, guard.active.journal());
        Followed::new(guard, backend, logs, output, self.settings.drain)
    }

    /// Returns the logs of an execution elsewhere. One that its request names is written there.
    fn logs_elsewhere(&self) -> LogTargets {
        LogTargets {
            raw: None,
            dir: self.config.log_dir.clone(),
            rotation: self.settings.log_rotation,
            max_line_bytes: self.settings.max_line_bytes,
        }
    }
}
