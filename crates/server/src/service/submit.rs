//! How an execution is accepted: checked, given a slot or a place in the queue, stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Utc;
use execution_engine::{Ending, SkipReason};
use execution_engine_store::{Accepted, NewExecution as Row, StepOf, StoredExecution};
use uuid::Uuid;

use super::active::{Active, Phase};
use super::check;
use super::errors::{stopping, unknown};
use super::inner::Inner;
use super::link::Link;
use super::same::{self, Reused};
use super::views::view;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{NewExecution, Submitted};

/// An id that another execution has.
const OTHER_ID: Reused = Reused::Id("request.id");

/// What an execution found when it came in.
enum Entry {
    /// It has a slot at this keeper.
    Slot(Arc<Link>),
    /// It waits.
    Queue,
}

/// What is known of the executions that one must follow.
enum After {
    /// All have succeeded, or ended where that is enough, or there are none.
    Done,
    /// Some of them have not ended.
    Waits,
    /// This one did not succeed, so it will not run.
    Failed(Uuid),
}

impl Inner {
    /// Accepts an execution; see [`Service::submit`](super::Service::submit). `step` is the step of a plan that it is.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        mut new: NewExecution,
        key: Option<String>,
        owner: u32,
        step: Option<StepOf>,
    ) -> Result<Submitted, ServiceError> {
        check::new_execution(&new)?;
        check::key(key.as_deref())?;
        let body = same::body(&new)?;
        if let Err(refused) = self.check_limits(&new.options.limits).await
            && !self.store.is_known(owner, key.clone(), new.request.id).await?
        {
            return Err(refused);
        }
        let inherited_names = inherit(&mut new);
        self.submit_row(Row {
            owner,
            body,
            key,
            request: new.request,
            options: new.options,
            after: new.after,
            after_ended: new.after_ended,
            start_at: new.start_at,
            pinned: new.pinned,
            schedule: None,
            inherited_names,
            step,
            dispatch_to: None,
        })
        .await
    }

    /// Accepts an execution that was checked.
    pub(super) async fn submit_row(self: &Arc<Self>, row: Row) -> Result<Submitted, ServiceError> {
        loop {
            if self.closing.is_cancelled() {
                return Err(stopping());
            }
            let other = match self.enter(row.request.id) {
                Ok(active) => return self.accept(active, row).await,
                Err(other) => other,
            };
            // The same id is just being accepted, or waits or runs. Then the store knows the answer.
            let mut live = other.subscribe();
            let _ = live.wait_for(|live| !matches!(live.phase, Phase::Accepting)).await;
            if !matches!(other.live().phase, Phase::Refused) {
                return self.accept_again(row).await;
            }
        }
    }

    /// Accepts an execution whose id another one has or has just had.
    async fn accept_again(self: &Arc<Self>, row: Row) -> Result<Submitted, ServiceError> {
        match self.store.accept(row.clone()).await? {
            Accepted::Existing(id) => self.existing(id).await,
            Accepted::KeyReused(id) => Err(self.reused(Reused::Key, id, &row).await),
            Accepted::IdReused(id) => Err(self.reused(OTHER_ID, id, &row).await),
            // The other has ended and was removed meanwhile.
            Accepted::Created(stored) => {
                if let Ok(active) = self.enter(stored.id) {
                    self.enqueue(&active, &stored).await;
                }
                Ok(Submitted { execution: view(*stored), created: true })
            }
        }
    }

    /// Notes that an execution is being accepted. Returns the one that has its id already.
    pub(super) fn enter(&self, id: Uuid) -> Result<Arc<Active>, Arc<Active>> {
        let mut state = self.state.lock();
        if let Some(other) = state.active.get(&id) {
            return Err(Arc::clone(other));
        }
        let active = Active::new(id, Phase::Accepting);
        state.active.insert(id, Arc::clone(&active));
        Ok(active)
    }

    async fn accept(
        self: &Arc<Self>,
        active: Arc<Active>,
        mut row: Row,
    ) -> Result<Submitted, ServiceError> {
        let after = self.predecessors(&row).await.map_err(|error| self.refuse(&active, error))?;
        let entry = match after {
            After::Done if row.start_at.is_none_or(|at| at <= Utc::now()) => {
                self.take_slot(active.id, row.options.group.as_deref())
            }
            After::Done | After::Waits | After::Failed(_) => Entry::Queue,
        };
        if let Entry::Slot(link) = &entry {
            row.dispatch_to = Some(link.name().to_string());
        }
        let accepted = self.store.accept(row.clone()).await;
        let accepted = accepted.map_err(|error| self.refuse(&active, error.into()))?;
        let stored = match accepted {
            Accepted::Created(stored) => *stored,
            Accepted::Existing(id) => {
                self.withdraw(&active);
                return self.existing(id).await;
            }
            Accepted::KeyReused(id) => {
                let reused = self.reused(Reused::Key, id, &row).await;
                return Err(self.refuse(&active, reused));
            }
            Accepted::IdReused(id) => {
                let reused = self.reused(OTHER_ID, id, &row).await;
                return Err(self.refuse(&active, reused));
            }
        };
        match (entry, after) {
            (Entry::Slot(link), _) => {
                active.set_phase(Phase::Dispatched(Arc::clone(&link)));
                self.spawn_telling(active, link, Some((row.request, row.options)));
            }
            (Entry::Queue, After::Failed(execution)) => {
                active.set_phase(Phase::Queued);
                let reason = SkipReason::AfterFailed { execution };
                self.end_unstarted(&active, Ending::NotRun { reason }).await;
            }
            (Entry::Queue, _) => self.enqueue(&active, &stored).await,
        }
        Ok(Submitted { execution: view(stored), created: true })
    }

    /// Takes a slot for an execution, if one is free, no other execution waits for it, and a keeper is there.
    fn take_slot(&self, id: Uuid, group: Option<&str>) -> Entry {
        let Some(link) = self.keepers.ready() else { return Entry::Queue };
        let is_taken = self.state.lock().queue.try_take(id, group);
        if is_taken { Entry::Slot(link) } else { Entry::Queue }
    }

    /// Puts an execution into the queue that is stored there.
    pub(crate) async fn enqueue(self: &Arc<Self>, active: &Arc<Active>, stored: &StoredExecution) {
        let ended = {
            let mut state = self.state.lock();
            // Those that have ended count as waited for until it is known how they did.
            let (group, after) = (stored.group.as_deref(), stored.after.iter().copied());
            state.queue.push(active.id, stored.priority, group, after);
            state.queue.wait_for_ends(active.id, stored.after_ended.iter().copied());
            if stored.paused {
                state.queue.hold(active.id);
            }
            if let Some(at) = stored.start_at.filter(|at| *at > Utc::now()) {
                state.queue.wait_until(active.id, at);
                self.moments.notify_one();
            }
            // Before the lock is released: it may get a slot then.
            active.set_phase(Phase::Queued);
            let has_ended = |id: &&Uuid| !state.active.contains_key(*id);
            let all = stored.after.iter().chain(&stored.after_ended);
            all.filter(has_ended).copied().collect::<BTreeSet<_>>()
        };
        for other in ended {
            // One that retention has removed meanwhile was there when this one was accepted.
            let success = match self.store.get(other).await {
                Ok(stored) => {
                    stored.is_none_or(|stored| stored.ending.is_some_and(|it| it.is_success()))
                }
                Err(error) => {
                    tracing::error!(%error, id = %other, "it is not known how an execution ended");
                    false
                }
            };
            let released = self.state.lock().queue.ended(other, success);
            self.release(other, released);
        }
        self.pump.notify_one();
    }

    /// Looks at the executions that one must follow.
    async fn predecessors(&self, row: &Row) -> Result<After, ServiceError> {
        let (mut waits, mut failed) = (false, None);
        for id in &row.after {
            match self.ending_of(*id, "after").await? {
                None => waits = true,
                Some(ending) if ending.is_success() => {}
                Some(_) => failed = failed.or(Some(*id)),
            }
        }
        for id in &row.after_ended {
            waits |= self.ending_of(*id, "after_ended").await?.is_none();
        }
        Ok(match failed {
            Some(id) => After::Failed(id),
            None if waits => After::Waits,
            None => After::Done,
        })
    }

    /// Returns how an execution that another one must follow has ended, if it has.
    async fn ending_of(&self, id: Uuid, field: &str) -> Result<Option<Ending>, ServiceError> {
        if self.find(id).is_some_and(|active| !matches!(active.live().phase, Phase::Accepting)) {
            return Ok(None);
        }
        let Some(stored) = self.store.get(id).await? else {
            let text = format!("there is no execution {id} to run after");
            return Err(ServiceError::new(ErrorCode::UnknownAfter, text)
                .field(field)
                .fix("submit that one first, or leave it out"));
        };
        Ok(stored.ending)
    }

    async fn existing(&self, id: Uuid) -> Result<Submitted, ServiceError> {
        let stored = self.store.get(id).await?.ok_or_else(|| unknown(id))?;
        Ok(Submitted { execution: view(stored), created: false })
    }

    /// Returns the refusal of a key or an id that belongs to another request, with what differs.
    async fn reused(&self, reused: Reused, id: Uuid, row: &Row) -> ServiceError {
        // It may have been removed meanwhile; the store tells its own faults elsewhere.
        let stored = self.store.get(id).await.ok().flatten();
        let difference = stored.map(|stored| same::difference(&stored, row)).unwrap_or_default();
        same::reused(reused, &format!("execution {id}"), &difference)
    }

    /// Takes an execution out of memory that was not accepted, and returns the reason.
    fn refuse(&self, active: &Active, error: ServiceError) -> ServiceError {
        self.withdraw(active);
        error
    }

    /// Takes an execution out of memory that was not accepted.
    pub(super) fn withdraw(&self, active: &Active) {
        self.state.lock().active.remove(&active.id);
        self.free_slot(active.id);
        active.set_phase(Phase::Refused);
    }
}

/// Gives the program the umask of the caller, and the variables of the caller, unless request or options say something
/// about them. Returns the names of these variables, sorted.
pub(super) fn inherit(new: &mut NewExecution) -> Vec<String> {
    let umask = &mut new.options.limits.umask;
    *umask = umask.or(new.inherited_umask.take());
    let mut names = Vec::new();
    let (request, env) = (&new.request.env, &mut new.options.env);
    for (name, value) in std::mem::take(&mut new.inherited_env) {
        let is_asked_for = |text: &str| request.contains_key(text);
        let is_said = env.remove.contains(&name)
            || env.set.contains_key(&name)
            || name.as_os_str().to_str().is_some_and(is_asked_for);
        if !is_said {
            names.push(name.to_string());
            env.set.insert(name, value);
        }
    }
    names.sort_unstable();
    names
}
