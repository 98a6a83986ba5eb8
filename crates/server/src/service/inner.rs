//! What all parts of the service share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use execution_engine_store::Store;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::ServiceOptions;
use super::active::Active;
use super::keepers::Keepers;
use super::plans::ActivePlan;
use super::queue::Queue;
use super::tokens::Tokens;
use crate::error::ServiceError;
use crate::state_lock::StateLock;
use crate::view::ScheduleFailure;

/// Pause before something is tried again that has no event to wait for: another program, the disk.
pub(crate) const RETRY: Duration = Duration::from_secs(1);
/// How many journals of ended executions are read at a time.
const ENDINGS: usize = 32;

/// What all parts of the service share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: ServiceOptions,
    pub(crate) since: DateTime<Utc>,
    pub(crate) store: Store,
    pub(crate) state: Mutex<State>,
    /// Plans that have not ended.
    pub(crate) plans: Mutex<HashMap<Uuid, Arc<ActivePlan>>>,
    pub(crate) keepers: Keepers,
    /// Wakes the task that dispatches.
    pub(crate) pump: Notify,
    /// Wakes the task that looks at the clock: another execution waits for a moment.
    pub(crate) moments: Notify,
    /// Wakes the task that runs schedules: there is another moment.
    pub(crate) schedules: Notify,
    /// Why runs of schedules cannot be accepted, as long as that is not stored.
    pub(crate) schedule_failures: Mutex<HashMap<Uuid, ScheduleFailure>>,
    /// Why what waits cannot be started for now.
    trouble: Mutex<Option<ServiceError>>,
    /// Who reads a journal to store an ending.
    pub(crate) endings: Semaphore,
    /// Who compresses a journal: it takes a core, so one at a time.
    pub(crate) archives: Semaphore,
    /// The service is ending.
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Held while a group is set, so that what is stored of it is what counts.
    pub(crate) groups: tokio::sync::Mutex<()>,
    /// Who may call over the network.
    pub(crate) tokens: Tokens,
    /// Where those with a token reach it.
    pub(crate) url: Mutex<Option<String>>,
    /// Held until the end.
    pub(crate) lock: Mutex<Option<StateLock>>,
}

/// What changes together.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) queue: Queue,
    /// Executions that have not ended.
    pub(crate) active: HashMap<Uuid, Arc<Active>>,
}

impl Inner {
    pub(crate) fn new(
        options: ServiceOptions,
        store: Store,
        keepers: Keepers,
        lock: StateLock,
    ) -> Arc<Self> {
        let queue = Queue::new(options.config.max_running);
        let state = State { queue, active: HashMap::new() };
        Arc::new(Self {
            options,
            since: Utc::now(),
            store,
            state: Mutex::new(state),
            plans: Mutex::default(),
            keepers,
            pump: Notify::new(),
            moments: Notify::new(),
            schedules: Notify::new(),
            schedule_failures: Mutex::default(),
            trouble: Mutex::new(None),
            endings: Semaphore::new(ENDINGS),
            archives: Semaphore::new(1),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            groups: tokio::sync::Mutex::default(),
            tokens: Tokens::default(),
            url: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Returns an execution that has not ended.
    pub(crate) fn find(&self, id: Uuid) -> Option<Arc<Active>> {
        self.state.lock().active.get(&id).cloned()
    }

    /// Returns why what waits cannot be started for now, if it cannot.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().as_ref().map(|error| error.detail.clone())
    }

    /// Notes why what waits cannot be started. Returns `true` if that is another reason than before.
    pub(crate) fn set_trouble(&self, trouble: Option<ServiceError>) -> bool {
        let mut known = self.trouble.lock();
        let is_news = *known != trouble;
        *known = trouble;
        is_news
    }

    /// Returns those that a keeper has.
    pub(crate) fn of_keeper(&self, name: &str) -> Vec<Arc<Active>> {
        let all: Vec<_> = self.state.lock().active.values().cloned().collect();
        let has = |active: &Arc<Active>| {
            active.live().phase.link().is_some_and(|link| link.name() == name)
        };
        all.into_iter().filter(has).collect()
    }

    /// Lets another execution have the slot of one whose program has ended.
    pub(crate) fn free_slot(&self, id: Uuid) {
        if self.state.lock().queue.give_back(id) {
            self.pump.notify_one();
        }
    }
}

/// Waits for a time, where there is no event to wait for.
#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for has no event: another program, or the disk"
)]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
