//! How an execution is accepted: checked, given a slot or a place in the queue, stored.

use std::sync::Arc;

use chrono::Utc;
use execution_engine::{Ending, SkipReason};
use execution_engine_store::{Accepted, NewExecution as Row, StoredExecution};
use uuid::Uuid;

use super::active::{Active, Phase};
use super::check;
use super::errors::{stopping, unknown};
use super::inner::Inner;
use super::link::Link;
use super::same;
use super::views::view;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{NewExecution, Submitted};

/// What an execution found when it came in.
enum Entry {
    /// It has a slot at this keeper.
    Slot(Arc<Link>),
    /// It waits.
    Queue,
}

/// What is known of the executions that one must follow.
enum After {
    /// All have succeeded, or there are none.
    Done,
    /// Some of them have not ended.
    Waits,
    /// This one did not succeed, so it will not run.
    Failed(Uuid),
}

impl Inner {
    /// Accepts an execution; see [`Service::submit`](super::Service::submit).
    pub(crate) async fn submit(
        self: &Arc<Self>,
        mut new: NewExecution,
        key: Option<String>,
        owner: u32,
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
        let row = Row {
            owner,
            body,
            key,
            request: new.request,
            options: new.options,
            after: new.after,
            start_at: new.start_at,
            pinned: new.pinned,
            inherited_names,
            dispatch_to: None,
        };
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
            Accepted::KeyReused(id) => Err(self.reused(id, &row).await),
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
    fn enter(&self, id: Uuid) -> Result<Arc<Active>, Arc<Active>> {
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
        let after = match self.predecessors(&row).await {
            Ok(after) => after,
            Err(error) => return Err(self.refuse(&active, error)),
        };
        let entry = match after {
            After::Done if row.start_at.is_none_or(|at| at <= Utc::now()) => {
                self.take_slot(active.id)
            }
            After::Done | After::Waits | After::Failed(_) => Entry::Queue,
        };
        if let Entry::Slot(link) = &entry {
            row.dispatch_to = Some(link.name().to_string());
        }
        let accepted = match self.store.accept(row.clone()).await {
            Ok(accepted) => accepted,
            Err(error) => return Err(self.refuse(&active, error.into())),
        };
        let stored = match accepted {
            Accepted::Created(stored) => *stored,
            Accepted::Existing(id) => {
                self.withdraw(&active);
                return self.existing(id).await;
            }
            Accepted::KeyReused(id) => {
                let reused = self.reused(id, &row).await;
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

    /// Takes a slot for an execution, if one is free, nobody waits for it, and a keeper is there.
    fn take_slot(&self, id: Uuid) -> Entry {
        let Some(link) = self.keepers.ready() else { return Entry::Queue };
        let mut state = self.state.lock();
        if !state.queue.try_take() {
            return Entry::Queue;
        }
        state.slots.insert(id);
        Entry::Slot(link)
    }

    /// Puts an execution into the queue that is stored there.
    pub(crate) async fn enqueue(self: &Arc<Self>, active: &Arc<Active>, stored: &StoredExecution) {
        let ended = {
            let mut state = self.state.lock();
            // Those that have ended count as waited for until it is known how they did.
            state.queue.push(active.id, stored.priority, stored.after.iter().copied());
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
            stored.after.iter().filter(has_ended).copied().collect::<Vec<_>>()
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
        let mut waits = false;
        for id in &row.after {
            if self.find(*id).is_some_and(|active| !matches!(active.live().phase, Phase::Accepting))
            {
                waits = true;
                continue;
            }
            let Some(stored) = self.store.get(*id).await? else {
                let text = format!("there is no execution {id} to run after");
                return Err(ServiceError::new(ErrorCode::UnknownAfter, text)
                    .field("after")
                    .fix("submit that one first, or leave it out"));
            };
            match stored.ending {
                None => waits = true,
                Some(ending) if ending.is_success() => {}
                Some(_) => return Ok(After::Failed(*id)),
            }
        }
        Ok(if waits { After::Waits } else { After::Done })
    }

    async fn existing(&self, id: Uuid) -> Result<Submitted, ServiceError> {
        let stored = self.store.get(id).await?.ok_or_else(|| unknown(id))?;
        Ok(Submitted { execution: view(stored), created: false })
    }

    /// Returns the refusal of a key or an id that belongs to another request, with what differs.
    async fn reused(&self, id: Uuid, row: &Row) -> ServiceError {
        // It may have been removed meanwhile; the store tells its own faults elsewhere.
        let stored = self.store.get(id).await.ok().flatten();
        same::reused(id, row, stored.map(|stored| same::differences(&stored, row)))
    }

    /// Takes an execution out of memory that was not accepted, and returns the reason.
    fn refuse(&self, active: &Active, error: ServiceError) -> ServiceError {
        self.withdraw(active);
        error
    }

    fn withdraw(&self, active: &Active) {
        self.state.lock().active.remove(&active.id);
        self.free_slot(active.id);
        active.set_phase(Phase::Refused);
    }
}

/// Gives the program the umask of the caller, and the variables of the caller, unless request or options say something
/// about them. Returns the names of these variables, sorted.
fn inherit(new: &mut NewExecution) -> Vec<String> {
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
