//! Registry of all executions and plans: one id space under one short lock. No foreign code and no
//! I/O runs under it, and nothing that owns a file is dropped under it. The locks of the limiter, of
//! a journal and of the subscriptions may be taken under it, never the other way round.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::entries::{ActiveEntries, Evicted, ExecutionEntry, Origin};
use super::plan::ActivePlan;
use super::record::Record;
use super::retention::{EndedQueue, RetentionPolicy};
use crate::admission::{AdmissionRequest, Admitted, ConcurrencyLimiter, Permit};
use crate::error::{ExecutionError, Result};

/// Executions and plans by id; `E` is the type of an active execution, which the store does not
/// know.
#[derive(Debug)]
pub(crate) struct Registry<E> {
    state: Mutex<RegistryState<E>>,
    permits: Arc<ConcurrencyLimiter>,
    /// How many numbers were given out.
    numbers: AtomicU64,
}

#[derive(Debug)]
struct RegistryState<E> {
    /// A tree, which shrinks when ids are removed. A hash table would keep growing where as many
    /// come as go, because removed places are reclaimed only when it is rebuilt.
    slots: BTreeMap<Uuid, Slot<E>>,
    executions: EndedQueue<Arc<Record>>,
    plans: EndedQueue<Arc<ActivePlan>>,
    active_executions: usize,
    /// Set once, when the engine ends.
    closed: bool,
}

/// What an id stands for.
#[derive(Debug)]
enum Slot<E> {
    /// A step of this plan that has not started. Its id is taken, and there is nothing to see of it
    /// yet.
    Reserved(Arc<ActivePlan>),
    ActiveExecution {
        active: Arc<E>,
        is_step: bool,
    },
    /// Its number among the ended executions.
    EndedExecution(u64),
    ActivePlan(Arc<ActivePlan>),
    /// Its number among the ended plans.
    EndedPlan(u64),
}

impl<E> Registry<E> {
    pub(crate) fn new(permits: Arc<ConcurrencyLimiter>) -> Self {
        let state = RegistryState {
            slots: BTreeMap::new(),
            executions: EndedQueue::default(),
            plans: EndedQueue::default(),
            active_executions: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), permits, numbers: AtomicU64::new(0) }
    }

    pub(crate) fn permits(&self) -> &Arc<ConcurrencyLimiter> {
        &self.permits
    }

    /// Returns the number of the next execution or plan that asks for admission. The number tells
    /// which came first, which the system's clock does not: it may be set back.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers an execution and gives it its permit or its place in the queue, or refuses it and
    /// changes nothing. `note` learns which before anyone can see the execution.
    pub(crate) fn admit(
        &self,
        id: Uuid,
        active: &Arc<E>,
        origin: Origin<'_>,
        request: AdmissionRequest,
        note: impl FnOnce(&Admitted),
    ) -> Result<Admitted> {
        let mut state = self.lock_open()?;
        state.check_available(id, origin)?;
        let admitted = self.permits.admit(request)?;
        note(&admitted);
        state.insert(id, active, origin);
        Ok(admitted)
    }

    /// Registers an execution that needs no permit, because it runs elsewhere, or refuses it and changes
    /// nothing.
    pub(crate) fn register(&self, id: Uuid, active: &Arc<E>, origin: Origin<'_>) -> Result<()> {
        let mut state = self.lock_open()?;
        state.check_available(id, origin)?;
        state.insert(id, active, origin);
        Ok(())
    }

    /// Takes back an admission that came to nothing, and the permit with it.
    pub(crate) fn discard(&self, id: Uuid, permit: Option<Permit>) {
        let returned = {
            let mut state = self.state.lock();
            if let Some(Slot::ActiveExecution { .. }) = state.slots.remove(&id) {
                state.active_executions -= 1;
            }
            permit.map(Permit::give_back)
        };
        drop(returned);
    }

    /// Registers a plan and reserves the ids of its steps, or refuses it and changes nothing. The
    /// ids must differ from each other.
    pub(crate) fn admit_plan(&self, plan: &Arc<ActivePlan>, steps: &[Uuid]) -> Result<()> {
        let mut state = self.lock_open()?;
        let id = plan.info().id;
        // All are checked before one is taken, so that a refused plan leaves nothing behind.
        if let Some(taken) = steps.iter().chain([&id]).find(|id| state.slots.contains_key(id)) {
            return Err(ExecutionError::DuplicateId(*taken));
        }
        state.slots.extend(steps.iter().map(|step| (*step, Slot::Reserved(Arc::clone(plan)))));
        state.slots.insert(id, Slot::ActivePlan(Arc::clone(plan)));
        Ok(())
    }

    /// Gives back the id of a step that will never start. Does nothing if the step does not hold
    /// it.
    pub(crate) fn release(&self, plan: &Arc<ActivePlan>, step: Uuid) {
        let mut state = self.state.lock();
        if state.is_reserved(step, plan) {
            state.slots.remove(&step);
        }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<ExecutionEntry<E>> {
        let state = self.state.lock();
        match state.slots.get(&id)? {
            Slot::ActiveExecution { active, .. } => {
                Some(ExecutionEntry::Active(Arc::clone(active)))
            }
            Slot::EndedExecution(number) => {
                state.executions.get(*number).cloned().map(ExecutionEntry::Ended)
            }
            Slot::Reserved(_) | Slot::ActivePlan(_) | Slot::EndedPlan(_) => None,
        }
    }

    pub(crate) fn plan(&self, id: Uuid) -> Option<Arc<ActivePlan>> {
        let state = self.state.lock();
        match state.slots.get(&id)? {
            Slot::ActivePlan(plan) => Some(Arc::clone(plan)),
            Slot::EndedPlan(number) => state.plans.get(*number).cloned(),
            Slot::Reserved(_) | Slot::ActiveExecution { .. } | Slot::EndedExecution(_) => None,
        }
    }

    pub(crate) fn executions(&self) -> Vec<ExecutionEntry<E>> {
        let state = self.state.lock();
        let ended = state.executions.iter().cloned().map(ExecutionEntry::Ended);
        ended.chain(state.active_executions().map(ExecutionEntry::Active)).collect()
    }

    /// Returns the plans in the order of their acceptance.
    pub(crate) fn plans(&self) -> Vec<Arc<ActivePlan>> {
        let mut plans: Vec<_> = {
            let state = self.state.lock();
            state.plans.iter().cloned().chain(state.active_plans()).collect()
        };
        plans.sort_by_key(|plan| plan.journal().owner().number);
        plans
    }

    /// Returns how many executions are active or remembered.
    pub(crate) fn execution_count(&self) -> usize {
        let state = self.state.lock();
        state.active_executions + state.executions.len()
    }

    /// Returns what is active at this moment, without the executions that are steps of plans.
    pub(crate) fn active(&self) -> ActiveEntries<E> {
        let state = self.state.lock();
        let submitted = state.slots.values().filter_map(|slot| match slot {
            Slot::ActiveExecution { active, is_step: false } => Some(Arc::clone(active)),
            _ => None,
        });
        ActiveEntries { executions: submitted.collect(), plans: state.active_plans().collect() }
    }

    /// Admits nothing from now on. Returns what is active.
    pub(crate) fn close(&self) -> ActiveEntries<E> {
        let mut state = self.state.lock();
        state.closed = true;
        ActiveEntries {
            executions: state.active_executions().collect(),
            plans: state.active_plans().collect(),
        }
    }

    /// Replaces an active execution by its record. Returns what retention removes because of it.
    ///
    /// Its permit is returned and `publish` called under the lock, so that a caller that sees one part of
    /// the ending finds the others. The next execution in the queue gets the permit after that.
    pub(crate) fn end(
        &self,
        record: &Arc<Record>,
        permit: Option<Permit>,
        now: Instant,
        retention: Option<RetentionPolicy>,
        publish: impl FnOnce(),
    ) -> Evicted {
        let (evicted, returned) = {
            let mut state = self.state.lock();
            let returned = permit.map(Permit::give_back);
            publish();
            let number = state.executions.push(Arc::clone(record), 1, now);
            let before = state.slots.insert(record.id(), Slot::EndedExecution(number));
            let was_active = matches!(before, Some(Slot::ActiveExecution { .. }));
            state.active_executions -= usize::from(was_active);
            // The caller has another reference to what is replaced here, so nothing is dropped.
            (state.evict(now, retention), returned)
        };
        // Without the lock, because it wakes a task.
        drop(returned);
        evicted
    }

    /// Moves an active plan to the ended ones, like [`end`](Self::end).
    pub(crate) fn end_plan(
        &self,
        plan: &Arc<ActivePlan>,
        now: Instant,
        retention: Option<RetentionPolicy>,
        publish: impl FnOnce(),
    ) -> Evicted {
        let mut state = self.state.lock();
        publish();
        let number = state.plans.push(Arc::clone(plan), plan.info().total, now);
        state.slots.insert(plan.info().id, Slot::EndedPlan(number));
        state.evict(now, retention)
    }

    /// Forgets what the policy says, and returns it.
    pub(crate) fn evict(&self, now: Instant, retention: RetentionPolicy) -> Evicted {
        self.state.lock().evict(now, Some(retention))
    }

    /// Forgets an ended execution and returns its record.
    pub(crate) fn remove(&self, id: Uuid) -> Result<Arc<Record>> {
        let mut state = self.state.lock();
        let number = match state.slots.get(&id) {
            Some(Slot::EndedExecution(number)) => *number,
            Some(Slot::ActiveExecution { .. }) => return Err(ExecutionError::StillRunning(id)),
            slot => return Err(no_execution(id, slot)),
        };
        state.slots.remove(&id);
        state.executions.remove(number).ok_or(ExecutionError::NotFound(id))
    }

    /// Like [`remove`](Self::remove), for a plan.
    pub(crate) fn remove_plan(&self, id: Uuid) -> Result<Arc<ActivePlan>> {
        let mut state = self.state.lock();
        let number = match state.slots.get(&id) {
            Some(Slot::EndedPlan(number)) => *number,
            Some(Slot::ActivePlan(_)) => return Err(ExecutionError::StillRunning(id)),
            slot => return Err(no_plan(id, slot)),
        };
        state.slots.remove(&id);
        state.plans.remove(number).ok_or(ExecutionError::PlanNotFound(id))
    }

    /// Moves the endings of all that is remembered into the past.
    pub(crate) fn age_ended(&self, by: Duration) {
        let mut state = self.state.lock();
        state.executions.age(by);
        state.plans.age(by);
    }

    /// Returns when the oldest ended of what is remembered.
    pub(crate) fn oldest_ending(&self) -> Option<Instant> {
        let state = self.state.lock();
        [state.executions.oldest_ending(), state.plans.oldest_ending()].into_iter().flatten().min()
    }

    /// Returns the error for an id that no execution has.
    pub(crate) fn no_execution(&self, id: Uuid) -> ExecutionError {
        no_execution(id, self.state.lock().slots.get(&id))
    }

    /// Returns the error for an id that no plan has.
    pub(crate) fn no_plan(&self, id: Uuid) -> ExecutionError {
        no_plan(id, self.state.lock().slots.get(&id))
    }

    /// Locks the state for an admission.
    fn lock_open(&self) -> Result<MutexGuard<'_, RegistryState<E>>> {
        let state = self.state.lock();
        if state.closed { Err(ExecutionError::ShuttingDown) } else { Ok(state) }
    }
}

fn no_execution<E>(id: Uuid, slot: Option<&Slot<E>>) -> ExecutionError {
    match slot {
        Some(Slot::ActivePlan(_) | Slot::EndedPlan(_)) => ExecutionError::IdOfPlan(id),
        _ => ExecutionError::NotFound(id),
    }
}

fn no_plan<E>(id: Uuid, slot: Option<&Slot<E>>) -> ExecutionError {
    match slot {
        Some(Slot::ActiveExecution { .. } | Slot::EndedExecution(_)) => {
            ExecutionError::IdOfExecution(id)
        }
        _ => ExecutionError::PlanNotFound(id),
    }
}

impl<E> RegistryState<E> {
    fn check_available(&self, id: Uuid, origin: Origin<'_>) -> Result<()> {
        let is_available = match origin {
            Origin::Caller => !self.slots.contains_key(&id),
            Origin::Step(plan) => self.is_reserved(id, plan),
        };
        if is_available { Ok(()) } else { Err(ExecutionError::DuplicateId(id)) }
    }

    fn insert(&mut self, id: Uuid, active: &Arc<E>, origin: Origin<'_>) {
        let (active, is_step) = (Arc::clone(active), matches!(origin, Origin::Step(_)));
        self.slots.insert(id, Slot::ActiveExecution { active, is_step });
        self.active_executions += 1;
    }

    fn is_reserved(&self, id: Uuid, for_plan: &Arc<ActivePlan>) -> bool {
        let slot = self.slots.get(&id);
        matches!(slot, Some(Slot::Reserved(plan)) if Arc::ptr_eq(plan, for_plan))
    }

    fn active_executions(&self) -> impl Iterator<Item = Arc<E>> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::ActiveExecution { active, .. } => Some(Arc::clone(active)),
            _ => None,
        })
    }

    fn active_plans(&self) -> impl Iterator<Item = Arc<ActivePlan>> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::ActivePlan(plan) => Some(Arc::clone(plan)),
            _ => None,
        })
    }

    fn evict(&mut self, now: Instant, retention: Option<RetentionPolicy>) -> Evicted {
        let mut evicted = Evicted { executions: Vec::new(), plans: Vec::new() };
        let Some(retention) = retention else { return evicted };
        while let Some(record) = self.executions.pop_due(now, retention) {
            self.slots.remove(&record.id());
            evicted.executions.push(record);
        }
        while let Some(plan) = self.plans.pop_due(now, retention) {
            self.slots.remove(&plan.info().id);
            evicted.plans.push(plan);
        }
        evicted
    }
}
