//! The deadline of one attempt, which pauses put off. Pure.

use std::time::{Duration, Instant};

/// Pausable deadline of one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct PausableDeadline {
    /// None is never.
    deadline: Option<Instant>,
    paused_since: Option<Instant>,
    /// Time for pauses that is left, all of them together.
    pause_left: Duration,
}

impl PausableDeadline {
    pub(super) fn new(begun: Instant, timeout: Option<Duration>, max_pause: Duration) -> Self {
        let deadline = timeout.and_then(|timeout| begun.checked_add(timeout));
        Self { deadline, paused_since: None, pause_left: max_pause }
    }

    /// Starts a pause, if there is none.
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused_since.get_or_insert(now);
    }

    /// Ends a pause and puts off the deadline by it.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused_since.take() {
            let paused = now.saturating_duration_since(since);
            self.pause_left = self.pause_left.saturating_sub(paused);
            self.deadline = self.deadline.and_then(|deadline| deadline.checked_add(paused));
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_since.is_some()
    }

    /// Returns the next instant that needs action: the deadline, or the end of the longest pause.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        match self.paused_since {
            Some(since) => since.checked_add(self.pause_left),
            None => self.deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_do_not_count_and_end_by_themselves() {
        let start = Instant::now();
        let mut deadline = PausableDeadline::new(start, Some(10 * SECOND), 5 * SECOND);
        assert_eq!(deadline.next_wakeup(), Some(start + 10 * SECOND));
        deadline.pause(start + SECOND);
        deadline.pause(start + 2 * SECOND);
        assert_eq!(deadline.next_wakeup(), Some(start + 6 * SECOND), "the first pause counts");
        deadline.resume(start + 4 * SECOND);
        assert_eq!(deadline.next_wakeup(), Some(start + 13 * SECOND));
        deadline.pause(start + 5 * SECOND);
        assert_eq!(
            deadline.next_wakeup(),
            Some(start + 7 * SECOND),
            "two seconds of pause are left"
        );
    }

    #[test]
    fn unlimited_never_wakes() {
        let mut deadline = PausableDeadline::new(Instant::now(), None, Duration::MAX);
        assert_eq!(deadline.next_wakeup(), None);
        deadline.pause(Instant::now());
        assert!(deadline.is_paused() && deadline.next_wakeup().is_none());
    }
}
