//! The deadline of an attempt or of a plan, which pauses and holds put off, and the one that output
//! puts off.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::ClockStart;
use crate::config::TimeoutClock;
use crate::types::whole_millis;

/// Deadline, shared by the one who waits for it and those who put it off.
///
/// It is put off by a pause for as long as it lasts, and while the program is held back for a slow
/// handler, up to a limit: otherwise a handler would decide that the program has timed out, and
/// without a limit it would decide that it never does.
#[derive(Debug)]
pub(crate) struct Deadline {
    clock: TimeoutClock,
    timeout: Option<Duration>,
    /// Longest time without output.
    idle: Option<Duration>,
    state: Mutex<(ClockStart, DeadlineState)>,
}

/// A limit that has expired, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiredLimit {
    Timeout(u64),
    /// There was no output for so long.
    Idle(u64),
}

/// State of a deadline. Pure: times are measured from its start, and the caller says how much has
/// passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DeadlineState {
    /// None is never.
    at: Option<Duration>,
    /// When there has been no output for too long, if there is none until then.
    idle_at: Option<Duration>,
    /// Up to here, pauses and holds are accounted for.
    settled: Duration,
    is_paused: bool,
    holds: u32,
    /// Time for pauses that is left, all of them together.
    pause_left: Duration,
    /// Time for holds that is left.
    hold_left: Duration,
}

impl Deadline {
    /// Creates one that may be put off by pauses and holds of these lengths altogether.
    pub(crate) fn new(
        clock: TimeoutClock,
        start: Instant,
        timeout: Option<Duration>,
        max_pause: Duration,
        max_hold: Duration,
    ) -> Self {
        let state = DeadlineState::new(timeout, None, max_pause, max_hold);
        let state = Mutex::new((ClockStart::new(clock, start), state));
        Self { clock, timeout, idle: None, state }
    }

    /// Makes it one that is also reached after so much time without output.
    pub(crate) fn with_idle_limit(mut self, idle: Option<Duration>) -> Self {
        self.idle = idle;
        self.state.get_mut().1.idle_at = idle;
        self
    }

    /// Creates one that is never reached.
    pub(crate) fn never() -> Self {
        let zero = Duration::ZERO;
        Self::new(TimeoutClock::Monotonic, Instant::now(), None, zero, zero)
    }

    /// Starts anew, for another attempt. What pauses and holds have used up stays so.
    pub(crate) fn restart(&self, start: Instant) {
        let (clock_start, state) = &mut *self.state.lock();
        *clock_start = ClockStart::new(self.clock, start);
        let (pause_left, hold_left) = (state.pause_left, state.hold_left);
        *state = DeadlineState::new(self.timeout, self.idle, pause_left, hold_left);
    }

    /// Notes that there was output.
    pub(crate) fn note_output(&self) {
        // Without the lock for those that have no such limit, which are most.
        let Some(idle) = self.idle else { return };
        self.change(|state| state.idle_at = state.settled.checked_add(idle));
    }

    /// Returns which limit has expired; None if there has been output since
    /// [`wakeup`](Self::wakeup) returned, or a pause or a hold has begun.
    pub(crate) fn expired(&self) -> Option<ExpiredLimit> {
        let (start, state) = &*self.state.lock();
        let has_passed = state.next_wakeup().is_some_and(|next| start.elapsed() >= next);
        if !has_passed || state.is_paused {
            return None;
        }
        let millis = |limit: Option<Duration>| limit.map_or(0, whole_millis);
        Some(match state.is_idle_first() {
            true => ExpiredLimit::Idle(millis(self.idle)),
            false => ExpiredLimit::Timeout(millis(self.timeout)),
        })
    }

    /// Starts a pause, if there is none.
    pub(crate) fn pause(&self) {
        self.change(|state| state.is_paused = true);
    }

    pub(crate) fn resume(&self) {
        self.change(|state| state.is_paused = false);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().1.is_paused
    }

    /// Puts it off until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.change(|state| state.holds += 1);
    }

    /// Ends a hold. [`wakeup`](Self::wakeup) has to be called anew then.
    pub(crate) fn release(&self) {
        self.change(|state| state.holds -= 1);
    }

    /// Waits for the next moment that needs action: the deadline, or the end of the longest pause.
    /// Cancel safe.
    pub(crate) async fn wakeup(&self) {
        loop {
            let (start, next) = {
                let (start, state) = &*self.state.lock();
                (*start, state.next_wakeup())
            };
            if next.is_some_and(|next| start.elapsed() >= next) {
                return;
            }
            start.sleep_until(next).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut DeadlineState)) {
        let (start, state) = &mut *self.state.lock();
        state.settle(start.elapsed());
        change(state);
    }
}

impl DeadlineState {
    fn new(
        at: Option<Duration>,
        idle_at: Option<Duration>,
        pause_left: Duration,
        hold_left: Duration,
    ) -> Self {
        let settled = Duration::ZERO;
        Self { at, idle_at, settled, is_paused: false, holds: 0, pause_left, hold_left }
    }

    /// Accounts for the time up to now.
    fn settle(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.settled);
        self.settled = now;
        let put_off = if self.is_paused {
            self.pause_left = self.pause_left.saturating_sub(passed);
            passed
        } else if self.holds > 0 {
            let counted = passed.min(self.hold_left);
            self.hold_left -= counted;
            counted
        } else {
            return;
        };
        for at in [&mut self.at, &mut self.idle_at] {
            *at = at.and_then(|at| at.checked_add(put_off));
        }
    }

    /// Returns the first of both deadlines.
    fn first(&self) -> Option<Duration> {
        self.at.into_iter().chain(self.idle_at).min()
    }

    /// Returns `true` if that is the one without output. A tie is a timeout.
    fn is_idle_first(&self) -> bool {
        self.idle_at.is_some_and(|idle_at| self.at.is_none_or(|at| idle_at < at))
    }

    /// Returns the next moment that needs action if nothing changes before.
    fn next_wakeup(&self) -> Option<Duration> {
        if self.is_paused {
            self.settled.checked_add(self.pause_left)
        } else if self.holds > 0 {
            self.first()?.checked_add(self.hold_left)
        } else {
            self.first()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Creates the state of a timeout of 10 s, with 5 s for pauses and 3 s for holds.
    fn ten_seconds() -> DeadlineState {
        DeadlineState::new(Some(10 * SECOND), None, 5 * SECOND, 3 * SECOND)
    }

    /// Applies a change at this second.
    fn at(second: u32, state: &mut DeadlineState, change: impl FnOnce(&mut DeadlineState)) {
        state.settle(second * SECOND);
        change(state);
    }

    fn wakes_at(state: &DeadlineState, second: u32) {
        assert_eq!(state.next_wakeup(), Some(second * SECOND));
    }

    #[test]
    fn pauses_do_not_count_and_end_by_themselves() {
        let mut state = ten_seconds();
        wakes_at(&state, 10);
        at(1, &mut state, |state| state.is_paused = true);
        at(2, &mut state, |state| state.is_paused = true);
        wakes_at(&state, 6);
        at(4, &mut state, |state| state.is_paused = false);
        wakes_at(&state, 13);
        at(5, &mut state, |state| state.is_paused = true);
        // Two seconds of pause are left.
        wakes_at(&state, 7);
    }

    #[test]
    fn holds_do_not_count_up_to_their_limit() {
        let mut state = ten_seconds();
        at(1, &mut state, |state| state.holds += 1);
        wakes_at(&state, 13);
        at(2, &mut state, |state| state.holds += 1);
        at(3, &mut state, |state| state.holds -= 1);
        wakes_at(&state, 13);
        // Held by two at a time, it was held for two seconds and not for three.
        at(3, &mut state, |state| state.holds -= 1);
        wakes_at(&state, 12);
        at(5, &mut state, |state| state.holds += 1);
        wakes_at(&state, 13);
        at(9, &mut state, |state| state.holds -= 1);
        // One second was left. The other three count.
        wakes_at(&state, 13);
        at(9, &mut state, |state| state.holds += 1);
        wakes_at(&state, 13);
    }

    #[test]
    fn a_hold_during_a_pause_is_not_counted_twice() {
        let mut state = ten_seconds();
        at(1, &mut state, |state| state.holds += 1);
        at(2, &mut state, |state| state.is_paused = true);
        at(4, &mut state, |state| state.is_paused = false);
        at(5, &mut state, |state| state.holds -= 1);
        // Four seconds were no time of the program, two of them held back alone.
        wakes_at(&state, 14);
        assert_eq!((state.pause_left, state.hold_left), (3 * SECOND, SECOND));
    }

    #[test]
    fn unlimited_never_wakes() {
        let mut state = DeadlineState::new(None, None, Duration::MAX, Duration::MAX);
        assert_eq!(state.next_wakeup(), None);
        at(1, &mut state, |state| state.holds += 1);
        assert_eq!(state.next_wakeup(), None);
        at(2, &mut state, |state| state.is_paused = true);
        assert_eq!(state.next_wakeup(), None);
    }

    #[test]
    fn output_puts_off_the_idle_deadline_alone() {
        let mut state = ten_seconds();
        let output = |state: &mut DeadlineState| state.idle_at = Some(state.settled + 4 * SECOND);
        output(&mut state);
        assert!(state.is_idle_first());
        wakes_at(&state, 4);
        at(3, &mut state, output);
        wakes_at(&state, 7);
        at(6, &mut state, output);
        // A tie is a timeout.
        wakes_at(&state, 10);
        assert!(!state.is_idle_first());
    }

    #[test]
    fn pauses_and_holds_are_no_idle_time() {
        let mut state = ten_seconds();
        state.idle_at = Some(4 * SECOND);
        at(1, &mut state, |state| state.is_paused = true);
        at(3, &mut state, |state| state.is_paused = false);
        wakes_at(&state, 6);
        at(4, &mut state, |state| state.holds += 1);
        wakes_at(&state, 9);
        at(5, &mut state, |state| state.holds -= 1);
        wakes_at(&state, 7);
        assert_eq!(state.at, Some(13 * SECOND));
    }

    #[tokio::test]
    async fn the_limit_that_expired_is_told() {
        let (start, short) = (Instant::now(), Duration::from_millis(10));
        let new = |timeout| {
            let zero = Duration::ZERO;
            Deadline::new(TimeoutClock::Monotonic, start, timeout, zero, zero)
        };
        let idle = new(None).with_idle_limit(Some(short));
        idle.wakeup().await;
        assert_eq!(idle.expired(), Some(ExpiredLimit::Idle(10)));
        idle.note_output();
        assert_eq!(idle.expired(), None);
        idle.restart(Instant::now());
        idle.wakeup().await;
        assert_eq!(idle.expired(), Some(ExpiredLimit::Idle(10)));
        let both = new(Some(short)).with_idle_limit(Some(2 * short));
        both.wakeup().await;
        assert_eq!(both.expired(), Some(ExpiredLimit::Timeout(10)));
    }

    #[tokio::test]
    async fn a_deadline_that_a_hold_has_put_off_is_reached_all_the_same() {
        for clock in [TimeoutClock::Monotonic, TimeoutClock::Boottime] {
            let (timeout, hold) = (Duration::from_millis(20), Duration::from_millis(10));
            let start = Instant::now();
            let deadline = Deadline::new(clock, start, Some(timeout), Duration::ZERO, hold);
            deadline.hold();
            deadline.wakeup().await;
            assert!(start.elapsed() >= timeout + hold, "{clock:?}");
            deadline.restart(Instant::now());
            deadline.wakeup().await;
            assert!(start.elapsed() >= 2 * timeout + hold, "{clock:?}");
        }
    }
}
