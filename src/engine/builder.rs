//! Settings of an engine, their checks, and the wiring of its parts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use execution_engine_process::{BootTimer, Containment, Level, Signal};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use super::core::{EngineCore, EngineSettings};
use super::settings::invalid;
use super::{EngineAlive, ExecutionEngine, cleanup};
use crate::admission::{ConcurrencyLimiter, DescriptorBudget, GroupLimit};
use crate::backend::Backend;
use crate::config::{
    ExecutionConfig, LogRetention, LogRotation, OversizedOutputStrategy, TimeoutClock,
};
use crate::error::Result;
use crate::events::{Broadcaster, EventHandler, HandlerPool, HandlerSet};
use crate::execution::{ExecutionContext, MAX_LATE_LOGS, StopSequence};
use crate::history::{History, HistoryWriter};
use crate::output::{OutputSink, OverflowDir};
use crate::prepare;
use crate::runtime::EngineRuntime;
use crate::setters::setters;
use crate::store::{Registry, RetentionPolicy};
use crate::testing::Script;
use crate::types::{Admission, EnvVars};

/// Builder of an engine with settings beyond [`ExecutionConfig`].
///
/// ```
/// use execution_engine::*;
///
/// let engine = ExecutionEngine::builder()
///     .config(ExecutionConfig { max_concurrent_executions: 4, ..Default::default() })
///     .stop_grace(Duration::from_millis(500))
///     .build()
///     .unwrap();
/// assert_eq!(engine.available_permits(), 4);
/// ```
#[must_use]
pub struct EngineBuilder {
    pub(super) config: ExecutionConfig,
    pub(super) settings: EngineSettings,
    keep_head_and_tail: bool,
    pub(super) stall_limit: Duration,
    pub(super) level: Option<Level>,
    handlers: HandlerSet,
    pub(super) admission: Admission,
    pub(super) groups: Vec<GroupLimit>,
    base_env: Option<EnvVars>,
    pub(super) control_group: Option<PathBuf>,
    host_guard_beside: bool,
    history: Option<Arc<dyn History>>,
    pub(super) output_sink: Option<Arc<dyn OutputSink>>,
    pub(super) script: Option<Script>,
    pub(super) backend: Option<Arc<dyn Backend>>,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            config: ExecutionConfig::default(),
            settings: EngineSettings {
                max_line_bytes: 64 * 1024,
                replay_window: 1024 * 1024,
                overflow_disk_limit: 10 * 1024 * 1024 * 1024,
                logs: LogRetention::Keep,
                stop: StopSequence::default(),
                drain: Duration::from_secs(2),
                max_pause: Duration::from_secs(3600),
                timeout_clock: TimeoutClock::default(),
                log_rotation: None,
            },
            keep_head_and_tail: false,
            stall_limit: Duration::from_secs(2),
            level: None,
            handlers: HandlerSet::default(),
            admission: Admission::default(),
            groups: Vec::new(),
            base_env: None,
            control_group: None,
            host_guard_beside: false,
            history: None,
            output_sink: None,
            script: None,
            backend: None,
        }
    }
}

impl EngineBuilder {
    setters! {
        /// Replaces the configuration.
        config(config: ExecutionConfig) => config = config;

        /// Sets the time between the stop signal and the final signal when a process tree is
        /// stopped. Default: 2 s. [`ExecutionOptions`](crate::ExecutionOptions) can override it.
        stop_grace(grace: Duration) => settings.stop.grace = grace;

        /// Sets the stop signal, which a process tree gets first when it is stopped. Default:
        /// SIGTERM.
        stop_signal(signal: Signal) => settings.stop.term_signal = signal;

        /// Sets the final signal, for processes that are left after the grace. Default: SIGKILL. If
        /// it is another one, SIGKILL follows after another grace.
        final_signal(signal: Signal) => settings.stop.kill_signal = signal;

        /// Sets how long an execution may be [paused](ExecutionEngine::pause), all its pauses
        /// together. Then it is resumed. Default: 1 hour.
        max_pause(limit: Duration) => settings.max_pause = limit;

        /// Sets the clock of timeouts and of the deadlines of plans. All other limits of time are
        /// on the monotonic clock. Default: [`TimeoutClock::Monotonic`].
        timeout_clock(clock: TimeoutClock) => settings.timeout_clock = clock;

        /// Sets how long reading what is left in the pipes may take when a program has ended. It
        /// matters only if another process keeps writing to them. Default: 2 s.
        drain_limit(limit: Duration) => settings.drain = limit;
    }

    /// Selects [`OversizedOutputStrategy::KeepHeadAndTail`], whatever the configuration says.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::builder()
    ///     .config(ExecutionConfig { max_output_size_bytes: 8, ..Default::default() })
    ///     .keep_head_and_tail()
    ///     .build()?;
    /// let result = engine.run(ExecutionRequest::shell("seq 1 9")).await?;
    /// assert_eq!(result.stdout, "1\n2\n[output truncated: 10 bytes are missing here]\n8\n9\n");
    /// # Ok(()) }
    /// ```
    pub fn keep_head_and_tail(mut self) -> Self {
        self.keep_head_and_tail = true;
        self
    }

    setters! {
        /// Sets the longest line, in bytes, that is delivered in one piece. A longer one comes in
        /// pieces, so that memory stays bounded. At least 4, so that no character is split; more
        /// than 256 MiB means 256 MiB. Default: 64 KiB.
        max_line_bytes(bytes: usize) => settings.max_line_bytes = bytes;

        /// Sets how many bytes of output beyond what is kept are held of a running execution for
        /// [subscriptions](ExecutionEngine::subscribe) that start late or fall behind. What is kept
        /// is held anyway. The oldest bytes are dropped in the portions in which they were read: up
        /// to 64 KiB, or 256 KiB where an [earlier attempt](crate::ExecutionOptions::retry) had
        /// kept them. Default: 1 MiB.
        replay_window(bytes: usize) => settings.replay_window = bytes;

        /// Sets how many bytes all overflow files of this engine may have together. An execution
        /// that needs more ends with [`Ending::OutputLost`](crate::Ending::OutputLost). Files that
        /// were [taken](ExecutionEngine::take_overflow) do not count. Default: 10 GiB.
        overflow_disk_limit(bytes: u64) => settings.overflow_disk_limit = bytes;

        /// Sets what happens to the logs in [`log_dir`](ExecutionConfig::log_dir) when their
        /// executions are forgotten. Default: [`LogRetention::Keep`].
        log_retention(retention: LogRetention) => settings.logs = retention;

        /// Continues each log in [`log_dir`](ExecutionConfig::log_dir) in a new file before it grows
        /// larger than this, and keeps so many of the older files. So the logs of an execution need
        /// at most `max_bytes * (kept_files + 1)` bytes, however much it prints. Default: one file
        /// that has everything.
        log_rotation(rotation: LogRotation) => settings.log_rotation = Some(rotation);

        /// Sets how long an event handler may finish nothing before it gets no more lines of an
        /// execution. The time for which a program is held back for handlers does not count against
        /// its timeout, up to this limit. Default: 2 s.
        handler_stall_limit(limit: Duration) => stall_limit = limit;

        /// Forces a containment level instead of the strongest that this host can offer. If the host
        /// can no longer offer it when a program is to start, the execution ends with
        /// [`Ending::SpawnFailed`](crate::Ending::SpawnFailed), whose text says what has changed.
        containment(level: Level) => level = Some(level);

        /// Sets the control group below which executions get theirs, in place of this process's own:
        /// for a host that is restarted beside its executions, or that has a share of the machine for
        /// them. It is the directory of a group of version 2, such as
        /// `/sys/fs/cgroup/builds.slice`, in which this process may create groups and which
        /// its children may enter. The level is [`Cgroup`](crate::ContainmentLevel::Cgroup) then, as if it was
        /// [forced](Self::containment); on systems other than Linux [`build`](Self::build) fails. The
        /// engine changes nothing of the group itself, and removes the groups that it has made.
        /// Default: the group of this process.
        control_group(dir: impl Into<PathBuf>) => control_group = Some(dir.into());

        /// Sets what happens to an execution for which there is no permit. Default:
        /// [`Admission::Reject`].
        ///
        /// ```
        /// use execution_engine::*;
        /// # #[tokio::main] async fn main() -> Result<()> {
        /// let engine = ExecutionEngine::builder()
        ///     .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        ///     .admission(Admission::Queue { max_waiting: 100 })
        ///     .build()?;
        /// let first = engine.execute(ExecutionRequest::exec("sleep", ["60"])).await?;
        /// let second = engine.execute(ExecutionRequest::shell("echo second")).await?;
        /// assert_eq!(engine.get_status(second).await?, ExecutionStatus::Pending);
        /// assert_eq!(engine.queue_position(second).await?, Some(1));
        /// engine.cancel(first).await?;
        /// assert!(engine.wait_for_completion(second).await?.success);
        /// # Ok(()) }
        /// ```
        admission(admission: Admission) => admission = admission;

        /// Sets the variables that programs inherit, in place of those of this process. Requests
        /// and options add to them and choose from them.
        ///
        /// ```
        /// use execution_engine::*;
        /// # #[tokio::main] async fn main() -> Result<()> {
        /// let mut env = EnvVars::of_this_process();
        /// env.insert("LANG", "C");
        /// let engine = ExecutionEngine::builder().base_env(env).build()?;
        /// let result = engine.run(ExecutionRequest::shell("echo $LANG")).await?;
        /// assert_eq!(result.stdout, "C\n");
        /// # Ok(()) }
        /// ```
        base_env(env: EnvVars) => base_env = Some(env);
    }

    /// Lets the first program start while the host guard (docs/containment.md) is still being started,
    /// which saves the time of a shell's start, about a millisecond: for a host that runs one program
    /// and has its user wait for it. A host that is killed meanwhile leaves no program behind either; only
    /// if the system has no room for the guard's process at that moment, programs run without it until
    /// it has been made again.
    pub fn host_guard_beside(mut self) -> Self {
        self.host_guard_beside = true;
        self
    }

    /// Adds a group: no more than `limit` executions whose
    /// [options](crate::ExecutionOptions::group) name it run at a time. They count against the
    /// engine's limit, too. Given twice, the last limit counts.
    pub fn group(mut self, name: impl Into<String>, limit: usize) -> Self {
        let group = GroupLimit { name: name.into(), limit };
        self.groups.retain(|other| other.name != group.name);
        self.groups.push(group);
        self
    }

    /// Makes an engine that starts no process and plays the programs of a script instead: a [test
    /// double](crate::testing).
    pub fn scripted(mut self, script: Script) -> Self {
        self.script = Some(script);
        self
    }

    /// Sets the place where executions run, if that is not this process. Given twice, the last one
    /// counts. Default: none; programs are started here.
    ///
    /// Ids, subscriptions, handlers, logs in [`log_dir`](ExecutionConfig::log_dir), the output that is
    /// kept, plans and a history are as without one. The rest is up to the place: what of a request it
    /// can do, its queue and its limits (those of this engine bound only how many steps of a plan are
    /// submitted at a time), containment, and each ending. [`Backend`] has an example.
    ///
    /// Methods about an execution wait for the backend where they need its answer. An id that this engine
    /// does not know is looked for there, so one engine can ask for, wait for, watch and cancel what
    /// another one has started; such an execution is in no log and no history of this engine, and its
    /// output does not go to the [sink](Self::output_sink). When the engine is dropped or shut down, what
    /// runs elsewhere goes on.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Sets the sink that gets all output as it is read, for hosts that keep it themselves. Given
    /// twice, the last one counts. Default: none.
    ///
    /// With one, [`max_output_size_bytes`](ExecutionConfig::max_output_size_bytes) may be 0. See
    /// [`OutputSink`] for its promises.
    pub fn output_sink(mut self, sink: Arc<dyn OutputSink>) -> Self {
        self.output_sink = Some(sink);
        self
    }

    /// Sets the history, which remembers executions beyond the life of this engine. Given twice, the
    /// last one counts. Default: none.
    ///
    /// See [`History`] for what it is told and when, and docs/history.md for an example.
    pub fn history(mut self, history: Arc<dyn History>) -> Self {
        self.history = Some(history);
        self
    }

    /// Adds a handler, like [`ExecutionEngine::add_event_handler`].
    pub fn event_handler(mut self, handler: Arc<dyn EventHandler>) -> Self {
        self.handlers = self.handlers.with(handler);
        self
    }

    /// Creates the engine.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ValidationError::InvalidConfig) or
    /// [`InvalidOption`](crate::ValidationError::InvalidOption) names the setting that is invalid, or that
    /// this host cannot offer.
    pub fn build(mut self) -> Result<ExecutionEngine> {
        self.validate()?;
        let containment = match self.level {
            _ if self.control_group.is_some() => {
                // Made absolute now: the host may change its directory later.
                let parent = self.control_group.take().map(prepare::absolute).unwrap_or_default();
                Containment::below(parent)
                    .map_err(|unavailable| invalid("control_group", &unavailable.to_string()))?
            }
            None => Containment::strongest(),
            Some(level) => Containment::at(level)
                .map_err(|unavailable| invalid("containment", &unavailable.to_string()))?,
        };
        if self.host_guard_beside {
            containment.start_guard_beside();
        }
        if self.settings.timeout_clock == TimeoutClock::Boottime {
            let unavailable = |error: std::io::Error| invalid("timeout_clock", &error.to_string());
            BootTimer::check().map_err(unavailable)?;
        }
        // Made absolute now: the host may change its directory later.
        self.config.log_dir = self.config.log_dir.map(prepare::absolute);
        if self.keep_head_and_tail {
            self.config.oversized_output_strategy = OversizedOutputStrategy::KeepHeadAndTail;
        }
        Ok(self.wire(containment))
    }

    /// Makes the parts of the engine from valid settings.
    fn wire(self, containment: Containment) -> ExecutionEngine {
        let limit = self.config.max_concurrent_executions;
        let descriptors = DescriptorBudget::of_this_process();
        let permits = ConcurrencyLimiter::new(limit, self.admission, self.groups, descriptors);
        let forgotten_logs = match self.settings.logs {
            LogRetention::Keep => None,
            LogRetention::WithRecord => self.config.log_dir.clone().map(Mutex::new),
        };
        let shared = ExecutionContext {
            registry: Arc::new(Registry::new(permits)),
            containment,
            runtime: EngineRuntime::default(),
            retention: self.config.enable_auto_cleanup.then(|| RetentionPolicy::of(&self.config)),
            ended: Notify::new(),
            broadcaster: Arc::new(Broadcaster::default()),
            forgotten_logs,
            overflow_dir: Arc::new(OverflowDir::new(self.settings.overflow_disk_limit)),
            history: self.history.map(HistoryWriter::new),
            output_sink: self.output_sink,
            late_logs: Semaphore::new(MAX_LATE_LOGS),
        };
        let core = Arc::new(EngineCore {
            config: self.config,
            settings: self.settings,
            base_env: self.base_env,
            shared: Arc::new(shared),
            script: self.script,
            backend: self.backend,
            handler_pool: Arc::new(HandlerPool::new(self.stall_limit)),
            handlers: RwLock::new(self.handlers),
            cleanup: cleanup::CleanupTask::default(),
        });
        ExecutionEngine { _alive: Arc::new(EngineAlive(Arc::clone(&core))), core }
    }
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
