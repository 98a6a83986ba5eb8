//! The core that all clones of an engine share, and the start of an execution: prepare, admit,
//! launch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use execution_engine_process::PassedDescriptors;
use parking_lot::RwLock;

use super::cleanup;
use crate::admission::{AdmissionRequest, Admitted, QueuePolicy};
use crate::backend::Backend;
use crate::config::{
    ExecutionConfig, LogRetention, LogRotation, OversizedOutputStrategy, TimeoutClock,
};
use crate::error::{ExecutionError, Result};
use crate::events::{HandlerPool, HandlerSet, Publisher};
use crate::execution::{
    self, ActiveExecution, AttemptSpec, CompletionGuard, ExecutionContext, ExecutionParams,
    PhaseContext, QueuedExecution, RetryContext, StopSequence, stdin_pair,
};
use crate::history::HistoryWriter;
use crate::output::{
    Journal, JournalLimits, JournalOwner, LogTargets, OutputSettings, RawLog, View,
};
use crate::prepare::{self, PreparedRequest, RequestRules};
use crate::runtime::Starter;
use crate::store::{ExecutionInfo, Origin, RequestNotes};
use crate::testing::{Script, ScriptedStart};
use crate::time::Deadline;
use crate::types::{EnvVars, ExecutionOptions, ExecutionRequest};

/// What all clones of an engine share.
pub(super) struct EngineCore {
    pub(super) config: ExecutionConfig,
    pub(super) settings: EngineSettings,
    pub(super) shared: Arc<ExecutionContext>,
    /// What programs inherit in place of the environment of this process.
    pub(super) base_env: Option<EnvVars>,
    /// What programs do, in an engine for tests.
    pub(super) script: Option<Script>,
    /// Where executions run; None runs them here.
    pub(super) backend: Option<Arc<dyn Backend>>,
    pub(super) handler_pool: Arc<HandlerPool>,
    pub(super) handlers: RwLock<HandlerSet>,
    pub(super) cleanup: cleanup::CleanupTask,
}

/// What the builder sets beyond the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct EngineSettings {
    pub(super) max_line_bytes: usize,
    pub(super) replay_window: usize,
    pub(super) overflow_disk_limit: u64,
    pub(super) logs: LogRetention,
    pub(super) log_rotation: Option<LogRotation>,
    pub(super) stop: StopSequence,
    pub(super) drain: Duration,
    pub(super) max_pause: Duration,
    pub(super) timeout_clock: TimeoutClock,
}

/// A prepared execution that is not admitted yet.
struct NewExecution {
    cx: PhaseContext,
    parts: ExecutionParts,
}

/// An execution that has its permit or its place in the queue. Dropped, it ends as failed.
struct AdmittedExecution {
    guard: CompletionGuard,
    parts: ExecutionParts,
}

/// What starting an execution takes.
struct ExecutionParts {
    spec: AttemptSpec,
    logs: LogTargets,
    retry: Option<Box<RetryContext>>,
}

impl EngineCore {
    /// Starts an execution: it runs or is queued when this returns; `admitted` learns of it before
    /// its program is started. A refused request leaves nothing behind. What follows is described
    /// in [`crate::execution`].
    pub(super) fn start(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
        passed: PassedDescriptors,
        origin: Origin<'_>,
        admitted: impl FnOnce(&Arc<ActiveExecution>),
    ) -> Result<Arc<ActiveExecution>> {
        let mut execution = self.admit(request, options, passed, origin)?;
        execution.guard.tell_history(request, options);
        let active = Arc::clone(&execution.guard.active);
        admitted(&active);
        self.begin(execution)?;
        Ok(active)
    }

    /// Prepares an execution and asks for its permit.
    fn admit(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
        passed: PassedDescriptors,
        origin: Origin<'_>,
    ) -> Result<AdmittedExecution> {
        self.check_process()?;
        let mut prepared = prepare::prepare(request, options, &self.rules())?;
        prepared.launch.passed = passed;
        let policy = match origin {
            Origin::Caller => QueuePolicy::AsConfigured,
            // A plan offers no more steps than could run, so they wait however full the queue is.
            Origin::Step(_) => QueuePolicy::Unbounded,
        };
        let (group, priority) = (prepared.group, options.priority);
        let ask = AdmissionRequest { group, priority, policy };
        self.start_threads()?;
        let NewExecution { cx, parts } = self.assemble(request, options, prepared, origin)?;
        // From here on the id is taken. What is refused before has left nothing behind.
        let active = &cx.active;
        let note_place = |admitted: &Admitted| {
            if let Admitted::Ticket(ticket) = admitted {
                active.set_queue_place(ticket.place().clone());
            }
        };
        let registry = &self.shared.registry;
        // Before, because it asks the system, which no lock may wait for.
        registry.permits().refresh();
        let admitted = registry.admit(active.info().id, active, origin, ask, note_place)?;
        Ok(AdmittedExecution { guard: CompletionGuard::new(cx, Some(admitted)), parts })
    }

    /// Starts the program of an admitted execution and hands it to a worker, or lets it wait for
    /// its permit there.
    fn begin(&self, AdmittedExecution { mut guard, parts }: AdmittedExecution) -> Result<()> {
        if guard.is_queued() {
            return self.begin_later(guard, parts);
        }
        let working_dir = parts.spec.launch.working_dir.as_deref();
        let logs = match self.shared.open_logs(&parts.logs, &guard.active, working_dir) {
            Ok(logs) => logs,
            Err(error) if error.is_open_file_limit() => {
                guard.note_lack_of_descriptors();
                return self.begin_later(guard, parts);
            }
            Err(error) => {
                guard.refuse();
                return Err(error);
            }
        };
        let launched = execution::launch(&mut guard, parts.spec, logs);
        self.shared.runtime.spawn(execution::run(guard, launched, parts.retry));
        Ok(())
    }

    /// Lets an execution wait on a worker until it can be started.
    fn begin_later(&self, guard: CompletionGuard, parts: ExecutionParts) -> Result<()> {
        let ExecutionParts { mut spec, logs, retry } = parts;
        spec.stay_in_current_dir();
        let starter = match self.starter() {
            Ok(starter) => starter,
            Err(error) => {
                guard.refuse();
                return Err(error);
            }
        };
        let spec = Box::new(spec);
        self.shared.runtime.spawn(QueuedExecution { guard, spec, logs, retry, starter }.run());
        self.shared.refresh_permits();
        Ok(())
    }

    /// Starts the threads of executions, unless they run.
    pub(super) fn start_threads(&self) -> Result<()> {
        let runtime = &self.shared.runtime;
        let may_overflow =
            self.config.oversized_output_strategy == OversizedOutputStrategy::StreamToFile;
        let history = self.shared.history.as_ref().map_or(Ok(()), HistoryWriter::start);
        let started = history.and_then(|()| runtime.start()).and_then(|()| match may_overflow {
            // Later there may be no room for one, and then output would be lost.
            true => runtime.file_threads().start(),
            false => Ok(()),
        });
        started.map_err(ExecutionError::no_threads)
    }

    /// Returns where later starts of what this thread submits happen.
    pub(super) fn starter(&self) -> Result<Starter> {
        self.shared.runtime.starter().map_err(ExecutionError::no_threads)
    }

    /// Makes everything that an execution needs. Nothing of it is visible yet.
    fn assemble(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
        prepared: PreparedRequest,
        origin: Origin<'_>,
    ) -> Result<NewExecution> {
        let number = self.shared.registry.next_number();
        let owner = JournalOwner { id: request.id, number };
        let command: Arc<str> = request.command.to_string().into();
        let raw_log = prepared.output_log.map(|path| Arc::new(RawLog::new(path, options.links)));
        let notes = RequestNotes::of(&request.metadata, raw_log.clone());
        let info = ExecutionInfo::new(owner, Arc::clone(&command), notes);
        let journal = Journal::new(owner, command, self.journal_limits());
        let journal = Arc::new(journal.with_metadata(info.metadata()));
        let publisher = self.publisher(Arc::clone(&journal))?;
        let (stdin, feed) = stdin_pair(&prepared.stdin);
        let params = self.params(options);
        let idle_ms = options.idle_timeout_ms.filter(|idle_ms| *idle_ms != u64::MAX);
        let idle = idle_ms.map(Duration::from_millis);
        let deadline = self.deadline(prepared.timeout, 1).with_idle_limit(idle);
        let output = self.output(options.partial_lines_after_ms, Arc::clone(&journal));
        let PreparedRequest { launch, stdin: source, script: file, .. } = prepared;
        let script = self.script.clone();
        let scripted = script.map(|script| Box::new(ScriptedStart::new(script, request)));
        let spec =
            AttemptSpec { launch, scripted, stdin: source, script: file, feed, output, params };
        let retry = match options.retry.clone() {
            Some(policy) => {
                let mut spec = spec.for_another_attempt();
                spec.stay_in_current_dir();
                Some(Box::new(RetryContext { policy, spec, starter: self.starter()? }))
            }
            None => None,
        };
        let policy = options.retry.clone().map(Box::new);
        let active = Arc::new(ActiveExecution::new(info, journal, stdin, deadline, policy));
        let logs = LogTargets {
            raw: raw_log,
            dir: self.config.log_dir.clone(),
            rotation: self.settings.log_rotation,
            max_line_bytes: self.settings.max_line_bytes,
        };
        let plan = origin.plan().cloned();
        let cx = PhaseContext::new(active, Arc::clone(&self.shared), publisher, plan);
        Ok(NewExecution { cx, parts: ExecutionParts { spec, logs, retry } })
    }

    pub(super) fn output(
        &self,
        partial_lines_after_ms: Option<u64>,
        journal: Arc<Journal>,
    ) -> OutputSettings {
        OutputSettings {
            journal,
            limit: self.config.max_output_size_bytes,
            oversized: self.config.oversized_output_strategy,
            overflow_dir: Arc::clone(&self.shared.overflow_dir),
            file_threads: Arc::clone(self.shared.runtime.file_threads()),
            partial_after: partial_lines_after_ms.map(Duration::from_millis),
        }
    }

    /// Checks that this process is the one that has made the engine.
    ///
    /// # Errors
    /// [`ExecutionError::ForkedHost`]: the threads of the engine are not here, so what they do would
    /// be waited for in vain.
    pub(super) fn check_process(&self) -> Result<()> {
        match self.shared.containment.is_of_this_process() {
            true => Ok(()),
            false => Err(ExecutionError::ForkedHost),
        }
    }

    pub(super) fn rules(&self) -> RequestRules<'_> {
        RequestRules {
            config: &self.config,
            containment: &self.shared.containment,
            permits: self.shared.registry.permits(),
            base_env: self.base_env.as_ref(),
            is_scripted: self.script.is_some(),
        }
    }

    pub(super) fn publisher(&self, journal: Arc<Journal>) -> Result<Publisher> {
        let handlers = self.handlers.read().clone();
        if !handlers.is_empty() {
            self.handler_pool.start().map_err(ExecutionError::no_threads)?;
        }
        let broadcaster = Arc::clone(&self.shared.broadcaster);
        Ok(handlers.publisher(journal, self.view(), &self.handler_pool, broadcaster))
    }

    /// Returns what handlers and subscriptions get to see.
    pub(super) fn view(&self) -> View {
        if self.config.stream_output { View::Lines } else { View::Events }
    }

    pub(super) fn journal_limits(&self) -> JournalLimits {
        JournalLimits {
            limit: self.config.max_output_size_bytes,
            oversized: self.config.oversized_output_strategy,
            window: self.settings.replay_window,
            max_line_bytes: self.settings.max_line_bytes,
        }
    }

    /// Creates the deadline of something that starts now and runs this many programs.
    pub(super) fn deadline(&self, timeout: Option<Duration>, programs: u32) -> Deadline {
        let EngineSettings { timeout_clock, max_pause, .. } = self.settings;
        let max_hold = self.handler_pool.stall_limit.saturating_mul(programs);
        Deadline::new(timeout_clock, Instant::now(), timeout, max_pause, max_hold)
    }

    /// Returns the parameters of the phases: the options, or else the settings of the engine.
    fn params(&self, options: &ExecutionOptions) -> ExecutionParams {
        let EngineSettings { stop, drain, .. } = self.settings;
        let grace = options.stop_grace_ms.map(Duration::from_millis);
        let stop = StopSequence {
            term_signal: options.stop_signal.unwrap_or(stop.term_signal),
            grace: grace.unwrap_or(stop.grace),
            kill_signal: options.final_signal.unwrap_or(stop.kill_signal),
        };
        ExecutionParams {
            stop,
            drain,
            leftovers: options.leftovers,
            leftovers_wait: options.leftovers_wait_ms.map(Duration::from_millis),
            limits: (!options.limits.is_empty()).then(|| Box::new(options.limits)),
        }
    }
}
