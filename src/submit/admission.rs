//! Who may run now: an exact count of the executions alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many permits as executions may be alive.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: usize,
    taken: AtomicUsize,
}

/// The right of one execution to be alive; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Permits {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0) })
    }

    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < self.limit).then_some(taken + 1)
            })
            .is_ok()
            .then(|| Permit(Arc::clone(self)))
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    pub(crate) fn available(&self) -> usize {
        self.limit - self.taken()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_limit_and_all_come_back() {
        let permits = Permits::new(2);
        let first = permits.try_acquire();
        let second = permits.try_acquire();
        assert!(first.is_some() && second.is_some() && permits.try_acquire().is_none());
        drop(first);
        assert_eq!((permits.taken(), permits.available()), (1, 1));
        assert!(permits.try_acquire().is_some());
    }
}
