//! Points in the write path at which a test ends the process. Without a test each is a load of a flag.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A point, and how often it is passed before the process ends.
static FAULT: OnceLock<(String, AtomicU64)> = OnceLock::new();

/// Ends this process with SIGKILL when it comes to a point of the write path: `"point"`, or `"point:3"`
/// for the third time. For tests; the first call counts.
///
/// Points of the service: `dispatch_before_told`, `dispatch_after_told`, `ended_before_commit`,
/// `ended_after_commit`, `before_archive`, `after_archive`, `before_forget`, `after_forget`,
/// `plan_before_step`, `plan_after_step`, `plan_before_end`,
/// `import_before_commit`, `import_after_commit`. Points of the store: an operation, `_`, and its step
/// (`accept_applied`, `accept_committed`, `dispatch_applied`, ..).
#[doc(hidden)]
pub fn kill_at(point: &str) {
    let (name, count) = point.split_once(':').unwrap_or((point, "1"));
    let count = count.parse().unwrap_or(1);
    let _ = FAULT.set((name.to_string(), AtomicU64::new(count)));
}

/// Ends this process if a test wants it here.
pub(crate) fn at(point: &str) {
    let Some((name, left)) = FAULT.get() else { return };
    if name == point && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is on its way; nothing may happen behind the point.
        loop {
            std::thread::park();
        }
    }
}

/// Returns `true` if a test has named a point.
pub(crate) fn is_set() -> bool {
    FAULT.get().is_some()
}
