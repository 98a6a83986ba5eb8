//! Finding executions, and the state of the service.

use std::path::PathBuf;
use std::sync::Arc;

use execution_engine::ExecutionStatus;
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
        let Some(stored) = self.store.get(id).await? else {
            let is_plan = self.store.plan(id).await?.is_some();
            return Err(if is_plan { of_plan(unknown(id)) } else { unknown(id) });
        };
        let is_ended = stored.is_ended();
        let mut shown = view(stored);
        if !is_ended && let Some(active) = self.find(id) {
            self.add_group_waits([&mut shown]);
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
        let kind = Kind { name: "execution", unknown: ErrorCode::UnknownExecution };
        if text == LAST {
            return kind.newest(self.store.newest().await?);
        }
        match kind.whole_id(text)? {
            Some(id) => Ok(id),
            None => {
                let found = self.store.find_prefix(text).await?;
                let is_plan =
                    found.is_empty() && !self.store.find_plan_prefix(text).await?.is_empty();
                kind.only(text, &found)
                    .map_err(|error| if is_plan { of_plan(error) } else { error })
            }
        }
    }

    /// Finds a plan by its id, by the beginning of it, or as the newest.
    pub(crate) async fn resolve_plan(&self, text: &str) -> Result<Uuid, ServiceError> {
        let kind = Kind { name: "plan", unknown: ErrorCode::UnknownPlan };
        if text == LAST {
            return kind.newest(self.store.newest_plan().await?);
        }
        match kind.whole_id(text)? {
            Some(id) => Ok(id),
            None => kind.only(text, &self.store.find_plan_prefix(text).await?),
        }
    }

    /// Returns a page of executions.
    pub(crate) async fn list(&self, query: Query) -> Result<Page, ServiceError> {
        let query = StoreQuery {
            status: query.status,
            tags: query.tags,
            labels: query.labels,
            group: query.group,
            plan: query.plan,
            schedule: query.schedule,
            since: query.since,
            until: query.until,
            text: query.text,
            limit: query.limit.unwrap_or(StoreQuery::default().limit),
            cursor: query.cursor,
        };
        let page = self.store.list(query).await?;
        let mut executions: Vec<_> = page.items.into_iter().map(view).collect();
        self.add_group_waits(&mut executions);
        Ok(Page { executions, next: page.next })
    }

    /// Says of executions whether they wait for their groups.
    fn add_group_waits<'a>(&self, executions: impl IntoIterator<Item = &'a mut ExecutionView>) {
        let state = self.state.lock();
        for execution in executions {
            if execution.status == ExecutionStatus::Pending && execution.group.is_some() {
                execution.group_wait = state.queue.group_wait(execution.id);
            }
        }
    }

    /// Returns the state of the service.
    pub(crate) async fn status(&self) -> ServiceStatus {
        let (running, queued, per_keeper) = {
            let state = self.state.lock();
            let all: Vec<_> = state.active.values().cloned().collect();
            (state.queue.taken(), state.queue.len(), all)
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
        let url = self.url.lock().clone();
        ServiceStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            since: self.since,
            socket: self.socket(),
            url,
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

/// Kind of object that has an id.
struct Kind {
    name: &'static str,
    unknown: ErrorCode,
}

impl Kind {
    fn missing(&self, text: String) -> ServiceError {
        ServiceError::new(self.unknown, text).fix(format!("list the {}s to find its id", self.name))
    }

    fn newest(&self, newest: Option<Uuid>) -> Result<Uuid, ServiceError> {
        newest.ok_or_else(|| self.missing(format!("there is no {} yet", self.name)))
    }

    /// Reads a whole id; None for what can be the beginning of one.
    fn whole_id(&self, text: &str) -> Result<Option<Uuid>, ServiceError> {
        if let Ok(id) = Uuid::try_parse(text) {
            return Ok(Some(id));
        }
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if text.is_empty() || !is_hex {
            let article = if self.name.starts_with('e') { "an" } else { "a" };
            let text = format!("{text:?} is no id of {article} {}", self.name);
            return Err(ServiceError::invalid("id", text)
                .fix("write an id, the beginning of one, or @last"));
        }
        Ok(None)
    }

    /// Returns the only one of those whose id begins with a text.
    fn only(&self, text: &str, found: &[Uuid]) -> Result<Uuid, ServiceError> {
        let name = self.name;
        match found {
            [] => Err(self.missing(format!("there is no {name} whose id begins with {text}"))),
            [id] => Ok(*id),
            [one, other, ..] => {
                let text = format!(
                    "{text} begins the id of more than one {name}, such as {one} and {other}"
                );
                Err(ServiceError::new(ErrorCode::AmbiguousId, text)
                    .field("id")
                    .fix("write more of the id"))
            }
        }
    }
}

/// Returns the error for an id that is that of a plan and of no execution.
fn of_plan(error: ServiceError) -> ServiceError {
    error.fix("it is a plan: use exeng plan show, which lists the executions of its steps")
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
