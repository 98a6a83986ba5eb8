//! The core that all clones of an engine share, and the start of an execution: prepare, admit,
//! launch.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::Utc;

use super::cleanup;
use crate::admission::{AdmissionRequest, Admitted, Permit, QueuePolicy, Ticket};
use crate::config::{ExecutionConfig, LogRetention};
use crate::error::{ExecutionError, Result};
use crate::events::{HandlerPool, HandlerSet, Publisher};
use crate::execution::{
    self, ActiveExecution, AttemptSpec, CompletionGuard, ExecutionContext, ExecutionParams,
    PhaseContext, QueuedExecution, RetryContext, StopSequence, stdin_pair,
};
use crate::output::{Journal, JournalLimits, LogTargets, OutputSettings, View};
use crate::prepare::{self, PreparedRequest, RequestRules};
use crate::store::{ExecutionInfo, Origin, RequestNotes};
use crate::types::{ExecutionOptions, ExecutionRequest};

/// What all clones of an engine share.
pub(super) struct EngineCore {
    pub(super) config: ExecutionConfig,
    pub(super) settings: EngineSettings,
    pub(super) shared: Arc<ExecutionContext>,
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
    pub(super) stop: StopSequence,
    pub(super) drain: Duration,
    pub(super) max_pause: Duration,
}

/// A prepared execution that is not admitted yet.
struct NewExecution {
    cx: PhaseContext,
    spec: AttemptSpec,
    logs: LogTargets,
    retry: Option<Box<RetryContext>>,
}

impl EngineCore {
    /// Starts an execution: it runs or is queued when this returns. A refused request leaves
    /// nothing behind. What follows is described in [`crate::execution`].
    pub(super) fn start(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
        origin: Origin<'_>,
    ) -> Result<Arc<ActiveExecution>> {
        let prepared = prepare::prepare(request, options, &self.rules())?;
        let policy = match origin {
            Origin::Caller => QueuePolicy::AsConfigured,
            // A plan offers no more steps than could run, so they wait however full the queue is.
            Origin::Step(_) => QueuePolicy::Unbounded,
        };
        let (group, priority) = (prepared.group, options.priority);
        let ask = AdmissionRequest { group, priority, policy };
        let execution = self.assemble(request, options, prepared)?;
        self.shared.runtime.start().map_err(no_threads)?;
        // From here on the id is taken. What is refused before has left nothing behind.
        let active = Arc::clone(&execution.cx.active);
        let registry = &self.shared.registry;
        match registry.admit(active.info().id, &active, origin, ask)? {
            Admitted::Permit(permit) => self.launch(execution, permit)?,
            Admitted::Ticket(ticket) => self.enqueue(execution, ticket),
        }
        Ok(active)
    }

    /// Makes everything that an execution needs. Nothing of it is visible yet.
    fn assemble(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
        prepared: PreparedRequest,
    ) -> Result<NewExecution> {
        let info = ExecutionInfo {
            id: request.id,
            command: request.command.to_string().into(),
            accepted_at: Utc::now(),
            notes: RequestNotes::of(&request.metadata, prepared.output_log.as_deref()),
        };
        let command = Arc::clone(&info.command);
        let journal = Arc::new(Journal::new(info.owner(), command, self.journal_limits()));
        let publisher = self.publisher(Arc::clone(&journal))?;
        let (stdin, feed) = stdin_pair(&prepared.stdin);
        let params = self.params(prepared.timeout, options);
        let output = OutputSettings {
            journal: Arc::clone(&journal),
            limit: self.config.max_output_size_bytes,
            oversized: self.config.oversized_output_strategy,
            overflow_dir: Arc::clone(&self.shared.overflow_dir),
            partial_after: options.partial_lines_after_ms.map(Duration::from_millis),
        };
        let PreparedRequest { launch, stdin: source, .. } = prepared;
        let spec = AttemptSpec { launch, stdin: source, feed, output, params };
        let retry = options.retry.clone().map(|policy| {
            let mut spec = spec.for_another_attempt();
            spec.stay_in_current_dir();
            Box::new(RetryContext { policy, spec })
        });
        let policy = options.retry.clone().map(Box::new);
        let active = Arc::new(ActiveExecution::new(info, journal, stdin, policy));
        let logs = LogTargets {
            raw: prepared.output_log,
            dir: self.config.log_dir.clone(),
            max_line_bytes: self.settings.max_line_bytes,
        };
        let cx = PhaseContext::new(active, Arc::clone(&self.shared), publisher);
        Ok(NewExecution { cx, spec, logs, retry })
    }

    /// Starts the program of an admitted execution and hands it to a worker.
    fn launch(&self, execution: NewExecution, permit: Permit) -> Result<()> {
        let NewExecution { cx, spec, logs, retry } = execution;
        let logs = self.shared.open_logs(&logs, &cx.active, spec.launch.working_dir.as_deref());
        let logs = logs.inspect_err(|_| {
            // Refused after all. The permit goes back with this function.
            self.shared.registry.discard(cx.active.info().id);
            cx.active.publish_record(None);
        })?;
        let mut guard = CompletionGuard::new(cx, Admitted::Permit(permit));
        let launched = execution::launch(&mut guard, spec, logs);
        self.shared.runtime.spawn(execution::run(guard, launched, retry));
        Ok(())
    }

    /// Lets an execution wait for its permit on a worker.
    fn enqueue(&self, execution: NewExecution, ticket: Box<Ticket>) {
        let NewExecution { cx, mut spec, logs, retry } = execution;
        cx.active.set_queue_slot(ticket.slot());
        spec.stay_in_current_dir();
        let spec = Box::new(spec);
        let guard = CompletionGuard::new(cx, Admitted::Ticket(ticket));
        self.shared.runtime.spawn(QueuedExecution { guard, spec, logs, retry }.run());
    }

    pub(super) fn rules(&self) -> RequestRules<'_> {
        RequestRules {
            config: &self.config,
            containment: &self.shared.containment,
            permits: self.shared.registry.permits(),
        }
    }

    pub(super) fn publisher(&self, journal: Arc<Journal>) -> Result<Publisher> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !handlers.is_empty() {
            self.handler_pool.start().map_err(no_threads)?;
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

    /// Returns the parameters of the phases: the options, or else the settings of the engine.
    fn params(&self, timeout: Option<Duration>, options: &ExecutionOptions) -> ExecutionParams {
        let EngineSettings { stop, drain, max_pause, .. } = self.settings;
        let grace = options.stop_grace_ms.map(Duration::from_millis);
        let stop = StopSequence {
            term_signal: options.stop_signal.unwrap_or(stop.term_signal),
            grace: grace.unwrap_or(stop.grace),
            kill_signal: options.final_signal.unwrap_or(stop.kill_signal),
        };
        ExecutionParams {
            timeout,
            stop,
            drain,
            max_pause,
            leftovers: options.leftovers,
            limits: (!options.limits.is_empty()).then(|| Box::new(options.limits)),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(super) fn no_threads(error: io::Error) -> ExecutionError {
    ExecutionError::Engine(format!("its threads could not be started: {error}"))
}
