//! What all clones of an engine share, and the way from a request to a running execution.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::cleanup;
use crate::admission::{AdmissionRequest, Admitted, QueuePolicy, Rejected};
use crate::config::{ExecutionConfig, LogRetention, OversizedOutputStrategy};
use crate::error::{ExecutionError, Result};
use crate::events::{HandlerPool, HandlerSet, Publisher};
use crate::execution::{
    ActiveExecution, CompletionGuard, ExecutionContext, ExecutionParams, QueuedExecution,
    RetryContext, StartedExecution, StopSequence, TimeLimits, stdin_pair,
};
use crate::output::{
    ExcessPolicy, Journal, JournalLimits, KeepPolicy, LogTargets, OutputSettings, View,
};
use crate::prepare::{self, PreparedRequest, RequestRules};
use crate::runtime::WorkerPool;
use crate::store::{AdmissionError, ExecutionInfo, Origin, RequestNotes};
use crate::types::{ExecutionOptions, ExecutionRequest};
use chrono::Utc;
use execution_engine_process::Launch;

/// What all clones of an engine share.
pub(super) struct EngineCore {
    pub(super) config: ExecutionConfig,
    pub(super) settings: EngineSettings,
    pub(super) shared: Arc<ExecutionContext>,
    pub(super) driver: WorkerPool,
    pub(super) stage: Arc<HandlerPool>,
    pub(super) audience: RwLock<HandlerSet>,
    pub(super) cleanup: cleanup::CleanupTask,
}

/// What the builder sets beyond the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct EngineSettings {
    pub(super) keep: KeepPolicy,
    pub(super) max_line_bytes: usize,
    pub(super) replay_window: usize,
    pub(super) overflow_disk_limit: u64,
    pub(super) logs: LogRetention,
    pub(super) ladder: StopSequence,
    pub(super) drain: Duration,
    pub(super) max_pause: Duration,
}

impl EngineCore {
    /// From a request to an execution that runs or waits its turn; refused, it leaves nothing
    /// behind.
    pub(super) fn start(
        &self,
        mut request: ExecutionRequest,
        options: &ExecutionOptions,
        origin: Origin<'_>,
    ) -> Result<Arc<ActiveExecution>> {
        let id = request.id;
        let PreparedRequest { launch, timeout, group } =
            prepare::prepare(&request, options, &self.rules())?;
        let patience = match origin {
            Origin::Caller => QueuePolicy::AsConfigured,
            // A plan offers no more steps than could run, so they wait however full the queue is.
            Origin::Step(_) => QueuePolicy::Unbounded,
        };
        let ask = AdmissionRequest { group, priority: options.priority, patience };
        request.output_log_path = request.output_log_path.map(prepare::absolute);
        let source = prepare::absolute_source(&options.stdin);
        let (stdin, feed) = stdin_pair(&source);
        let terms = Box::new(ExecutionParams {
            timing: self.timing(timeout, options),
            leftovers: options.leftovers,
            limits: (!options.limits.is_empty()).then(|| Box::new(options.limits)),
            stdin: source,
            feed,
        });
        let profile = ExecutionInfo {
            id,
            command: request.command.to_string().into(),
            accepted_at: Utc::now(),
            notes: RequestNotes::of(&request.metadata, request.output_log_path.as_deref()),
        };
        let command = Arc::clone(&profile.command);
        let journal = Arc::new(Journal::new(profile.owner(), command, self.holding()));
        let publisher = self.publisher(Arc::clone(&journal))?;
        self.driver.ready().map_err(no_threads)?;

        let partial_after = options.partial_lines_after_ms.map(Duration::from_millis);
        let plan = self.pump_plan(Arc::clone(&journal), partial_after);
        let again = options.retry.clone().map(|retry| {
            Box::new(RetryContext {
                launch: staying_here(launch.clone()),
                retry,
                plan: plan.clone(),
                terms: terms.again(),
            })
        });
        let retry = options.retry.clone().map(Box::new);
        let live = Arc::new(ActiveExecution::new(profile, journal, stdin, retry));
        let logs = LogTargets {
            raw: request.output_log_path.take(),
            dir: self.config.log_dir.clone(),
            max_line_bytes: self.settings.max_line_bytes,
        };
        drop(request);
        let admitted = self.shared.registry.admit(id, &live, origin, ask).map_err(refused)?;
        let duty = |admitted| {
            CompletionGuard::new(Arc::clone(&live), Arc::clone(&self.shared), publisher, admitted)
        };
        match admitted {
            Admitted::Ticket(ticket) => {
                live.waits(ticket.place());
                let duty = duty(Admitted::Ticket(ticket));
                let launch = staying_here(launch);
                self.driver.spawn(QueuedExecution { duty, launch, logs, plan, terms, again }.run());
            }
            Admitted::Permit(permit) => {
                let logs = self.shared.open_logs(&logs, &live, launch.working_dir.as_deref());
                let logs = logs.inspect_err(|_| {
                    self.shared.registry.discard(id);
                    live.end(None);
                })?;
                let duty = duty(Admitted::Permit(permit));
                self.driver
                    .spawn(StartedExecution::attempt(duty, launch, logs, plan, terms, again).run());
            }
        }
        Ok(live)
    }

    pub(super) fn rules(&self) -> RequestRules<'_> {
        RequestRules {
            config: &self.config,
            containment: &self.shared.containment,
            permits: self.shared.registry.permits(),
        }
    }

    pub(super) fn publisher(&self, journal: Arc<Journal>) -> Result<Publisher> {
        let audience = self.audience.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !audience.is_empty() {
            self.stage.ready().map_err(no_threads)?;
        }
        Ok(audience.publisher(journal, self.lens(), &self.stage, Arc::clone(&self.shared.hub)))
    }

    /// What those who are told of lines get to see.
    pub(super) fn lens(&self) -> View {
        if self.config.stream_output { View::Lines } else { View::Events }
    }

    pub(super) fn holding(&self) -> JournalLimits {
        JournalLimits {
            limit: self.config.max_output_size_bytes,
            keep: self.settings.keep,
            window: self.settings.replay_window,
            max_line_bytes: self.settings.max_line_bytes,
        }
    }

    fn pump_plan(&self, journal: Arc<Journal>, partial_after: Option<Duration>) -> OutputSettings {
        OutputSettings {
            journal,
            limit: self.config.max_output_size_bytes,
            excess: match (self.settings.keep, self.config.oversized_output_strategy) {
                (KeepPolicy::FirstAndLast, _)
                | (_, OversizedOutputStrategy::TruncateWithWarning) => ExcessPolicy::Drop,
                (_, OversizedOutputStrategy::FailExecution) => ExcessPolicy::Stop,
                (_, OversizedOutputStrategy::StreamToFile) => ExcessPolicy::Spill,
            },
            overflow_dir: Arc::clone(&self.shared.overflow_dir),
            partial_after,
        }
    }

    fn timing(&self, timeout: Option<Duration>, options: &ExecutionOptions) -> TimeLimits {
        let EngineSettings { ladder, drain, max_pause, .. } = self.settings;
        let grace = options.stop_grace_ms.map(Duration::from_millis);
        let ladder = StopSequence {
            polite: options.stop_signal.unwrap_or(ladder.polite),
            grace: grace.unwrap_or(ladder.grace),
            last: options.final_signal.unwrap_or(ladder.last),
        };
        TimeLimits { timeout, ladder, drain, max_pause }
    }
}

/// Names a refusal for the caller.
pub(super) fn refused(refusal: AdmissionError) -> ExecutionError {
    match refusal {
        AdmissionError::Duplicate(id) => ExecutionError::DuplicateId(id),
        AdmissionError::Full(Rejected::Engine { limit }) => {
            ExecutionError::ConcurrencyLimitReached(limit)
        }
        AdmissionError::Full(Rejected::Group { group, limit }) => {
            ExecutionError::GroupLimitReached { group, limit }
        }
        AdmissionError::Full(Rejected::Queue { max_waiting }) => {
            ExecutionError::QueueFull(max_waiting)
        }
        AdmissionError::Closed => ExecutionError::ShuttingDown,
    }
}

/// The same for a program that starts when this process may be elsewhere.
fn staying_here(launch: Launch) -> Launch {
    Launch { working_dir: launch.working_dir.or_else(prepare::current_dir), ..launch }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(super) fn no_threads(error: io::Error) -> ExecutionError {
    ExecutionError::Engine(format!("its threads could not be started: {error}"))
}
