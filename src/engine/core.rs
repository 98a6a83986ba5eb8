//! What all clones of an engine share, and the way from a request to a running execution.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::Utc;
use execution_engine_process::Launch;
use uuid::Uuid;

use super::cleanup;
use crate::config::{ExecutionConfig, LogRetention, OversizedOutputStrategy};
use crate::error::{ExecutionError, Result};
use crate::execution::{
    Again, Driver, Duty, Job, Ladder, Live, Shared, Terms, Timing, Waiting, ends_of,
};
use crate::model::{ExecutionOptions, ExecutionRequest};
use crate::notify::{Audience, Publisher, Stage};
use crate::output::{Excess, Holding, Journal, Keep, Lens, LogPlan, PumpPlan};
use crate::plan::Plans;
use crate::record::{Notes, Profile, Refusal};
use crate::submit::{self, Admitted, Ask, Full, Patience, Prepared, Rules};

/// What all clones of an engine share.
pub(super) struct Core {
    pub(super) config: ExecutionConfig,
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) driver: Driver,
    pub(super) stage: Arc<Stage>,
    pub(super) audience: RwLock<Audience>,
    pub(super) cleanup: cleanup::Once,
    pub(super) plans: Arc<Plans>,
}

/// What the builder sets beyond the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) keep: Keep,
    pub(super) longest_line: usize,
    pub(super) replay_window: usize,
    pub(super) overflow_disk_limit: u64,
    pub(super) logs: LogRetention,
    pub(super) ladder: Ladder,
    pub(super) drain: Duration,
    pub(super) longest_pause: Duration,
}

impl Core {
    /// From a request to an execution that runs or waits its turn; refused, it leaves nothing
    /// behind.
    pub(super) fn start(
        &self,
        mut request: ExecutionRequest,
        options: &ExecutionOptions,
        patience: Patience,
    ) -> Result<Arc<Live>> {
        let id = request.id;
        let Prepared { launch, timeout, group } =
            submit::prepare(&request, options, &self.rules())?;
        let ask = Ask { group, priority: options.priority, patience };
        request.output_log_path = request.output_log_path.map(submit::fixed);
        let source = submit::fixed_source(&options.stdin);
        let (stdin, feed) = ends_of(&source);
        let terms = Box::new(Terms {
            timing: self.timing(timeout, options),
            leftovers: options.leftovers,
            limits: (!options.limits.is_empty()).then(|| Box::new(options.limits)),
            stdin: source,
            feed,
        });
        let profile = Profile {
            id,
            command: request.command.to_string().into(),
            accepted_at: Utc::now(),
            notes: Notes::of(&request.metadata, request.output_log_path.as_deref()),
        };
        let command = Arc::clone(&profile.command);
        let journal = Arc::new(Journal::new(profile.owner(), command, self.holding()));
        let publisher = self.publisher(Arc::clone(&journal))?;
        self.driver.ready().map_err(no_threads)?;

        let partial_after = options.partial_lines_after_ms.map(Duration::from_millis);
        let plan = self.pump_plan(Arc::clone(&journal), partial_after);
        let again = options.retry.clone().map(|retry| {
            Box::new(Again {
                launch: staying_here(launch.clone()),
                retry,
                plan: plan.clone(),
                terms: terms.again(),
            })
        });
        let retry = options.retry.clone().map(Box::new);
        let live = Arc::new(Live::new(profile, journal, stdin, retry));
        let logs = LogPlan {
            raw: request.output_log_path.take(),
            dir: self.config.log_dir.clone(),
            longest_line: self.settings.longest_line,
        };
        drop(request);
        if self.plans.get(id).is_some() {
            return Err(ExecutionError::DuplicateId(id));
        }
        let admitted = self.admit(id, &live, ask)?;
        let duty =
            |admitted| Duty::new(Arc::clone(&live), Arc::clone(&self.shared), publisher, admitted);
        match admitted {
            Admitted::Ticket(ticket) => {
                live.waits(ticket.place());
                let duty = duty(Admitted::Ticket(ticket));
                let launch = staying_here(launch);
                self.driver.spawn(Waiting { duty, launch, logs, plan, terms, again }.run());
            }
            Admitted::Permit(permit) => {
                let logs = self.shared.open_logs(&logs, &live, launch.working_dir.as_deref());
                let logs = logs.inspect_err(|_| {
                    self.shared.registry.discard(id);
                    live.end(None);
                })?;
                let duty = duty(Admitted::Permit(permit));
                self.driver.spawn(Job::attempt(duty, launch, logs, plan, terms, again).run());
            }
        }
        Ok(live)
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
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
    pub(super) fn lens(&self) -> Lens {
        if self.config.stream_output { Lens::Lines } else { Lens::Events }
    }

    pub(super) fn holding(&self) -> Holding {
        Holding {
            limit: self.config.max_output_size_bytes,
            keep: self.settings.keep,
            window: self.settings.replay_window,
            longest_line: self.settings.longest_line,
        }
    }

    fn admit(&self, id: Uuid, live: &Arc<Live>, ask: Ask) -> Result<Admitted> {
        self.shared.registry.admit(id, live, ask).map_err(|refusal| match refusal {
            Refusal::Duplicate => ExecutionError::DuplicateId(id),
            Refusal::Full(Full::Engine { limit }) => ExecutionError::ConcurrencyLimitReached(limit),
            Refusal::Full(Full::Group { group, limit }) => {
                ExecutionError::GroupLimitReached { group, limit }
            }
            Refusal::Full(Full::Queue { max_waiting }) => ExecutionError::QueueFull(max_waiting),
            Refusal::Closed => ExecutionError::ShuttingDown,
        })
    }

    fn pump_plan(&self, journal: Arc<Journal>, partial_after: Option<Duration>) -> PumpPlan {
        PumpPlan {
            journal,
            limit: self.config.max_output_size_bytes,
            excess: match (self.settings.keep, self.config.oversized_output_strategy) {
                (Keep::FirstAndLast, _) | (_, OversizedOutputStrategy::TruncateWithWarning) => {
                    Excess::Drop
                }
                (_, OversizedOutputStrategy::FailExecution) => Excess::Stop,
                (_, OversizedOutputStrategy::StreamToFile) => Excess::Spill,
            },
            overflow_dir: Arc::clone(&self.shared.overflow_dir),
            partial_after,
        }
    }

    fn timing(&self, timeout: Option<Duration>, options: &ExecutionOptions) -> Timing {
        let Settings { ladder, drain, longest_pause, .. } = self.settings;
        let grace = options.stop_grace_ms.map(Duration::from_millis);
        let ladder = Ladder {
            polite: options.stop_signal.unwrap_or(ladder.polite),
            grace: grace.unwrap_or(ladder.grace),
            last: options.final_signal.unwrap_or(ladder.last),
        };
        Timing { timeout, ladder, drain, longest_pause }
    }
}

/// The same for a program that starts when this process may be elsewhere.
fn staying_here(launch: Launch) -> Launch {
    Launch { working_dir: launch.working_dir.or_else(submit::here), ..launch }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(super) fn no_threads(error: io::Error) -> ExecutionError {
    ExecutionError::Engine(format!("its threads could not be started: {error}"))
}
