//! Retention: which ended executions and plans are forgotten, as a pure function of the present.
//!
//! Executions and plans wait in a queue each, because a plan holds the records of its steps
//! whatever becomes of them elsewhere; both queues follow one policy.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::ExecutionConfig;

/// Limits of what is remembered, by age and by count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetentionPolicy {
    pub(crate) age: Duration,
    /// Records of executions; a plan counts as many as it has steps.
    pub(crate) count: usize,
}

impl RetentionPolicy {
    pub(crate) fn of(config: &ExecutionConfig) -> Self {
        Self { age: config.retention(), count: config.max_in_memory_executions }
    }

    /// Returns when something that ended at `at` is to be forgotten; `None` is never.
    pub(crate) fn expiry(&self, at: Instant) -> Option<Instant> {
        // A retention too long for the clock is one that never runs out.
        at.checked_add(self.age)
    }

    fn is_expired(&self, at: Instant, now: Instant) -> bool {
        self.expiry(at).is_some_and(|expiry| expiry <= now)
    }
}

/// Ended executions or plans, oldest ending first.
#[derive(Debug)]
pub(super) struct EndedQueue<T> {
    /// Ordered by number, too, so that one is found by binary search.
    queue: VecDeque<Ended<T>>,
    next_number: u64,
    /// Records held by all of them together.
    records: usize,
}

#[derive(Debug)]
struct Ended<T> {
    number: u64,
    at: Instant,
    records: usize,
    item: T,
}

impl<T> Default for EndedQueue<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), next_number: 0, records: 0 }
    }
}

impl<T> EndedQueue<T> {
    /// Appends what has just ended and holds that many records. Returns its number.
    pub(super) fn push(&mut self, item: T, records: usize, at: Instant) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.records += records;
        self.queue.push_back(Ended { number, at, records, item });
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        Some(&self.queue[self.index(number)?].item)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let index = self.index(number)?;
        let ended = self.queue.remove(index)?;
        self.records -= ended.records;
        Some(ended.item)
    }

    /// Removes and returns the oldest if the policy says so. The youngest stays, however many
    /// records it holds, until its time has come.
    pub(super) fn pop_due(&mut self, now: Instant, retention: RetentionPolicy) -> Option<T> {
        let is_surplus = self.records > retention.count && self.queue.len() > 1;
        if !is_surplus && !retention.is_expired(self.oldest_ending()?, now) {
            return None;
        }
        let oldest = self.queue.pop_front()?;
        self.records -= oldest.records;
        Some(oldest.item)
    }

    /// Moves every ending into the past.
    pub(super) fn age(&mut self, by: Duration) {
        for ended in &mut self.queue {
            ended.at = ended.at.checked_sub(by).unwrap_or(ended.at);
        }
    }

    /// Returns when the oldest ended.
    pub(super) fn oldest_ending(&self) -> Option<Instant> {
        self.queue.front().map(|oldest| oldest.at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter().map(|ended| &ended.item)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&number, |ended| ended.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many are forgotten of those given by age in seconds and number of records.
    fn forgotten(age_secs: u64, count: usize, ended: &[(u64, usize)]) -> usize {
        let now = Instant::now() + Duration::from_secs(10_000);
        let retention = RetentionPolicy { age: Duration::from_secs(age_secs), count };
        let mut queue = EndedQueue::default();
        for &(age, records) in ended {
            queue.push((), records, now - Duration::from_secs(age));
        }
        std::iter::from_fn(|| queue.pop_due(now, retention)).count()
    }

    #[test]
    fn executions_are_forgotten_by_age_and_by_count() {
        let forgotten = |age_secs, count, ages: &[u64]| {
            let ended: Vec<_> = ages.iter().map(|age| (*age, 1)).collect();
            forgotten(age_secs, count, &ended)
        };
        assert_eq!(forgotten(60, 10, &[100, 60, 59, 1]), 2, "by age");
        assert_eq!(forgotten(60, 2, &[50, 40, 30, 1]), 2, "by count");
        assert_eq!(forgotten(60, 3, &[100, 90, 80, 1]), 3, "the stricter of both");
        assert_eq!(forgotten(u64::MAX, usize::MAX, &[9_000, 1]), 0, "unlimited");
        assert_eq!(forgotten(60, 10, &[]), 0);
    }

    #[test]
    fn plans_are_forgotten_by_age_and_by_the_number_of_their_steps() {
        assert_eq!(forgotten(60, 100, &[(90, 1), (60, 1), (59, 1)]), 2, "by age");
        assert_eq!(forgotten(60, 10, &[(3, 4), (2, 5), (1, 5)]), 1, "by steps");
        assert_eq!(forgotten(60, 10, &[(3, 4), (2, 5), (1, 500)]), 2, "the youngest stays");
        assert_eq!(forgotten(60, 10, &[(90, 500)]), 1, "until it is too old");
        assert_eq!(forgotten(60, 10, &[]), 0);
    }

    #[test]
    fn what_is_removed_from_the_middle_no_longer_counts() {
        let mut queue = EndedQueue::default();
        let now = Instant::now();
        let numbers: Vec<_> = ["a", "b", "c"].map(|item| queue.push(item, 2, now)).into();
        assert_eq!(queue.remove(numbers[1]), Some("b"));
        assert_eq!(queue.get(numbers[1]), None);
        assert_eq!(queue.remove(numbers[1]), None);
        assert_eq!(queue.get(numbers[2]), Some(&"c"));
        let retention = RetentionPolicy { age: Duration::from_secs(60), count: 4 };
        assert_eq!(queue.pop_due(now, retention), None, "the other two fit");
        assert_eq!(queue.iter().collect::<Vec<_>>(), [&"a", &"c"]);
    }
}
