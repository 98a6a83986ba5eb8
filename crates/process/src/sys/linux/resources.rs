//! The limits of a child, and whether this host can set them.

use std::ffi::c_int;

use super::exec::errno;
use crate::Limits;
use crate::error::Stage;
use crate::limits::LimitUnavailable;

/// The limits in the form the kernel takes them.
#[derive(Debug, Default)]
pub(super) struct Resources {
    limits: [Option<(u32, libc::rlimit)>; 6],
    nice: Option<c_int>,
    umask: Option<libc::mode_t>,
}

impl Resources {
    pub(super) fn of(limits: &Limits) -> Self {
        let both = |limit: Option<u64>| limit.map(|limit| (limit, limit));
        let limit = |resource: u32, bounds: Option<(u64, u64)>| {
            let (rlim_cur, rlim_max) = bounds?;
            Some((resource, libc::rlimit { rlim_cur, rlim_max }))
        };
        // SIGXCPU comes at the first bound and can be told from a kill, which comes at the second.
        let cpu = limits.cpu_seconds.map(|seconds| (seconds, seconds.saturating_add(1)));
        Self {
            limits: [
                limit(libc::RLIMIT_CPU, cpu),
                limit(libc::RLIMIT_AS, both(limits.address_space_bytes)),
                limit(libc::RLIMIT_NOFILE, both(limits.open_files)),
                limit(libc::RLIMIT_FSIZE, both(limits.file_size_bytes)),
                limit(libc::RLIMIT_NPROC, both(limits.processes)),
                limit(libc::RLIMIT_CORE, both(limits.core_bytes)),
            ],
            nice: limits.nice,
            umask: limits.umask,
        }
    }

    /// # Safety
    /// As [`Orders::obey`](super::exec::Orders::obey).
    pub(super) unsafe fn set(&self) -> Result<(), (Stage, c_int)> {
        // SAFETY: system calls with pointers to limits that live on.
        unsafe {
            for (resource, limit) in self.limits.iter().flatten() {
                if libc::setrlimit(*resource, limit) != 0 {
                    return Err((Stage::Limits, errno()));
                }
            }
            if let Some(nice) = self.nice
                && libc::setpriority(libc::PRIO_PROCESS, 0, nice) != 0
            {
                return Err((Stage::Limits, errno()));
            }
            if let Some(umask) = self.umask {
                libc::umask(umask);
            }
        }
        Ok(())
    }
}

/// Whether the kernel will let this host set these limits.
pub(super) fn check(limits: &Limits) -> Result<(), LimitUnavailable> {
    let refuse = |field, reason: String| Err(LimitUnavailable { field, reason });
    if limits.nice.is_some_and(|nice| !(-20..=19).contains(&nice)) {
        return refuse("nice", "it goes from -20 to 19".to_string());
    }
    if limits.umask.is_some_and(|umask| umask > 0o777) {
        return refuse("umask", "it has nine bits, at most 0o777".to_string());
    }
    let is_root = rustix::process::geteuid().is_root();
    if limits.processes.is_some() && rustix::process::getuid().is_root() {
        let reason = "the system does not limit the processes of root; use tree_processes";
        return refuse("processes", reason.to_string());
    }
    if let Some(nice) = limits.nice
        && !is_root
        && nice < own_nice()
    {
        let reason = format!("only a privileged host can go below its own nice, {}", own_nice());
        return refuse("nice", reason);
    }
    for (field, resource, asked) in [
        ("cpu_seconds", libc::RLIMIT_CPU, limits.cpu_seconds),
        ("address_space_bytes", libc::RLIMIT_AS, limits.address_space_bytes),
        ("open_files", libc::RLIMIT_NOFILE, limits.open_files),
        ("file_size_bytes", libc::RLIMIT_FSIZE, limits.file_size_bytes),
        ("processes", libc::RLIMIT_NPROC, limits.processes),
        ("core_bytes", libc::RLIMIT_CORE, limits.core_bytes),
    ] {
        let highest = highest(resource);
        if let Some(asked) = asked
            && asked > highest
            && !is_root
        {
            let reason = format!("{asked} is above this host's own hard limit, {highest}");
            return refuse(field, reason);
        }
    }
    if limits.open_files.is_some_and(|count| count < 3) {
        return refuse("open_files", "a program needs three for its streams".to_string());
    }
    Ok(())
}

fn highest(resource: u32) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel fills the structure.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    limit.rlim_max
}

fn own_nice() -> c_int {
    // SAFETY: a system call without pointers.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}
