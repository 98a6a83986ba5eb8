//! How many descriptors this process has left for executions.
//!
//! The limit of open files is one for the whole process, which has other uses for them. So it is
//! looked at, and what happens between two looks is estimated.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use execution_engine_process::{CoarseInstant, OpenFiles, live_children, open_files};
use parking_lot::Mutex;

/// Descriptors that an execution is taken to need until the next look: it has three while it runs
/// (two with merged output), and up to five more for the moment of its start. What some need beyond
/// that, such as the files of control groups that are kept open, comes from the reserve.
const NEED: u64 = 8;
/// Descriptors that an execution is taken to give back, until the next look. More would be granted
/// twice: a look finds what it holds, not what its start has needed.
const GIVEN_BACK: u64 = 3;
/// One part of the limit is left for the host, and for stopping executions.
const RESERVED_PART: u64 = 8;
const MAX_RESERVE: u64 = 256;
/// Most grants between two looks, and the longest time.
const MAX_GRANTS: u64 = 64;
const MAX_AGE: Duration = Duration::from_secs(1);

/// The descriptors that the executions of all engines share.
#[derive(Debug, Default)]
pub(crate) struct DescriptorBudget(Mutex<Estimate>);

#[derive(Debug, Default)]
struct Estimate {
    /// None before the first look, and where the system does not tell.
    limit: Option<u64>,
    in_use: u64,
    /// Permits that are in use, of all engines.
    permits: u64,
    /// Grants that may still follow before the next look.
    grants_left: u64,
    looked: Option<CoarseInstant>,
}

impl DescriptorBudget {
    /// Returns that of this process.
    pub(crate) fn of_this_process() -> Arc<Self> {
        static BUDGET: LazyLock<Arc<DescriptorBudget>> = LazyLock::new(Arc::default);
        Arc::clone(&BUDGET)
    }

    /// Asks the system again before the next grant: it has refused a descriptor.
    pub(super) fn doubt(&self) {
        self.0.lock().grants_left = 0;
    }

    /// Returns `true` if there are enough for another execution, as far as is known.
    pub(super) fn has_room(&self) -> bool {
        self.0.lock().room() >= NEED
    }

    /// Looks how many there are, if the last look is too old for the next grant.
    pub(super) fn refresh(&self) {
        let is_current = {
            let estimate = self.0.lock();
            let is_new = estimate.looked.as_ref().is_some_and(|at| at.elapsed() < MAX_AGE);
            is_new && estimate.grants_left > 0 && estimate.room() >= NEED
        };
        if !is_current {
            // Without the lock, because it asks the system.
            let seen = open_files();
            self.0.lock().look(seen, live_children());
        }
    }

    pub(super) fn grant(&self) {
        let mut estimate = self.0.lock();
        estimate.permits += 1;
        estimate.in_use += NEED;
        estimate.grants_left = estimate.grants_left.saturating_sub(1);
    }

    pub(super) fn give_back(&self) {
        let mut estimate = self.0.lock();
        estimate.permits -= 1;
        estimate.in_use = estimate.in_use.saturating_sub(GIVEN_BACK);
    }

    /// Returns how many are in use, and the limit.
    pub(super) fn in_use_and_limit(&self) -> (u64, u64) {
        let estimate = self.0.lock();
        (estimate.in_use, estimate.limit.unwrap_or(u64::MAX))
    }
}

impl Estimate {
    /// Returns how many are left.
    fn room(&self) -> u64 {
        let Some(limit) = self.limit else { return u64::MAX };
        let reserve = (limit / RESERVED_PART).min(MAX_RESERVE);
        limit.saturating_sub(reserve).saturating_sub(self.in_use)
    }

    fn look(&mut self, seen: Option<OpenFiles>, children: u64) {
        self.looked = Some(CoarseInstant::now());
        self.limit = seen.map(|seen| seen.limit);
        let Some(seen) = seen else {
            self.grants_left = MAX_GRANTS;
            return;
        };
        // Those that have a permit and no program yet will need them in a moment.
        let starting = self.permits.saturating_sub(children);
        self.in_use = seen.in_use + starting * NEED;
        // Half of them: the host may open files meanwhile.
        self.grants_left = (self.room() / NEED / 2).clamp(1, MAX_GRANTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(in_use: u64, limit: u64) -> DescriptorBudget {
        let budget = DescriptorBudget::default();
        budget.0.lock().look(Some(OpenFiles { in_use, limit }), 0);
        budget
    }

    #[test]
    fn grants_end_before_the_limit_and_go_on_when_some_are_given_back() {
        let budget = budget(20, 100);
        let mut grants = 0;
        while budget.has_room() {
            budget.grant();
            grants += 1;
        }
        assert!((6..=8).contains(&grants), "{grants}");
        (0..3).for_each(|_| budget.give_back());
        assert!(budget.has_room());
    }

    #[test]
    fn executions_that_end_give_back_no_more_than_they_hold() {
        let budget = budget(20, 100);
        (0..10).for_each(|_| budget.grant());
        // All ten run.
        budget.0.lock().look(Some(OpenFiles { in_use: 85, limit: 100 }), 10);
        (0..5).for_each(|_| budget.give_back());
        assert_eq!(budget.in_use_and_limit(), (85 - 5 * GIVEN_BACK, 100));
    }

    #[test]
    fn an_execution_that_is_starting_counts_though_its_descriptors_are_not_open_yet() {
        let budget = budget(20, 100);
        for _ in 0..4 {
            budget.grant();
        }
        // Two of the four have a program.
        budget.0.lock().look(Some(OpenFiles { in_use: 30, limit: 100 }), 2);
        assert_eq!(budget.in_use_and_limit(), (30 + 2 * NEED, 100));
    }

    #[test]
    fn a_system_that_does_not_tell_sets_no_bound() {
        let budget = DescriptorBudget::default();
        budget.0.lock().look(None, 0);
        assert!(budget.has_room());
    }
}
