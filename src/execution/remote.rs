//! Link of an execution that runs elsewhere: what its backend is asked for, and how far it has been
//! followed.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::active::ActiveExecution;
use super::context::ExecutionContext;
use super::state::StateInput;
use crate::backend::{Backend, Pauses};
use crate::error::{ExecutionError, Result};
use crate::types::{ControlAction, Ending};
use crate::waker;

/// Link of an execution to the backend that runs it.
pub(crate) struct Remote {
    id: Uuid,
    backend: Arc<dyn Backend>,
    /// What executions share. It holds the registry, which holds this.
    engine: Weak<ExecutionContext>,
    progress: watch::Sender<RemoteProgress>,
}

/// How far an execution elsewhere has come, as this engine knows it.
#[derive(Debug, Default)]
pub(super) struct RemoteProgress {
    /// The backend has accepted it.
    pub(super) is_accepted: bool,
    /// Cursor up to which its records were followed.
    pub(super) followed: u64,
    /// Up to where they are to be followed before anything is said of it.
    known: u64,
    /// What has asked for its end from here, first.
    pub(super) stop: Option<StateInput>,
    /// It is followed no longer, although it has no ending.
    pub(super) left: Option<Left>,
}

impl RemoteProgress {
    /// Notes that nothing follows.
    pub(super) fn end(&mut self) {
        self.followed = u64::MAX;
    }

    fn has_ended(&self) -> bool {
        self.followed == u64::MAX
    }
}

/// Why an execution is followed no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Its engine is closed. It goes on.
    EngineClosed,
    /// The backend does not know it.
    Unknown,
}

impl Remote {
    /// Creates the link of an execution that is about to be submitted.
    pub(crate) fn new(id: Uuid, backend: Arc<dyn Backend>, engine: &Arc<ExecutionContext>) -> Self {
        let progress = watch::Sender::new(RemoteProgress::default());
        Self { id, backend, engine: Arc::downgrade(engine), progress }
    }

    /// Makes it the link of an execution that was accepted before, and whose records reach so far.
    pub(crate) fn accepted_before(self, known: u64) -> Self {
        self.progress.send_modify(|progress| {
            progress.is_accepted = true;
            progress.known = known;
        });
        self
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut RemoteProgress)) {
        self.progress.send_modify(change);
    }

    /// Waits until its progress is like this, and returns what `seen` returns of it. Cancel safe.
    pub(super) async fn when<T>(
        &self,
        mut seen: impl FnMut(&RemoteProgress) -> Option<T>,
    ) -> Option<T> {
        let mut watched = self.progress.subscribe();
        let found = waker::catching(watched.wait_for(|progress| seen(progress).is_some())).await;
        // The sender is this value's own, so it is not gone.
        let found = found.ok()?;
        seen(&found)
    }

    /// Waits until it is followed no longer. Cancel safe.
    pub(super) async fn left(&self) -> Option<Left> {
        self.when(|progress| progress.left).await
    }

    /// Waits until something has asked for its end from here. Cancel safe.
    pub(super) async fn stop_asked(&self) {
        let _asked = self.when(|progress| progress.stop.is_some().then_some(())).await;
    }

    /// Waits until all of its records are here that the backend had when it was found. Cancel safe.
    pub(crate) async fn caught_up(&self) {
        let is_there = |progress: &RemoteProgress| {
            (progress.followed >= progress.known || progress.left.is_some()).then_some(())
        };
        let _there = self.when(is_there).await;
    }

    /// Returns why there is nothing to be had of an execution without a record.
    pub(crate) fn gone(&self) -> ExecutionError {
        let left = self.progress.borrow().left;
        match left {
            Some(Left::EngineClosed) => ExecutionError::Detached(self.id),
            Some(Left::Unknown) | None => ExecutionError::NotFound(self.id),
        }
    }

    /// Stops following it, because its engine is closed.
    pub(super) fn leave(&self) {
        self.update(|progress| {
            progress.left.get_or_insert(Left::EngineClosed);
        });
    }

    /// Cancels it, whatever the backend then says. Calls after the first change nothing.
    pub(super) fn stop(&self, active: &ActiveExecution, input: StateInput) -> Result<(), Ending> {
        if let Some(record) = active.record() {
            return Err(record.ending().clone());
        }
        let mut is_first = false;
        self.update(|progress| {
            is_first = progress.stop.is_none();
            progress.stop.get_or_insert(input);
        });
        let Some(engine) = self.engine.upgrade().filter(|_| is_first) else {
            return Err(Ending::Cancelled);
        };
        let (id, backend) = (self.id, Arc::clone(&self.backend));
        let mut watched = self.progress.subscribe();
        engine.runtime.spawn(async move {
            let accepted = watched.wait_for(|it| it.is_accepted || it.left.is_some()).await;
            if accepted.is_ok_and(|progress| progress.left.is_none()) {
                let is_over =
                    |progress: &RemoteProgress| progress.left.is_some() || progress.has_ended();
                tokio::select! {
                    () = cancel_until_told(id, &*backend) => {}
                    _over = watched.wait_for(is_over) => {}
                }
            }
        });
        Ok(())
    }

    /// Cancels it. Ok means that this is its ending.
    pub(crate) async fn cancel(&self, grace: Option<Duration>) -> Result<()> {
        let (id, backend) = (self.id, Arc::clone(&self.backend));
        self.when_accepted().await?;
        self.update(|progress| {
            progress.stop.get_or_insert(StateInput::Decide(Ending::Cancelled));
        });
        self.call(async move { backend.cancel(id, grace).await }).await
    }

    pub(crate) async fn control(&self, action: ControlAction) -> Result<u32> {
        let (id, backend) = (self.id, Arc::clone(&self.backend));
        self.when_accepted().await?;
        self.call(async move { backend.control(id, action).await }).await
    }

    pub(crate) async fn write_stdin(&self, bytes: Bytes) -> Result<usize> {
        let (id, backend) = (self.id, Arc::clone(&self.backend));
        self.when_accepted().await?;
        self.call(async move { backend.write_stdin(id, bytes).await }).await
    }

    pub(crate) async fn close_stdin(&self) -> Result<()> {
        let (id, backend) = (self.id, Arc::clone(&self.backend));
        self.when_accepted().await?;
        self.call(async move { backend.close_stdin(id).await }).await
    }

    /// Waits until the backend has it, so that no call comes before it.
    async fn when_accepted(&self) -> Result<()> {
        let settled = |progress: &RemoteProgress| match progress.left {
            Some(_) => Some(false),
            None => progress.is_accepted.then_some(true),
        };
        match self.when(settled).await {
            Some(true) => Ok(()),
            _ => Err(self.gone()),
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(engine) = self.engine.upgrade() else { return Err(self.gone()) };
        let answer = ask(&engine, call);
        // Not held while the answer is waited for: it is what ends with the engine.
        drop(engine);
        answer.await
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}

/// Cancels an execution, however long the backend cannot be reached.
async fn cancel_until_told(id: Uuid, backend: &dyn Backend) {
    let mut pauses = Pauses::new();
    while let Err(error) = caught(backend.cancel(id, None)).await {
        if matches!(error, ExecutionError::AlreadyEnded { .. }) || error.is_lookup() {
            return;
        }
        tracing::warn!(%id, %error, "an execution could not be cancelled; trying again");
        pauses.next().await;
    }
}

/// Awaits a call of a backend. One that panics has failed.
pub(super) async fn caught<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        waker::discard(panic);
        Err(ExecutionError::backend("its call has panicked"))
    })
}

/// Makes a call of a backend on the threads of the engine: the caller may have no reactor, and may
/// drop the future. The call goes on then.
pub(crate) fn ask<T: Send + 'static>(
    engine: &ExecutionContext,
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Result<T>> + Send>> {
    if !engine.containment.is_of_this_process() {
        return Box::pin(std::future::ready(Err(ExecutionError::ForkedHost)));
    }
    let (reply, answer) = oneshot::channel();
    engine.runtime.spawn(async move {
        // The caller may have dropped its future.
        let _unread = reply.send(caught(call).await);
    });
    Box::pin(waker::catching(async move {
        let lost = |_| ExecutionError::backend("the threads of the engine are gone");
        answer.await.map_err(lost)?
    }))
}

impl ActiveExecution {
    /// Notes that the program was started at this moment, by the clock of the place where it runs.
    pub(super) fn started_elsewhere(&self, at: DateTime<Utc>) {
        let start = instant_of(at).max(self.accepted);
        let _once = self.wait_over.set(start);
    }
}

/// Returns the instant of a moment that lies in the past; else now.
pub(crate) fn instant_of(at: DateTime<Utc>) -> Instant {
    let (ago, now) = ((Utc::now() - at).to_std().unwrap_or_default(), Instant::now());
    now.checked_sub(ago).unwrap_or(now)
}
