//! The other machine of these tests: a backend in memory, whose programs are run by an engine of its
//! own, or played by the test.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use execution_engine::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Another machine. It outlives the engines that use it.
pub(super) struct Machine {
    /// None lets the test play the programs.
    engine: Option<ExecutionEngine>,
    handle: Handle,
    jobs: Mutex<Vec<Arc<Job>>>,
    /// How many calls of `next` fail from now on.
    pub(super) next_failures: AtomicUsize,
    /// How many calls of `next` panic from now on.
    pub(super) panics: AtomicUsize,
    /// How many records before its cursor `next` returns again.
    pub(super) repeated: AtomicUsize,
    /// How many answers of `submit` are lost from now on, although the request is accepted.
    pub(super) lost_answers: AtomicUsize,
    /// What the next requests are refused with.
    pub(super) refusals: Mutex<Vec<ExecutionError>>,
    /// How many requests it has been given.
    pub(super) submits: AtomicUsize,
    pub(super) cancels: AtomicUsize,
}

struct Job {
    request: ExecutionRequest,
    options: ExecutionOptions,
    events: watch::Sender<Vec<BackendEvent>>,
}

impl Machine {
    /// Creates a machine that runs what it is given.
    pub(super) fn new() -> Arc<Self> {
        Self::with(Some(ExecutionEngine::new(ExecutionConfig::default()).unwrap()))
    }

    /// Creates a machine on which nothing happens but by [`tell`](Self::tell).
    pub(super) fn played() -> Arc<Self> {
        Self::with(None)
    }

    fn with(engine: Option<ExecutionEngine>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            handle: Handle::current(),
            jobs: Mutex::default(),
            next_failures: AtomicUsize::new(0),
            panics: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
            lost_answers: AtomicUsize::new(0),
            refusals: Mutex::default(),
            submits: AtomicUsize::new(0),
            cancels: AtomicUsize::new(0),
        })
    }

    /// Returns the engine that runs its programs.
    pub(super) fn engine(&self) -> &ExecutionEngine {
        self.engine.as_ref().unwrap()
    }

    /// Returns a new engine whose executions run here.
    pub(super) fn client(self: &Arc<Self>) -> ExecutionEngine {
        ExecutionEngine::builder().backend(self.clone()).build().unwrap()
    }

    /// Lets something happen to an execution.
    pub(super) fn tell(&self, id: Uuid, events: impl IntoIterator<Item = BackendEvent>) {
        self.job(id).unwrap().events.send_modify(|all| all.extend(events));
    }

    /// Forgets an execution, like a log that has grown too old.
    pub(super) fn forget(&self, id: Uuid) {
        self.jobs.lock().unwrap().retain(|job| job.request.id != id);
    }

    /// Returns the options that came with a request.
    pub(super) fn options_of(&self, id: Uuid) -> ExecutionOptions {
        self.job(id).unwrap().options.clone()
    }

    pub(super) fn request_of(&self, id: Uuid) -> ExecutionRequest {
        self.job(id).unwrap().request.clone()
    }

    fn job(&self, id: Uuid) -> Result<Arc<Job>> {
        let jobs = self.jobs.lock().unwrap();
        let job = jobs.iter().find(|job| job.request.id == id);
        job.cloned().ok_or(ExecutionError::NotFound(id))
    }

    /// Records what happens to an execution.
    async fn work(execution: Execution, job: Arc<Job>) {
        let mut chunks = execution.chunks().await.unwrap();
        let mut attempt = 1;
        while let Some(record) = chunks.next().await {
            let event = match record.content {
                ChunkContent::Output { stream, bytes } => BackendEvent::Output { stream, bytes },
                ChunkContent::Event(ExecutionEvent::Started { pid, .. }) => {
                    let place = Place::new("there", attempt, u64::from(attempt));
                    BackendEvent::Started { place, pid, at: record.timestamp }
                }
                ChunkContent::Event(ExecutionEvent::Retrying { ending, delay, .. }) => {
                    attempt += 1;
                    BackendEvent::AttemptLost { ending, delay }
                }
                _ => continue,
            };
            job.events.send_modify(|all| all.push(event));
        }
        let result = execution.wait().await.unwrap();
        job.events.send_modify(|all| all.push(BackendEvent::Ended(Box::new(result))));
    }

    fn found(job: &Job) -> BackendExecution {
        let request = &job.request;
        let (command, at) = (request.command.to_string(), job.accepted_at());
        let mut found = BackendExecution::new(request.id, command, at);
        found.metadata = request.metadata.clone();
        found.cursor = job.events.borrow().len() as u64;
        found
    }
}

impl Job {
    fn accepted_at(&self) -> DateTime<Utc> {
        "2026-10-01T12:00:00Z".parse().unwrap()
    }
}

/// Takes one of those that are left.
fn takes_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Backend for Machine {
    fn check(
        &self,
        request: &ExecutionRequest,
        _: &ExecutionOptions,
    ) -> Result<(), ValidationError> {
        if request.working_dir.as_ref().is_some_and(|dir| dir.is_relative()) {
            let reason = "is relative; the worker has another directory, so make it absolute";
            return Err(ValidationError::invalid_option("working_dir", reason));
        }
        Ok(())
    }

    async fn submit(&self, request: &ExecutionRequest, options: &ExecutionOptions) -> Result<()> {
        self.submits.fetch_add(1, Ordering::SeqCst);
        let refusal = self.refusals.lock().unwrap().pop();
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        match self.job(request.id) {
            Ok(job) if job.request == *request => return Ok(()),
            Ok(_) => return Err(ExecutionError::DuplicateId(request.id)),
            Err(_) => {}
        }
        let (request, options) = (request.clone(), options.clone());
        let (id, events) = (request.id, watch::Sender::new(Vec::new()));
        let job = Arc::new(Job { request, options, events });
        self.jobs.lock().unwrap().push(job.clone());
        if let Some(engine) = &self.engine {
            let execution = engine.start_with(job.request.clone(), job.options.clone()).await?;
            self.handle.spawn(Self::work(execution, job));
        }
        match takes_one(&self.lost_answers) {
            true => Err(ExecutionError::outcome_unknown(id, "the connection broke")),
            false => Ok(()),
        }
    }

    async fn cancel(&self, id: Uuid, grace: Option<Duration>) -> Result<()> {
        self.cancels.fetch_add(1, Ordering::SeqCst);
        let job = self.job(id)?;
        let Some(engine) = &self.engine else {
            let at = job.accepted_at();
            let result = ExecutionResult::unobserved(id, at, at, Ending::Cancelled);
            self.tell(id, [BackendEvent::Ended(Box::new(result))]);
            return Ok(());
        };
        match grace {
            Some(grace) => engine.cancel_within(id, grace).await,
            None => engine.cancel(id).await,
        }
    }

    async fn control(&self, id: Uuid, action: ControlAction) -> Result<u32> {
        match action {
            ControlAction::Signal(signal) => self.engine().signal(id, signal).await,
            ControlAction::Pause => self.engine().pause(id).await.map(|()| 0),
            ControlAction::Resume => self.engine().resume(id).await.map(|()| 0),
            other => Err(ExecutionError::control(id, format!("{other:?} is not known"))),
        }
    }

    async fn write_stdin(&self, id: Uuid, bytes: Bytes) -> Result<usize> {
        self.engine().write_stdin(id, bytes).await
    }

    async fn close_stdin(&self, id: Uuid) -> Result<()> {
        self.engine().close_stdin(id).await
    }

    async fn next(&self, id: Uuid, after: u64) -> Result<Vec<BackendRecord>> {
        if takes_one(&self.next_failures) {
            return Err(ExecutionError::backend("the connection broke"));
        }
        assert!(!takes_one(&self.panics), "as it happens");
        let job = self.job(id)?;
        let repeated = self.repeated.load(Ordering::SeqCst);
        let after = usize::try_from(after).unwrap().saturating_sub(repeated);
        let mut events = job.events.subscribe();
        // An execution may be forgotten while it is followed.
        let more = tokio::time::timeout(
            Duration::from_millis(100),
            events.wait_for(|events| events.len() > after),
        );
        let Ok(Ok(events)) = more.await else { return Ok(Vec::new()) };
        let behind = events.iter().enumerate().skip(after);
        let record = |(index, event): (usize, &BackendEvent)| BackendRecord {
            cursor: index as u64 + 1,
            event: event.clone(),
        };
        Ok(behind.map(record).collect())
    }

    async fn find(&self, id: Uuid) -> Result<Option<BackendExecution>> {
        Ok(self.job(id).ok().map(|job| Self::found(&job)))
    }

    async fn list(&self) -> Result<Vec<BackendExecution>> {
        Ok(self.jobs.lock().unwrap().iter().map(|job| Self::found(job)).collect())
    }
}
