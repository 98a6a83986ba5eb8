//! What all clones of an engine share, and the way from a request to a running execution.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::Utc;
use execution_engine_process::Launch;
use uuid::Uuid;

use super::cleanup;
use crate::config::ExecutionConfig;
use crate::error::{ExecutionError, Result};
use crate::execution::{
    Driver, Duty, Job, Ladder, Live, Shared, Start, Terms, Timing, first_attempt,
};
use crate::model::{ExecutionMetadata, ExecutionOptions, ExecutionRequest};
use crate::notify::{Audience, Publisher, Stage};
use crate::output::{LogHeader, Logs, OverflowDir, PumpPlan};
use crate::record::{Profile, Refusal};
use crate::submit::{self, Permit, Prepared};

/// What all clones of an engine share.
pub(super) struct Core {
    pub(super) config: ExecutionConfig,
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) driver: Driver,
    pub(super) stage: Arc<Stage>,
    pub(super) audience: RwLock<Audience>,
    pub(super) overflow_dir: Arc<OverflowDir>,
    pub(super) cleanup: cleanup::Once,
}

/// What the builder sets beyond the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) ladder: Ladder,
    pub(super) drain: Duration,
    pub(super) longest_pause: Duration,
}

impl Core {
    /// From a request to a running execution; refused, it leaves nothing behind.
    pub(super) fn start(
        &self,
        request: ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<Uuid> {
        let id = request.id;
        let Prepared { launch, timeout } =
            submit::prepare(&request, options, &self.config, &self.shared.containment)?;
        let terms = Terms {
            timing: self.timing(timeout, options),
            leftovers: options.leftovers,
            limits: options.limits,
        };
        let publisher = self.publisher(id)?;
        self.driver.ready().map_err(no_threads)?;

        let live = Arc::new(Live::new(Arc::new(self.profile(&request))));
        let permit = self.admit(id, &live)?;
        let logs = self.open_logs(&request, &live, &launch).inspect_err(|_| {
            self.shared.registry.discard(id);
            live.end(None);
        })?;
        drop(request);
        let duty = Duty::new(live, Arc::clone(&self.shared), publisher, permit);
        self.launch(duty, logs, launch, terms);
        Ok(id)
    }

    fn publisher(&self, id: Uuid) -> Result<Publisher> {
        let audience = self.audience.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !audience.is_empty() {
            self.stage.ready().map_err(no_threads)?;
        }
        Ok(audience.publisher(id, &self.stage))
    }

    fn admit(&self, id: Uuid, live: &Arc<Live>) -> Result<Permit> {
        self.shared.registry.admit(id, live).map_err(|refusal| match refusal {
            Refusal::Duplicate => ExecutionError::DuplicateId(id),
            Refusal::Full { limit } => ExecutionError::ConcurrencyLimitReached(limit),
            Refusal::Closed => ExecutionError::ShuttingDown,
        })
    }

    fn open_logs(&self, request: &ExecutionRequest, live: &Live, launch: &Launch) -> Result<Logs> {
        let log_dir = self.config.log_dir.as_deref();
        let mut logs = Logs::open(request.output_log_path.as_deref(), log_dir, request.id)?;
        logs.header(&LogHeader {
            id: request.id,
            command: &live.profile().command,
            working_dir: launch.working_dir.as_deref(),
            started_at: live.profile().started_at,
        });
        Ok(logs)
    }

    fn launch(&self, duty: Duty, logs: Logs, launch: Launch, terms: Terms) {
        let plan = PumpPlan {
            limit: self.config.max_output_size_bytes,
            strategy: self.config.oversized_output_strategy,
            overflow_dir: Arc::clone(&self.overflow_dir),
            publish_lines: self.config.stream_output && duty.has_audience(),
        };
        let start = first_attempt(&self.shared.containment, launch);
        if let Start::Running(spawned) = &start {
            duty.started(spawned.child.id());
        }
        self.driver.spawn(Job { duty, start, logs, plan, terms }.run());
    }

    fn profile(&self, request: &ExecutionRequest) -> Profile {
        let raw_log = request.output_log_path.as_deref();
        let log = Logs::path(raw_log, self.config.log_dir.as_deref(), request.id);
        let metadata = &request.metadata;
        Profile {
            id: request.id,
            command: request.command.to_string().into_boxed_str(),
            metadata: (*metadata != ExecutionMetadata::default())
                .then(|| Box::new(metadata.clone())),
            started_at: Utc::now(),
            log: log.map(PathBuf::into_boxed_path),
        }
    }

    fn timing(&self, timeout: Option<Duration>, options: &ExecutionOptions) -> Timing {
        let Settings { ladder, drain, longest_pause } = self.settings;
        let grace = options.stop_grace_ms.map(Duration::from_millis);
        let ladder = Ladder {
            polite: options.stop_signal.unwrap_or(ladder.polite),
            grace: grace.unwrap_or(ladder.grace),
            last: options.final_signal.unwrap_or(ladder.last),
        };
        Timing { timeout, ladder, drain, longest_pause }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn no_threads(error: io::Error) -> ExecutionError {
    ExecutionError::Engine(format!("its threads could not be started: {error}"))
}
