//! Whom executions and plans belong to: the page that started them, or the app.
//!
//! What is not in the map belongs to the app. An entry is made before the execution starts, so that
//! its page sees the first event, counts when the engine has accepted the id, and goes away when the
//! engine has forgotten the record.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use execution_engine::{ExecutionEngine, ExecutionError, ExecutionPlan, History, Uuid};
use tauri::Runtime;
use tauri::ipc::{CommandArg, CommandItem, InvokeError};
use tokio::sync::Notify;

use crate::history::owner_of;

/// Number of entries at which those of forgotten records are looked for. After that it is twice
/// what was left, so that a start costs no more the more executions there are.
const MIN_SWEEP: usize = 64;

/// The webview of a window. It holds one page at a time. A page that is reloaded, or a window that is
/// opened again under its label, is the same to capabilities, and so it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageId {
    pub(crate) window: String,
    pub(crate) webview: String,
}

impl PageId {
    /// Returns the page in the only webview of a window.
    pub(crate) fn of_window(label: &str) -> Self {
        Self { window: label.to_string(), webview: label.to_string() }
    }
}

/// The page that calls a command.
impl<'a, R: Runtime> CommandArg<'a, R> for PageId {
    fn from_command(command: CommandItem<'a, R>) -> Result<Self, InvokeError> {
        let webview = command.message.webview_ref();
        Ok(Self {
            window: webview.window().label().to_string(),
            webview: webview.label().to_string(),
        })
    }
}

/// Owner of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    App,
    Page(Arc<PageId>),
    /// A page has claimed the id, and the engine has not answered yet.
    Undecided,
}

/// Owners of all executions and plans that do not belong to the app.
#[derive(Default)]
pub(crate) struct Owners {
    /// Has the owners of executions that the engine has forgotten, or an earlier one has run.
    history: OnceLock<Arc<dyn History>>,
    state: Mutex<State>,
    /// Notified when claims are accepted or taken back.
    decided: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Uuid, Entry>,
    last_number: u64,
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    owner: Arc<PageId>,
    /// Distinguishes it from an earlier entry of the same id.
    number: u64,
    /// The plan that this is a step of. A step that has not started is unknown to callers of the
    /// engine.
    plan: Option<Uuid>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The engine has not answered yet. It may refuse the id, which then is whose it was before.
    Starting,
    Accepted,
    /// The engine did not know it at the last sweep. Readers of its last events may be left, so it
    /// stays until the next.
    Forgotten,
}

/// Claim to ids that are about to start. Dropped without [`accept`](Self::accept) it takes them back:
/// they belong to whom they belonged before.
#[must_use]
pub(crate) struct Claim<'a> {
    owners: &'a Owners,
    ids: Vec<Uuid>,
    number: u64,
    /// Entries that it has replaced.
    replaced: HashMap<Uuid, Entry>,
}

impl Owners {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the owner of an execution or a plan, once the engine has accepted it or refused it;
    /// None is the app.
    pub(crate) async fn owner(&self, id: Uuid) -> Option<Arc<PageId>> {
        loop {
            let decided = self.decided.notified();
            match self.owner_now(id) {
                Owner::Undecided => decided.await,
                Owner::Page(page) => return Some(page),
                Owner::App => return None,
            }
        }
    }

    /// Sets the history that has the owners of earlier executions.
    pub(crate) fn set_history(&self, history: Arc<dyn History>) {
        let _is_first = self.history.set(history);
    }

    /// Returns the owner of an execution as [`owner`](Self::owner) does; of one that nothing is known of
    /// here, as the history has it. One that cannot be read belongs to the app.
    pub(crate) async fn owner_ever(&self, id: Uuid) -> Option<Arc<PageId>> {
        let owner = self.owner(id).await;
        let Some(history) = self.history.get().filter(|_| owner.is_none()) else { return owner };
        let history = Arc::clone(history);
        let entry = tauri::async_runtime::spawn_blocking(move || history.get(id)).await;
        owner_of(&entry.ok()?.ok()??).map(Arc::new)
    }

    /// Returns the page that has an execution or has claimed its id, for the history.
    pub(crate) fn claimed_by(&self, id: Uuid) -> Option<Arc<PageId>> {
        self.lock().entries.get(&id).map(|entry| Arc::clone(&entry.owner))
    }

    /// Returns the owner of an execution or a plan, as far as it is known at this moment.
    pub(crate) fn owner_now(&self, id: Uuid) -> Owner {
        match self.lock().entries.get(&id) {
            None => Owner::App,
            Some(entry) if entry.phase == Phase::Starting => Owner::Undecided,
            Some(entry) => Owner::Page(Arc::clone(&entry.owner)),
        }
    }

    /// Claims the id of an execution for a page, before it is started.
    ///
    /// # Errors
    /// [`ExecutionError::DuplicateId`] if the id is in use, by this page or by another.
    pub(crate) async fn claim_execution(
        &self,
        engine: &ExecutionEngine,
        page: PageId,
        id: Uuid,
    ) -> Result<Claim<'_>, ExecutionError> {
        self.claim(engine, page, vec![id], None).await
    }

    /// Claims the ids of a plan and of its steps for a page, before it is started.
    ///
    /// # Errors
    /// [`ExecutionError::DuplicateId`] if one of them is in use, by this page or by another.
    pub(crate) async fn claim_plan(
        &self,
        engine: &ExecutionEngine,
        page: PageId,
        plan: &ExecutionPlan,
    ) -> Result<Claim<'_>, ExecutionError> {
        self.claim(engine, page, ids_of(plan), Some(plan.id)).await
    }

    /// Makes a page the owner of an execution, in place of its present one.
    pub(crate) fn give_execution(&self, id: Uuid, to: PageId) {
        self.lock().insert(&[id], to, None, Phase::Accepted);
        self.decided.notify_waiters();
    }

    /// Makes a page the owner of a plan and its steps, in place of their present one.
    pub(crate) fn give_plan(&self, plan: &ExecutionPlan, to: PageId) {
        self.lock().insert(&ids_of(plan), to, Some(plan.id), Phase::Accepted);
        self.decided.notify_waiters();
    }

    async fn claim(
        &self,
        engine: &ExecutionEngine,
        page: PageId,
        ids: Vec<Uuid>,
        plan: Option<Uuid>,
    ) -> Result<Claim<'_>, ExecutionError> {
        if self.lock().is_sweep_due() {
            self.sweep(engine).await;
        }
        // An id that the engine has forgotten may be used again, like any other, unless its log is
        // left: the page would read it.
        let mut stale = HashMap::new();
        for id in &ids {
            let seen = self.lock().seen(*id);
            let is_used = match seen {
                Some((_, Phase::Starting, _)) => true,
                Some((_, _, Some(plan))) => {
                    is_known(engine, *id).await || is_known(engine, plan).await
                }
                _ => is_known(engine, *id).await,
            };
            if is_used || has_log(engine, *id) {
                return Err(ExecutionError::DuplicateId(*id));
            }
            stale.extend(seen.map(|(number, ..)| (*id, number)));
        }
        let mut state = self.lock();
        let is_taken = |id: &&Uuid| {
            state.entries.get(*id).is_some_and(|entry| stale.get(*id) != Some(&entry.number))
        };
        if let Some(taken) = ids.iter().find(is_taken) {
            return Err(ExecutionError::DuplicateId(*taken));
        }
        let (number, replaced) = state.insert(&ids, page, plan, Phase::Starting);
        Ok(Claim { owners: self, ids, number, replaced })
    }

    /// Removes the entries of records that the engine has forgotten.
    async fn sweep(&self, engine: &ExecutionEngine) {
        let executions = engine.list_executions().await.into_iter().map(|one| one.id);
        let plans = engine.list_plans().await.into_iter().map(|one| one.id);
        let known: HashSet<Uuid> = executions.chain(plans).collect();
        self.lock().retain(&known);
    }
}

impl State {
    /// Inserts entries; returns their number, and those that they replace.
    fn insert(
        &mut self,
        ids: &[Uuid],
        owner: PageId,
        plan: Option<Uuid>,
        phase: Phase,
    ) -> (u64, HashMap<Uuid, Entry>) {
        self.last_number += 1;
        let (number, owner) = (self.last_number, Arc::new(owner));
        let mut replaced = HashMap::new();
        for id in ids {
            let entry = Entry { owner: Arc::clone(&owner), number, plan, phase };
            if let Some(before) = self.entries.insert(*id, entry)
                // An id that a plan has twice, which the engine refuses.
                && before.number != number
            {
                replaced.insert(*id, before);
            }
        }
        (number, replaced)
    }

    fn seen(&self, id: Uuid) -> Option<(u64, Phase, Option<Uuid>)> {
        self.entries.get(&id).map(|entry| (entry.number, entry.phase, entry.plan))
    }

    fn is_sweep_due(&self) -> bool {
        self.entries.len() >= self.sweep_at.max(MIN_SWEEP)
    }

    fn retain(&mut self, known: &HashSet<Uuid>) {
        self.entries.retain(|id, entry| {
            let is_known =
                known.contains(id) || entry.plan.is_some_and(|plan| known.contains(&plan));
            match entry.phase {
                Phase::Starting => true,
                _ if is_known => {
                    entry.phase = Phase::Accepted;
                    true
                }
                Phase::Accepted => {
                    entry.phase = Phase::Forgotten;
                    true
                }
                Phase::Forgotten => false,
            }
        });
        self.sweep_at = 2 * self.entries.len();
    }
}

impl Claim<'_> {
    /// Returns the ids that are claimed.
    pub(crate) fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    /// Keeps the claim: the engine has accepted what it is about.
    pub(crate) fn accept(mut self) {
        let mut state = self.owners.lock();
        for id in std::mem::take(&mut self.ids) {
            if let Some(entry) = state.entries.get_mut(&id)
                && entry.number == self.number
            {
                entry.phase = Phase::Accepted;
            }
        }
    }
}

impl Drop for Claim<'_> {
    /// Takes back what was not accepted.
    fn drop(&mut self) {
        let mut state = self.owners.lock();
        for id in &self.ids {
            if state.entries.get(id).is_some_and(|entry| entry.number == self.number) {
                state.entries.remove(id);
                state.entries.extend(self.replaced.remove_entry(id));
            }
        }
        drop(state);
        self.owners.decided.notify_waiters();
    }
}

fn ids_of(plan: &ExecutionPlan) -> Vec<Uuid> {
    plan.commands.iter().map(|step| step.id).chain([plan.id]).collect()
}

/// Returns `true` if the engine has an execution or a plan of this id.
pub(crate) async fn is_known(engine: &ExecutionEngine, id: Uuid) -> bool {
    engine.get_status(id).await.is_ok() || engine.get_plan_status(id).await.is_ok()
}

/// Returns `true` if the log directory of the engine has a log of this id, which the engine would
/// continue.
fn has_log(engine: &ExecutionEngine, id: Uuid) -> bool {
    let log_dir = engine.config().log_dir.as_deref();
    log_dir.is_some_and(|dir| dir.join(format!("{id}.log")).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests;
