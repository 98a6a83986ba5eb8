//! What a child has used, as the system accounts for it.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Usage;

/// What a child's memory is held against: it shares the host's until it executes its program, and the
/// kernel counts that as its own.
static HOST_PEAK: AtomicU64 = AtomicU64::new(0);

/// The peak of a child, unless it is no more than that of this host. The host is asked only where what
/// it said last does not answer the question.
fn own_peak(bytes: u64) -> Option<u64> {
    if bytes <= HOST_PEAK.load(Ordering::Relaxed) {
        return None;
    }
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills a structure of this size; all of it was zeroed, which is a value.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let host = peak(&usage);
    HOST_PEAK.fetch_max(host, Ordering::Relaxed);
    (bytes > host).then_some(bytes)
}

/// Apple's systems count in bytes, the others in KiB.
fn peak(usage: &libc::rusage) -> u64 {
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    count(usage.ru_maxrss) * unit
}

/// The types of these numbers differ from one system to the next; none is negative.
fn count(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}

pub(super) fn used(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        Duration::from_secs(count(time.tv_sec)) + Duration::from_micros(count(time.tv_usec))
    };
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        peak_memory_bytes: own_peak(peak(usage)),
        voluntary_switches: count(usage.ru_nvcsw),
        involuntary_switches: count(usage.ru_nivcsw),
    }
}
