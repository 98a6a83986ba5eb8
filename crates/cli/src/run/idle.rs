//! The limit of time without output. `run` reads the output itself, so it watches that limit itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use execution_engine::blocking::Execution;

/// Time for output that was written within the limit to be read.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// When there was output last.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// In microseconds after `begun`.
    last: AtomicU64,
    has_expired: AtomicBool,
}

impl Default for Activity {
    fn default() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0), has_expired: AtomicBool::new(false) }
    }
}

impl Activity {
    /// Notes output, or another reason to begin anew.
    pub(super) fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Ordering::AcqRel);
    }

    /// Returns `true` if the execution was stopped for its silence.
    pub(super) fn has_expired(&self) -> bool {
        self.has_expired.load(Ordering::Acquire)
    }

    /// Returns the time since the last output.
    fn silence(&self) -> Duration {
        let last = Duration::from_micros(self.last.load(Ordering::Acquire));
        self.begun.elapsed().saturating_sub(last)
    }

    /// Stops the execution when it has written nothing for this time.
    pub(super) fn watch(self: &Arc<Self>, execution: &Execution, longest: Duration) {
        self.note();
        let (activity, execution) = (Arc::clone(self), execution.clone());
        let watch = move || {
            loop {
                match longest.checked_sub(activity.silence()) {
                    Some(rest) if !rest.is_zero() => thread::park_timeout(rest),
                    _ => {
                        // What was written in time may be yet to be read, and a job that was
                        // suspended is being continued.
                        thread::park_timeout(LAST_LOOK);
                        if activity.silence() >= longest {
                            break;
                        }
                    }
                }
            }
            activity.has_expired.store(true, Ordering::Release);
            // It may have ended just now.
            let _ended = execution.cancel();
        };
        if let Err(error) = thread::Builder::new().name("idle".into()).spawn(watch) {
            crate::message::print(format_args!("--idle-timeout cannot be watched: {error}"));
        }
    }
}
