//! State of the delivery of one execution to one handler. Pure: the caller passes in how much time
//! has passed.
//!
//! ```text
//!            wake             start
//!      Idle ──────► Waiting ────────► Running
//!       ▲              ▲                │  │
//!       │              └── give_up_thread  │
//!       └───────────── finish ─────────────┘
//! ```
//! Each of the three exists for a handler that is cut off, too: it gets events, but no lines.

use std::time::Duration;

/// What becomes of the lines of an execution, and whether a pool thread is at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HandlerState {
    /// The handler was stuck. It gets events only; its lines are counted as missed.
    is_cut_off: bool,
    thread: ThreadUse,
}

/// Use of a pool thread by one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ThreadUse {
    /// There is nothing to deliver.
    #[default]
    Idle,
    /// There is something to deliver and no thread yet.
    Waiting,
    /// A thread calls the handler.
    Running,
}

impl HandlerState {
    /// Notes that there is something to deliver. Returns `true` if the caller has to request a
    /// thread.
    pub(super) fn wake(&mut self) -> bool {
        let is_idle = self.thread == ThreadUse::Idle;
        if is_idle {
            self.thread = ThreadUse::Waiting;
        }
        is_idle
    }

    /// Notes that the requested thread is there.
    pub(super) fn start(&mut self) {
        debug_assert_eq!(self.thread, ThreadUse::Waiting);
        self.thread = ThreadUse::Running;
    }

    /// Notes that the thread is left to other queues, and that another one is requested.
    pub(super) fn give_up_thread(&mut self) {
        debug_assert_eq!(self.thread, ThreadUse::Running);
        self.thread = ThreadUse::Waiting;
    }

    /// Notes that everything is delivered, or that no thread may be used.
    pub(super) fn finish(&mut self) {
        self.thread = ThreadUse::Idle;
    }

    /// Ends the delivery of lines. Returns `false` if it had ended before.
    pub(super) fn cut_off(&mut self) -> bool {
        !std::mem::replace(&mut self.is_cut_off, true)
    }

    pub(super) fn is_cut_off(self) -> bool {
        self.is_cut_off
    }

    /// Returns `true` if the current call has taken `limit` or longer, i.e. its thread may be lost.
    pub(super) fn is_stuck(self, since_last_call: Duration, limit: Duration) -> bool {
        self.thread == ThreadUse::Running && since_last_call >= limit
    }

    /// Returns for how long nothing has moved that this queue depends on.
    ///
    /// A queue that waits for a thread depends on all handlers, because any of their calls can free
    /// one. So it stalls only if none of them has returned either.
    pub(super) fn stalled_for(
        self,
        since_last_call: Duration,
        since_any_call: Duration,
    ) -> Duration {
        match self.thread {
            ThreadUse::Idle => Duration::ZERO,
            ThreadUse::Waiting => since_last_call.min(since_any_call),
            ThreadUse::Running => since_last_call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ThreadUse::{Idle, Running, Waiting};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_secs(1);

    fn delivering(thread: ThreadUse) -> HandlerState {
        HandlerState { is_cut_off: false, thread }
    }

    fn cut_off(thread: ThreadUse) -> HandlerState {
        HandlerState { is_cut_off: true, thread }
    }

    #[test]
    fn one_thread_is_requested_until_everything_is_delivered() {
        for idle in [delivering(Idle), cut_off(Idle)] {
            let mut state = idle;
            assert!(state.wake(), "an idle queue needs a thread");
            assert!(!state.wake(), "one request is enough");
            state.start();
            assert!(!state.wake(), "the thread sees what is new by itself");
            state.give_up_thread();
            assert!(!state.wake(), "the next thread is requested already");
            state.start();
            state.finish();
            assert_eq!(state, idle);
            assert!(state.wake());
        }
    }

    #[test]
    fn a_handler_is_cut_off_once_and_for_all() {
        for thread in [Idle, Waiting, Running] {
            let mut state = delivering(thread);
            assert!(state.cut_off());
            assert_eq!(state, cut_off(thread), "its thread is where it was");
            assert!(!state.cut_off());
        }
        let mut state = cut_off(Running);
        state.finish();
        state.wake();
        state.start();
        assert!(state.is_cut_off());
    }

    #[test]
    fn only_a_call_that_runs_is_stuck() {
        for (thread, is_stuck) in [(Idle, false), (Waiting, false), (Running, true)] {
            assert_eq!(delivering(thread).is_stuck(LIMIT, LIMIT), is_stuck, "{thread:?}");
            assert_eq!(cut_off(thread).is_stuck(LIMIT, LIMIT), is_stuck, "{thread:?}");
            assert!(!delivering(thread).is_stuck(SHORT, LIMIT), "{thread:?}");
        }
    }

    #[test]
    fn a_queue_that_waits_for_a_thread_stalls_only_with_all_others() {
        let stalled_for = |thread, last, any| delivering(thread).stalled_for(last, any);
        assert_eq!(stalled_for(Idle, LIMIT, LIMIT), Duration::ZERO);
        assert_eq!(stalled_for(Waiting, LIMIT, SHORT), SHORT, "others return their threads");
        assert_eq!(stalled_for(Waiting, LIMIT, LIMIT), LIMIT, "no thread will be free");
        assert_eq!(stalled_for(Waiting, SHORT, LIMIT), SHORT, "it has just begun to wait");
        assert_eq!(stalled_for(Running, LIMIT, SHORT), LIMIT, "others do not help it");
    }
}
