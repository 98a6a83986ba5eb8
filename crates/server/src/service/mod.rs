//! The service without HTTP.
//!
//! | file | what it does |
//! |---|---|
//! | `check` | which requests are accepted (pure) |
//! | `queue/` | who is next; `slots` has the slots and the groups (pure) |
//! | `same` | what must be the same when a key or an id comes again (pure) |
//! | `rerun` | the request of an execution that is to run again (pure) |
//! | `limits` | refuses limits that a keeper cannot enforce |
//! | `submit` | accepts: checks, takes a slot or a place in the queue, stores |
//! | `dispatch` | hands executions to a keeper: stores it, then tells it |
//! | `keepers`, `link`, `spawn` | the keepers: found, started, watched; the connection to one |
//! | `ending`, `journals` | stores endings, then tells them, then lets the keeper forget |
//! | `recovery` | goes on with what an earlier service has left |
//! | `handle` | the calls that control an execution, for callers |
//! | `input` | input for a program that runs |
//! | `groups` | limits and pauses of groups |
//! | `control` | stops, signals, pauses, waits, pins, removes |
//! | `follow`, `output` | events and bytes, live and stored |
//! | `records`, `imports` | executions that go to another service, and that come from one |
//! | `lookup`, `views` | finds and shows executions, and the state of the service |
//! | `schedules` | makes, shows, pauses and removes schedules, and runs them by hand |
//! | `due_runs` | runs schedules when their moments have come |
//! | `tokens` | who may call over the network: makes, compares and revokes tokens |
//! | `clock` | lets executions go when their moment has come |
//! | `plans` | plans: many executions as one piece of work |
//! | `maintenance` | retention |

mod active;
mod check;
mod clock;
mod control;
mod dispatch;
mod due_runs;
mod ending;
mod errors;
mod follow;
mod groups;
mod handle;
mod imports;
mod inner;
mod input;
mod journals;
mod keepers;
mod limits;
mod link;
mod lookup;
mod maintenance;
mod output;
mod plans;
mod queue;
mod records;
mod recovery;
mod rerun;
mod same;
mod schedules;
mod spawn;
mod submit;
mod tokens;
mod views;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use execution_engine::OutputStream;
use execution_engine_store::{Hooks, Store, StoreConfig};
use uuid::Uuid;

use crate::config::Config;
use crate::error::ServiceError;
use crate::faults;
use crate::state_dir::StateDir;
use crate::view::{ExecutionView, NewExecution, Page, Query, ServiceStatus, Submitted};

pub use follow::Events;
pub use output::Output;

pub(crate) use tokens::{Excess, Grant, Refusal};

use ending::blocking;
use errors::{internal, stopping};
use inner::Inner;
use keepers::Keepers;

/// Longest time that an ending service waits for what it has begun to store.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// How a keeper is started: a program and its first arguments. `--dir DIR` follows, and
/// `--durability power` if that is set. The program calls `execution_engine_keeper::run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperProgram {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
    /// The manager that starts each keeper in a scope of its own, with `--delegated SCOPE`, so that the end of
    /// this process's unit does not end it. `None`, or where that fails: this process starts it.
    pub scope: Option<ServiceManager>,
}

/// An instance of systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceManager {
    /// That of the user of this process.
    User,
    /// That of the system.
    System,
}

/// What a [`Service`] is made from.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Where its state is.
    pub state_dir: StateDir,
    /// Its settings.
    pub config: Config,
    /// How it starts keepers.
    pub keeper: KeeperProgram,
}

/// The service without HTTP. Clones are handles of the same service; when the last one is dropped, it
/// ends as with [`close`](Self::close), which no caller waits for then.
///
/// The methods may be called from any task of the tokio runtime that it was opened in. They are cancel
/// safe: what was accepted stays accepted when the future is dropped.
#[derive(Clone)]
pub struct Service(Arc<Handle>);

struct Handle(Arc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("state_dir", &self.inner().options.state_dir)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the state directory, takes its lock, and goes on with what an earlier service has left.
    ///
    /// # Errors
    /// [`StateDir`](crate::ErrorCode::StateDir), [`AlreadyRunning`](crate::ErrorCode::AlreadyRunning),
    /// [`NewerSchema`](crate::ErrorCode::NewerSchema),
    /// [`ForeignDatabase`](crate::ErrorCode::ForeignDatabase).
    pub async fn open(options: ServiceOptions) -> Result<Self, ServiceError> {
        let inner = blocking(move || open(options)).await?;
        let service = Self(Arc::new(Handle(Arc::clone(&inner))));
        inner.recover().await?;
        inner.recover_plans().await?;
        inner.recover_tokens().await?;
        inner.tasks.spawn(Arc::clone(&inner).run_pump());
        inner.tasks.spawn(Arc::clone(&inner).run_clock());
        inner.tasks.spawn(Arc::clone(&inner).run_schedules());
        inner.tasks.spawn(Arc::clone(&inner).run_retention());
        inner.spawn_first_keeper();
        Ok(service)
    }

    /// Accepts an execution. When this returns it is durable. The same key, or the same id, with the
    /// same body again returns the same execution.
    ///
    /// `owner` is the user id of the caller. A key belongs to its owner.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest), [`UnknownAfter`](crate::ErrorCode::UnknownAfter),
    /// [`KeyReused`](crate::ErrorCode::KeyReused), [`IdReused`](crate::ErrorCode::IdReused),
    /// [`StoreFull`](crate::ErrorCode::StoreFull), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn submit(
        &self,
        new: NewExecution,
        key: Option<&str>,
        owner: u32,
    ) -> Result<Submitted, ServiceError> {
        let (inner, key) = (Arc::clone(self.inner()), key.map(str::to_string));
        // A task, so that it is accepted as a whole or not at all, whatever becomes of the caller.
        let task =
            self.inner().tasks.spawn(async move { inner.submit(new, key, owner, None).await });
        task.await.unwrap_or_else(|error| Err(internal(error)))
    }

    /// Finds an execution by its id, by the beginning of it, or as `@last`, the newest. A whole id is
    /// returned whether it is known or not.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`AmbiguousId`](crate::ErrorCode::AmbiguousId),
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) for what is no id.
    pub async fn resolve(&self, text: &str) -> Result<Uuid, ServiceError> {
        self.inner().resolve(text).await
    }

    /// Returns an execution.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution).
    pub async fn get(&self, id: Uuid) -> Result<ExecutionView, ServiceError> {
        self.inner().get(id).await
    }

    /// Returns a page of executions, newest first. Bytes of those that run are not counted here.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) for a cursor that no page has returned.
    pub async fn list(&self, query: Query) -> Result<Page, ServiceError> {
        self.inner().list(query).await
    }

    /// Waits until an execution has ended, or for a time, and returns it as it is then.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn wait(
        &self,
        id: Uuid,
        timeout: Option<Duration>,
    ) -> Result<ExecutionView, ServiceError> {
        self.inner().wait(id, timeout).await
    }

    /// Returns the events of an execution behind a cursor (0 is the beginning), live until the last.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution); [`OutputGone`](crate::ErrorCode::OutputGone);
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) for a cursor that no event has.
    pub async fn events(&self, id: Uuid, after: u64) -> Result<Events, ServiceError> {
        Events::open(Arc::clone(self.inner()), id, after).await
    }

    /// Returns a reader of the output that there is now: of one stream, or of both in the order in
    /// which it was read.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`OutputGone`](crate::ErrorCode::OutputGone).
    pub async fn output(
        &self,
        id: Uuid,
        stream: Option<OutputStream>,
    ) -> Result<Output, ServiceError> {
        Output::open(self.inner(), id, stream).await
    }

    /// Returns the state of the service.
    pub async fn status(&self) -> ServiceStatus {
        self.inner().status().await
    }

    /// Ends the service and leaves the keepers with all that runs. What is being accepted or stored is
    /// finished first; calls that wait return [`Stopping`](crate::ErrorCode::Stopping). The state directory
    /// is free when this returns.
    pub async fn close(&self) {
        let inner = self.inner();
        inner.closing.cancel();
        inner.tasks.close();
        if tokio::time::timeout(CLOSE_LIMIT, inner.tasks.wait()).await.is_err() {
            tracing::warn!("the service ends before all that it has begun");
        }
        let store = inner.store.clone();
        let closed = blocking(move || {
            store.close();
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the store could not be closed");
        }
        inner.lock.lock().take();
    }

    /// Returns its places.
    pub(crate) fn state_dir(&self) -> &StateDir {
        &self.inner().options.state_dir
    }

    /// Notes where it listens, for those who look for it.
    pub(crate) fn listens_on(&self, socket: &Path) {
        if let Some(lock) = &mut *self.inner().lock.lock() {
            lock.listens_on(socket);
        }
    }

    /// Notes where those with a token reach it.
    pub(crate) fn is_reached_at(&self, url: Option<String>) {
        *self.inner().url.lock() = url;
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0.0
    }
}

/// Opens what is on the disk. Blocks.
fn open(options: ServiceOptions) -> Result<Arc<Inner>, ServiceError> {
    options.state_dir.create()?;
    let lock = options.state_dir.lock()?;
    let path = options.state_dir.path().to_path_buf();
    let retention = &options.config.retention;
    let mut config = StoreConfig {
        max_age: retention.max_age,
        max_count: retention.max_count,
        max_bytes: retention.max_bytes,
        ..StoreConfig::default()
    };
    if faults::is_set() {
        config.hooks = Hooks::default().fault(|operation, step| {
            faults::at(&format!("{operation}_{step}"));
            Ok(())
        });
    }
    let store = Store::open(&path, config)?;
    let keepers = Keepers::find(path, options.keeper.clone())?;
    Ok(Inner::new(options, store, keepers, lock))
}

impl Inner {
    /// Starts a keeper, so that the first execution need not wait for it.
    fn spawn_first_keeper(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = inner.closing.cancelled() => {}
                started = inner.keepers.for_new_work(&inner) => {
                    if let Err(error) = started && error != stopping() {
                        inner.stay_queued(error);
                    }
                    inner.pump.notify_one();
                },
            }
        });
    }
}
