//! Resources that a child has used, as the system accounts for them.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Usage;

/// Highest peak of this host that was seen, in bytes. A child shares the host's memory until it
/// executes its program, and the kernel counts the shared memory as the child's.
static HOST_PEAK: AtomicU64 = AtomicU64::new(0);

/// Returns the peak of a child, unless it is no more than that of this host. Asks for the host's
/// peak only where the last answer is not enough, which saves a system call.
fn own_peak(bytes: u64) -> Option<u64> {
    if bytes <= HOST_PEAK.load(Ordering::Relaxed) {
        return None;
    }
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills a structure of this size; all of it was zeroed, which is a value.
    let (told, usage) =
        unsafe { (libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), usage.assume_init()) };
    if told != 0 {
        // A sandbox refuses the call, so the peak may be the host's.
        return None;
    }
    let host = peak(&usage);
    HOST_PEAK.fetch_max(host, Ordering::Relaxed);
    (bytes > host).then_some(bytes)
}

/// Returns the peak in bytes. Apple's systems count in bytes, the others in KiB.
fn peak(usage: &libc::rusage) -> u64 {
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    count(usage.ru_maxrss) * unit
}

/// Converts a number whose type differs from one system to the next; none is negative.
fn count(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}

/// Converts the system's account.
pub(super) fn used(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        Duration::from_secs(count(time.tv_sec)) + Duration::from_micros(count(time.tv_usec))
    };
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        peak_memory_bytes: own_peak(peak(usage)),
        voluntary_switches: Some(count(usage.ru_nvcsw)),
        involuntary_switches: Some(count(usage.ru_nivcsw)),
    }
}
