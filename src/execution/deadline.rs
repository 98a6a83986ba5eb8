//! The clock of one execution: it stands still while the execution is paused.

use std::time::{Duration, Instant};

/// When the time is up, and how much of a pause is left. None is never.
#[derive(Debug, Clone, Copy)]
pub(super) struct PausableDeadline {
    deadline: Option<Instant>,
    paused_since: Option<Instant>,
    /// How long it may yet be paused, all pauses together.
    patience: Duration,
}

impl PausableDeadline {
    pub(super) fn new(begun: Instant, timeout: Option<Duration>, max_pause: Duration) -> Self {
        let deadline = timeout.and_then(|timeout| begun.checked_add(timeout));
        Self { deadline, paused_since: None, patience: max_pause }
    }

    pub(super) fn pause(&mut self, now: Instant) {
        self.paused_since.get_or_insert(now);
    }

    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused_since.take() {
            let paused = now.saturating_duration_since(since);
            self.patience = self.patience.saturating_sub(paused);
            self.deadline = self.deadline.and_then(|deadline| deadline.checked_add(paused));
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_since.is_some()
    }

    /// When to look at it next: at the deadline, or at the end of the longest pause.
    pub(super) fn rings_at(&self) -> Option<Instant> {
        match self.paused_since {
            Some(since) => since.checked_add(self.patience),
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
        let mut clock = PausableDeadline::new(start, Some(10 * SECOND), 5 * SECOND);
        assert_eq!(clock.rings_at(), Some(start + 10 * SECOND));
        clock.pause(start + SECOND);
        clock.pause(start + 2 * SECOND);
        assert_eq!(clock.rings_at(), Some(start + 6 * SECOND), "the first pause counts");
        clock.resume(start + 4 * SECOND);
        assert_eq!(clock.rings_at(), Some(start + 13 * SECOND));
        clock.pause(start + 5 * SECOND);
        assert_eq!(clock.rings_at(), Some(start + 7 * SECOND), "two seconds of pause are left");
    }

    #[test]
    fn unlimited_never_rings() {
        let mut clock = PausableDeadline::new(Instant::now(), None, Duration::MAX);
        assert_eq!(clock.rings_at(), None);
        clock.pause(Instant::now());
        assert!(clock.is_paused() && clock.rings_at().is_none());
    }
}
