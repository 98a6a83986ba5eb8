//! Which ended executions are forgotten: a pure function of now.

use std::time::{Duration, Instant};

use crate::config::ExecutionConfig;

/// How long, and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetentionPolicy {
    pub(crate) age: Duration,
    pub(crate) count: usize,
}

impl RetentionPolicy {
    pub(crate) fn of(config: &ExecutionConfig) -> Self {
        Self { age: config.retention(), count: config.max_in_memory_executions }
    }

    /// How many of the records, given by the times of their endings, oldest first, are to go.
    pub(crate) fn surplus(
        &self,
        now: Instant,
        ended: impl ExactSizeIterator<Item = Instant>,
    ) -> usize {
        let too_many = ended.len().saturating_sub(self.count);
        // A retention too long for the clock is one that never runs out.
        let expired = |at: Instant| self.expiry(at).is_some_and(|expiry| expiry <= now);
        too_many.max(ended.take_while(|at| expired(*at)).count())
    }

    /// When a record that ended at `at` is to go; None is never.
    pub(crate) fn expiry(&self, at: Instant) -> Option<Instant> {
        at.checked_add(self.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surplus(age_secs: u64, count: usize, ages: &[u64]) -> usize {
        let start = Instant::now();
        let now = start + Duration::from_secs(10_000);
        let retention = RetentionPolicy { age: Duration::from_secs(age_secs), count };
        retention.surplus(now, ages.iter().map(|age| now - Duration::from_secs(*age)))
    }

    #[test]
    fn the_old_go_and_the_surplus_goes() {
        assert_eq!(surplus(60, 10, &[100, 60, 59, 1]), 2, "by age");
        assert_eq!(surplus(60, 2, &[50, 40, 30, 1]), 2, "by count");
        assert_eq!(surplus(60, 3, &[100, 90, 80, 1]), 3, "the stricter of both");
        assert_eq!(surplus(u64::MAX, usize::MAX, &[9_000, 1]), 0, "unlimited");
        assert_eq!(surplus(60, 10, &[]), 0);
    }
}
