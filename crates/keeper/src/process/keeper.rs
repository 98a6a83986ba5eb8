use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use execution_engine::{
    Admission, EnvVars, ExecutionConfig, ExecutionEngine, OversizedOutputStrategy,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::durability::PowerSync;
use super::execution::Execution;
use super::sink::JournalSink;
use crate::notices::NoticeQueue;
use crate::protocol::ErrorCode;
use crate::{KeeperError, KeeperOptions, Notice};

/// Executions at a time. The queue is the server's; this is beyond what a machine can run.
const MAX_RUNNING: usize = 1_000_000;

/// What all tasks of the process share.
pub(super) struct Keeper {
    pub(super) options: KeeperOptions,
    pub(super) engine: ExecutionEngine,
    pub(super) shared: Arc<Shared>,
    /// `None` if a loss of power may take output.
    pub(super) power: Option<Arc<PowerSync>>,
}

/// What the sink of the engine needs, too.
#[derive(Debug, Default)]
pub(super) struct Shared {
    executions: Mutex<Executions>,
    clients: Mutex<HashMap<u64, Arc<NoticeQueue>>>,
    next_client: AtomicU64,
    is_draining: AtomicBool,
    is_stopping: AtomicBool,
    /// The number of executions or clients has changed, one has ended, or the keeper was told something. For one waiter.
    pub(super) changed: Notify,
    /// A journal has grown. For one waiter.
    pub(super) grown: Notify,
    connections_end: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Executions {
    known: BTreeMap<Uuid, Arc<Execution>>,
    /// The keeper ends: nothing is taken any more.
    is_closed: bool,
}

/// What a start finds.
pub(super) enum Claim {
    /// It is the first with this id.
    New(Arc<Execution>),
    Known(Arc<Execution>),
}

impl Keeper {
    /// Makes the keeper and its engine. Within its runtime.
    pub(super) fn new(options: KeeperOptions) -> Result<Self, KeeperError> {
        let shared = Arc::new(Shared::default());
        let power = PowerSync::of(&options)?;
        let config = ExecutionConfig {
            default_timeout_ms: u64::MAX,
            max_timeout_ms: u64::MAX,
            stream_output: false,
            max_concurrent_executions: MAX_RUNNING,
            // The journals have the output; a record goes when its ending is there.
            max_output_size_bytes: 0,
            oversized_output_strategy: OversizedOutputStrategy::TruncateWithWarning,
            enable_auto_cleanup: false,
            ..ExecutionConfig::default()
        };
        let sink = JournalSink::new(Arc::clone(&shared), power.clone());
        let builder = match &options.control_group {
            Some(group) => ExecutionEngine::builder().control_group(group),
            None => ExecutionEngine::builder(),
        };
        let engine = builder
            .config(config)
            .replay_window(0)
            // A user who pauses something for the night wants it paused in the morning.
            .max_pause(Duration::MAX)
            // For those that wait for descriptors.
            .admission(Admission::Queue { max_waiting: MAX_RUNNING })
            .base_env(EnvVars::default())
            .output_sink(Arc::new(sink))
            .build()?;
        Ok(Self { options, engine, shared, power })
    }

    /// Lets the connections end when their answers are written.
    pub(super) fn end_connections(&self) {
        self.shared.connections_end.send_replace(true);
    }
}

impl Shared {
    /// Returns the execution with this id, or makes it.
    pub(super) fn claim(&self, id: Uuid, has_input: bool) -> Result<Claim, ErrorCode> {
        let mut executions = self.executions.lock();
        if let Some(known) = executions.known.get(&id) {
            return Ok(Claim::Known(Arc::clone(known)));
        }
        if executions.is_closed || self.is_stopping() {
            return Err(ErrorCode::Stopping);
        }
        if self.is_draining() {
            return Err(ErrorCode::Draining);
        }
        let new = Arc::new(Execution::new(id, has_input));
        executions.known.insert(id, Arc::clone(&new));
        Ok(Claim::New(new))
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Arc<Execution>> {
        self.executions.lock().known.get(&id).cloned()
    }

    /// Returns up to `limit` executions with ids after this one, and whether there are more.
    pub(super) fn page(&self, after: Option<Uuid>, limit: usize) -> (Vec<Arc<Execution>>, bool) {
        use std::ops::Bound;
        let executions = self.executions.lock();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = executions.known.range((start, Bound::Unbounded));
        let page = rest.by_ref().take(limit).map(|(_, one)| Arc::clone(one)).collect();
        (page, rest.next().is_some())
    }

    /// Returns all executions.
    pub(super) fn all(&self) -> Vec<Arc<Execution>> {
        self.executions.lock().known.values().cloned().collect()
    }

    /// Knows an execution no longer.
    pub(super) fn remove(&self, execution: &Arc<Execution>) {
        let id = execution.id;
        let mut executions = self.executions.lock();
        // Its id may belong to a later one already.
        if executions.known.get(&id).is_some_and(|known| Arc::ptr_eq(known, execution)) {
            executions.known.remove(&id);
        }
        self.clients.lock().values().for_each(|client| client.remove(id));
        drop(executions);
        self.changed.notify_one();
    }

    /// Returns `true` if nothing runs.
    pub(super) fn have_all_ended(&self) -> bool {
        self.executions.lock().known.values().all(|execution| execution.has_ended())
    }

    /// Returns `true` if every execution is forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.executions.lock().known.is_empty()
    }

    /// Takes no more executions, if there is none, and no client where that is asked for. Returns whether it did.
    pub(super) fn close_if_empty(&self, only_without_clients: bool) -> bool {
        let mut executions = self.executions.lock();
        let has_clients = only_without_clients && self.client_count() > 0;
        if executions.known.is_empty() && !has_clients {
            executions.is_closed = true;
        }
        executions.is_closed
    }

    /// Takes no more executions.
    pub(super) fn close(&self) {
        self.executions.lock().is_closed = true;
    }

    /// Adds a client, which gets all notices from now on.
    pub(super) fn add_client(self: &Arc<Self>) -> Client {
        let number = self.next_client.fetch_add(1, Ordering::Relaxed);
        let notices = Arc::new(NoticeQueue::default());
        self.clients.lock().insert(number, Arc::clone(&notices));
        self.changed.notify_one();
        let end = self.connections_end.subscribe();
        Client { notices, end, number, shared: Arc::clone(self) }
    }

    pub(super) fn client_count(&self) -> usize {
        self.clients.lock().len()
    }

    /// Tells all clients.
    pub(super) fn tell(&self, notice: &Notice) {
        self.clients.lock().values().for_each(|client| client.push(notice.clone()));
    }

    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Lets the keeper end. Returns `true` for the first who asks.
    pub(super) fn stop(&self) -> bool {
        let is_first = !self.is_stopping.swap(true, Ordering::AcqRel);
        self.changed.notify_one();
        is_first
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Returns a receiver that tells when connections shall end.
    pub(super) fn end_of_connections(&self) -> watch::Receiver<bool> {
        self.connections_end.subscribe()
    }
}

/// A connected client; dropped, it is gone.
pub(super) struct Client {
    pub(super) notices: Arc<NoticeQueue>,
    pub(super) end: watch::Receiver<bool>,
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.notices.close();
        self.shared.clients.lock().remove(&self.number);
        self.shared.changed.notify_one();
    }
}
