//! Finding executions, and the state of the service.

use std::path::PathBuf;
use std::sync::Arc;

use execution_engine_store::{Health, Query as StoreQuery};
use uuid::Uuid;

use super::active::{Active, Phase};
use super::ending::blocking;
use super::errors::{internal, unknown};
use super::inner::Inner;
use super::views::view;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{ExecutionView, KeeperView, OutputBytes, Page, Query, ServiceStatus, StoreView};

/// Name of the newest execution.
const LAST: &str = "@last";

impl Inner {
    /// Returns an execution, with what is known of its output if it runs.
    pub(crate) async fn get(&self, id: Uuid) -> Result<ExecutionView, ServiceError> {
        let stored = self.store.get(id).await?.ok_or_else(|| unknown(id))?;
        let is_ended = stored.is_ended();
        let mut shown = view(stored);
        if !is_ended && let Some(active) = self.find(id) {
            if matches!(active.live().phase, Phase::Queued) {
                shown.start_error = self.trouble();
            }
            // While the disk is full, another one may be stored.
            shown.paused = active.is_paused();
            shown.bytes = live_bytes(active).await?;
        }
        Ok(shown)
    }

    /// Finds an execution by its id, by the beginning of it, or as the newest.
    pub(crate) async fn resolve(&self, text: &str) -> Result<Uuid, ServiceError> {
        let missing = |text: String| {
            ServiceError::new(ErrorCode::UnknownExecution, text)
                .fix("list the executions to find its id")
        };
        if text == LAST {
            let newest = self.store.newest().await?;
            return newest.ok_or_else(|| missing("there is no execution yet".to_string()));
        }
        if let Ok(id) = Uuid::try_parse(text) {
            return Ok(id);
        }
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if text.is_empty() || !is_hex {
            return Err(ServiceError::invalid("id", format!("{text:?} is no id of an execution"))
                .fix("write an id, the beginning of one, or @last"));
        }
        match self.store.find_prefix(text).await?[..] {
            [] => Err(missing(format!("there is no execution whose id begins with {text}"))),
            [id] => Ok(id),
            [one, other, ..] => {
                let text = format!(
                    "{text} begins the id of more than one execution, such as {one} and {other}"
                );
                Err(ServiceError::new(ErrorCode::AmbiguousId, text)
                    .field("id")
                    .fix("write more of the id"))
            }
        }
    }

    /// Returns a page of executions.
    pub(crate) async fn list(&self, query: Query) -> Result<Page, ServiceError> {
        let query = StoreQuery {
            status: query.status,
            tags: query.tags,
            labels: query.labels,
            group: query.group,
            since: query.since,
            until: query.until,
            text: query.text,
            limit: query.limit.unwrap_or(StoreQuery::default().limit),
            cursor: query.cursor,
        };
        let page = self.store.list(query).await?;
        Ok(Page { executions: page.items.into_iter().map(view).collect(), next: page.next })
    }

    /// Returns the state of the service.
    pub(crate) async fn status(&self) -> ServiceStatus {
        let (running, queued, per_keeper) = {
            let state = self.state.lock();
            let all: Vec<_> = state.active.values().cloned().collect();
            (state.slots.len(), state.queue.len(), all)
        };
        let has = |name: &str| {
            let of = |active: &&Arc<Active>| {
                active.live().phase.link().is_some_and(|it| it.name() == name)
            };
            per_keeper.iter().filter(of).count()
        };
        let keepers = self.keepers.all().into_iter().filter_map(|link| {
            let info = link.info()?;
            (!link.is_dead()).then(|| KeeperView {
                name: link.name().to_string(),
                pid: info.pid,
                since: Some(info.since),
                running: has(link.name()),
                draining: !link.takes_work(),
                connected: link.is_here(),
            })
        });
        ServiceStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            since: self.since,
            socket: self.socket(),
            state_dir: self.options.state_dir.path().to_path_buf(),
            keepers: keepers.collect(),
            running,
            queued,
            max_running: self.options.config.max_running,
            start_error: self.trouble(),
            store: self.store_view().await,
        }
    }

    /// Returns where it listens now.
    fn socket(&self) -> PathBuf {
        let lock = self.lock.lock();
        let noted = lock.as_ref().and_then(|lock| lock.socket());
        noted.unwrap_or_else(|| self.options.state_dir.socket()).to_path_buf()
    }

    async fn store_view(&self) -> StoreView {
        let (reason, since) = match self.store.health() {
            Health::Writable => (None, None),
            Health::ReadOnly { reason, since, .. } => (Some(reason), Some(since)),
        };
        let stats = self.store.stats().await.ok();
        StoreView {
            writable: reason.is_none(),
            reason,
            since,
            executions: stats.as_ref().map_or(0, |stats| stats.executions()),
            bytes: stats.as_ref().map_or(0, |stats| stats.bytes()),
        }
    }
}

/// Counts the output of an execution that runs. One that has just ended counts as far as it was told.
async fn live_bytes(active: Arc<Active>) -> Result<OutputBytes, ServiceError> {
    let live = active.live();
    let Some(link) = live.phase.link().cloned() else { return Ok(OutputBytes::default()) };
    blocking(move || {
        let path = link.journal(active.id);
        let Ok(journal) = execution_engine_journal::JournalReader::open(&path) else {
            return Ok(OutputBytes::default());
        };
        let totals = active.totals(&journal, live.end).map_err(internal)?;
        Ok(OutputBytes { stdout: totals.stdout, stderr: totals.stderr })
    })
    .await
}
