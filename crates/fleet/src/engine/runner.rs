//! Makes the starts of a worker with an engine.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use execution_engine::{
    Duration, EngineBuilder, ExecutionEngine, ExecutionError, ExecutionOptions, ExecutionRequest,
    ExecutionResult, OutputChunk, OutputSink, OutputStream, Signal, StdinSource,
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::begin::{Begin, NotStarted};
use super::request;
use crate::cluster::Cluster;
use crate::control::{ControlAction, ControlAnswer};
use crate::record::{Input, Start, Started, Stream, Ticket};
use crate::seal::Opener;
use crate::worker::{Description, Program, ProgramEvent, ProgramEvents, Runner, RunningProgram};

/// Variable with the fence of the start. A store that refuses lower fences than the highest it has seen
/// is never changed by a start that was given up.
pub const FENCE_VARIABLE: &str = "EXECUTION_ENGINE_FENCE";

/// Variable with the id of the execution.
const ID_VARIABLE: &str = "EXECUTION_ENGINE_ID";

/// Chunks of output that wait to be published. Beyond them the program waits.
const CHUNKS: usize = 4;

/// Runs executions of a fleet with an engine. Each start has an id of its own there.
pub struct EngineRunner {
    cluster: Arc<dyn Cluster>,
    engine: ExecutionEngine,
    routes: Arc<Routes>,
    opener: Arc<Opener>,
    description: Description,
}

/// Where the output of each start goes, by its id in the engine.
#[derive(Default)]
struct Routes(Mutex<BTreeMap<Uuid, mpsc::Sender<ProgramEvent>>>);

impl EngineRunner {
    /// Builds the engine. The cluster has the files of executions. The opener has the private keys of the pools of the worker. The output of
    /// programs is not kept in memory: it goes to the fleet.
    ///
    /// # Errors
    ///
    /// [`ExecutionError`] of the builder.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        builder: EngineBuilder,
        opener: impl Into<Arc<Opener>>,
        description: Description,
    ) -> Result<Self, ExecutionError> {
        let routes = Arc::new(Routes::default());
        let engine = builder.output_sink(Arc::clone(&routes) as Arc<dyn OutputSink>).build()?;
        Ok(Self { cluster, engine, routes, opener: opener.into(), description })
    }

    /// Returns the engine, to shut it down at the end of the worker.
    pub fn engine(&self) -> &ExecutionEngine {
        &self.engine
    }

    async fn try_start(
        &self,
        ticket: Ticket,
        start: &Start,
        events: mpsc::Sender<ProgramEvent>,
    ) -> Result<EngineProgram, NotStarted> {
        let (tenant, id) = (ticket.tenant.clone(), ticket.id);
        let (mut request, mut options): (ExecutionRequest, ExecutionOptions) =
            request::open(ticket, &self.opener)?;
        request.id = Uuid::new_v4();
        options = options.env(FENCE_VARIABLE, start.fence.to_string());
        options = options.env(ID_VARIABLE, id.to_string());
        let takes_input = matches!(options.stdin, StdinSource::Piped);
        let local = request.id;
        let route = Route { routes: Arc::downgrade(&self.routes), local };
        self.routes.0.lock().insert(local, events.clone());
        let (stopping, stopped) = watch::channel(false);
        let (has_started, is_started) = watch::channel(false);
        let begin = Begin {
            engine: self.engine.clone(),
            cluster: Arc::clone(&self.cluster),
            tenant: tenant.clone(),
            id,
            request,
            options,
            events,
            route,
            stopped,
            has_started,
        };
        // Before the start: if this future is dropped, the program is stopped.
        let program = EngineProgram {
            engine: self.engine.clone(),
            local,
            opener: Arc::clone(&self.opener),
            tenant,
            id,
            takes_input,
            written: tokio::sync::Mutex::new(0),
            stopping,
            is_started,
        };
        match begin.has_files() {
            // Files take their time, and a cancel does not wait for them.
            true => drop(tokio::spawn(begin.with_files())),
            false => begin.start(None).await?,
        }
        Ok(program)
    }
}

/// An entry of [`Routes`], for as long as this lives.
pub(super) struct Route {
    routes: Weak<Routes>,
    local: Uuid,
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(routes) = self.routes.upgrade() {
            routes.0.lock().remove(&self.local);
        }
    }
}

/// Returns the last event of a program. The text of the output is published already.
pub(super) fn ended(id: Uuid, mut result: ExecutionResult) -> ProgramEvent {
    result.id = id;
    result.stdout.clear();
    result.stderr.clear();
    let ending = serde_json::to_value(&result.ending).unwrap_or(Value::Null);
    let result = serde_json::to_value(&result).unwrap_or(Value::Null);
    ProgramEvent::Ended { ending, result }
}

#[async_trait]
impl OutputSink for Routes {
    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        let stream = match chunk.stream {
            OutputStream::Stdout => Stream::Stdout,
            OutputStream::Stderr => Stream::Stderr,
        };
        self.send(chunk.execution_id, ProgramEvent::Output(stream, chunk.bytes)).await
    }

    async fn started(&self, execution_id: Uuid, attempt: u32, pid: u32) {
        // Later attempts are within one start.
        if attempt == 1 {
            let at_ms = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
            let started = ProgramEvent::Started(Started { pid, at_ms });
            let _given_up = self.send(execution_id, started).await;
        }
    }
}

impl Routes {
    async fn send(&self, local: Uuid, event: ProgramEvent) -> io::Result<()> {
        let route = self.0.lock().get(&local).cloned();
        let route = route.ok_or_else(|| io::Error::other("the start was given up"))?;
        route.send(event).await.map_err(|_| io::Error::other("the start was given up"))
    }
}

#[async_trait]
impl Runner for EngineRunner {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn start(&self, ticket: Ticket, start: &Start) -> RunningProgram {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let id = ticket.id;
        match self.try_start(ticket, start, sender.clone()).await {
            Ok(program) => RunningProgram {
                program: Arc::new(program),
                events: Box::new(EngineEvents { id, receiver }),
            },
            Err(fault) => {
                // There is room: nothing else was sent.
                let _sent = sender.try_send(ended(id, fault.result(id)));
                let events = Box::new(EngineEvents { id, receiver });
                RunningProgram { program: Arc::new(NoProgram), events }
            }
        }
    }
}

struct EngineEvents {
    id: Uuid,
    receiver: mpsc::Receiver<ProgramEvent>,
}

#[async_trait]
impl ProgramEvents for EngineEvents {
    async fn next(&mut self) -> ProgramEvent {
        let lost = || {
            let reason = "its task ended without a result".to_owned();
            ended(self.id, NotStarted::from(reason).result(self.id))
        };
        self.receiver.recv().await.unwrap_or_else(lost)
    }
}

/// A program that runs in the engine, for as long as this lives.
struct EngineProgram {
    engine: ExecutionEngine,
    /// Its id in the engine.
    local: Uuid,
    opener: Arc<Opener>,
    tenant: String,
    id: Uuid,
    takes_input: bool,
    /// Bytes of the input that were written.
    written: tokio::sync::Mutex<u64>,
    /// Whether it is to stop, for as long as the engine does not know it.
    stopping: watch::Sender<bool>,
    is_started: watch::Receiver<bool>,
}

impl EngineProgram {
    fn stop(&self, grace: Option<Duration>) {
        self.stopping.send_replace(true);
        let (engine, id) = (self.engine.clone(), self.local);
        // Without a runtime the process is about to end, and the engine stops what it runs.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // One that has ended is stopped.
            let _ended = match grace {
                Some(grace) => engine.cancel_within(id, grace).await,
                None => engine.cancel(id).await,
            };
        });
    }

    /// Waits until the program is there, or never will be: what is written before would be lost.
    async fn started(&self) {
        let mut started = self.is_started.clone();
        let _is_there = started.wait_for(|started| *started).await.is_ok();
    }

    /// Returns what of a piece of input was not written before.
    fn unwritten(&self, input: Input, written: u64) -> Option<Bytes> {
        let from = input.from;
        let bytes = match request::open_input(&self.opener, &self.tenant, self.id, input) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "a piece of input could not be opened");
                return None;
            }
        };
        let seen = usize::try_from(written.checked_sub(from)?).ok()?;
        bytes.get(seen..).map(|rest| bytes.slice_ref(rest))
    }
}

impl Drop for EngineProgram {
    fn drop(&mut self) {
        self.kill();
    }
}

#[async_trait]
impl Program for EngineProgram {
    fn cancel(&self, grace: Option<Duration>) {
        self.stop(grace);
    }

    fn kill(&self) {
        self.stop(Some(Duration::ZERO));
    }

    async fn control(&self, action: ControlAction) -> ControlAnswer {
        let id = self.local;
        let done = match action {
            ControlAction::Signal { signal } => self.engine.signal(id, Signal::Other(signal)).await,
            ControlAction::Pause => self.engine.pause(id).await.map(|()| 0),
            ControlAction::Resume => self.engine.resume(id).await.map(|()| 0),
        };
        done.map_err(|error| error.to_string())
    }

    fn takes_input(&self) -> bool {
        self.takes_input
    }

    async fn write_input(&self, input: Input) {
        self.started().await;
        let mut written = self.written.lock().await;
        let Some(bytes) = self.unwritten(input, *written) else { return };
        *written += bytes.len() as u64;
        // A program that reads no more, or has ended, takes none.
        let _rest = self.engine.write_stdin(self.local, bytes).await;
    }

    async fn close_input(&self) {
        self.started().await;
        let _ended = self.engine.close_stdin(self.local).await;
    }
}

/// Stands for a program that could not be started.
struct NoProgram;

#[async_trait]
impl Program for NoProgram {
    fn cancel(&self, _grace: Option<Duration>) {}

    fn kill(&self) {}

    async fn control(&self, _action: ControlAction) -> ControlAnswer {
        Err("it could not be started".to_owned())
    }

    fn takes_input(&self) -> bool {
        false
    }

    async fn write_input(&self, _input: Input) {}

    async fn close_input(&self) {}
}
