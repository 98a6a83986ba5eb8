//! All plans by id. One short lock; no foreign code and no I/O under it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use super::active::ActivePlan;
use crate::store::RetentionPolicy;

/// The plans of an engine.
#[derive(Debug, Default)]
pub(crate) struct Plans(Mutex<PlanRegistryState>);

#[derive(Debug, Default)]
struct PlanRegistryState {
    plans: HashMap<Uuid, Arc<ActivePlan>>,
    /// The ended ones, oldest ending first.
    ended: VecDeque<EndedPlan>,
}

#[derive(Debug, Clone, Copy)]
struct EndedPlan {
    at: Instant,
    id: Uuid,
    steps: usize,
}

impl Plans {
    /// Takes a plan in; false if its id is known.
    pub(crate) fn add(&self, plan: &Arc<ActivePlan>) -> bool {
        let mut inner = self.lock();
        let id = plan.profile().id;
        let is_new = !inner.plans.contains_key(&id);
        if is_new {
            inner.plans.insert(id, Arc::clone(plan));
        }
        is_new
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<ActivePlan>> {
        self.lock().plans.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<ActivePlan>> {
        self.lock().plans.values().cloned().collect()
    }

    /// Notes that a plan has ended. What retention then pushes out is returned, to be dropped
    /// outside the lock: dropping a record may remove a file.
    pub(crate) fn ended(
        &self,
        plan: &ActivePlan,
        now: Instant,
        retention: Option<RetentionPolicy>,
    ) -> Vec<Arc<ActivePlan>> {
        let mut inner = self.lock();
        let profile = plan.profile();
        // It may have been removed since its ending could be seen, and its id may be another one's by now.
        let is_known =
            inner.plans.get(&profile.id).is_some_and(|known| std::ptr::eq(&**known, plan));
        if is_known {
            inner.ended.push_back(EndedPlan { at: now, id: profile.id, steps: profile.total });
        }
        retention.map_or_else(Vec::new, |retention| inner.evict(now, retention))
    }

    /// Forgets what retention says, and returns it to be dropped outside the lock.
    pub(crate) fn evict(&self, now: Instant, retention: RetentionPolicy) -> Vec<Arc<ActivePlan>> {
        self.lock().evict(now, retention)
    }

    /// Forgets an ended plan: None if there is none of that id, itself if it still runs.
    pub(crate) fn remove(&self, id: Uuid) -> Option<Removed> {
        let mut inner = self.lock();
        if !inner.plans.get(&id)?.status().is_terminal() {
            return Some(Removed::StillRunning);
        }
        inner.ended.retain(|ended| ended.id != id);
        inner.plans.remove(&id).map(Removed::Plan)
    }

    /// When the oldest record ended.
    pub(crate) fn oldest_ending(&self) -> Option<Instant> {
        self.lock().ended.front().map(|ended| ended.at)
    }

    fn lock(&self) -> MutexGuard<'_, PlanRegistryState> {
        // No code that can panic half-way runs under the lock, so what it guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of removing a plan.
#[derive(Debug)]
pub(crate) enum Removed {
    Plan(#[expect(dead_code, reason = "dropped outside the lock")] Arc<ActivePlan>),
    StillRunning,
}

impl PlanRegistryState {
    fn evict(&mut self, now: Instant, retention: RetentionPolicy) -> Vec<Arc<ActivePlan>> {
        let steps = self.ended.iter().map(|ended| (ended.at, ended.steps));
        let surplus = surplus(now, retention, steps);
        self.ended.drain(..surplus).filter_map(|ended| self.plans.remove(&ended.id)).collect()
    }
}

/// How many of the plans, given by the times of their endings and the numbers of their steps,
/// oldest first, are to go. A plan counts as many records as it has steps; the youngest stays
/// however many that are, until its time has come.
fn surplus(
    now: Instant,
    retention: RetentionPolicy,
    ended: impl DoubleEndedIterator<Item = (Instant, usize)> + ExactSizeIterator + Clone,
) -> usize {
    let mut room = retention.count;
    let fits = |&(_, steps): &(Instant, usize)| match room.checked_sub(steps) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let kept = ended.clone().rev().take_while(fits).count().max(1);
    let expired = |at: Instant| retention.expiry(at).is_some_and(|expiry| expiry <= now);
    let too_many = ended.len().saturating_sub(kept);
    too_many.max(ended.take_while(|(at, _)| expired(*at)).count())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// For plans given by age in seconds and number of steps.
    fn gone(age_secs: u64, count: usize, plans: &[(u64, usize)]) -> usize {
        let now = Instant::now() + Duration::from_secs(10_000);
        let retention = RetentionPolicy { age: Duration::from_secs(age_secs), count };
        let ended = plans.iter().map(|&(age, steps)| (now - Duration::from_secs(age), steps));
        surplus(now, retention, ended)
    }

    #[test]
    fn plans_go_by_age_and_by_the_number_of_their_steps() {
        assert_eq!(gone(60, 100, &[(90, 1), (60, 1), (59, 1)]), 2, "by age");
        assert_eq!(gone(60, 10, &[(3, 4), (2, 5), (1, 5)]), 1, "by steps");
        assert_eq!(gone(60, 10, &[(3, 4), (2, 5), (1, 500)]), 2, "the youngest stays");
        assert_eq!(gone(60, 10, &[(90, 500)]), 1, "until it is too old");
        assert_eq!(gone(60, 10, &[]), 0);
    }
}
