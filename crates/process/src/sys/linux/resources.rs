//! The limits of one child, and the check that this host can set them.

use std::ffi::c_int;

use rustix::process::{Resource, Rlimit};
use rustix::process::{getpriority_process, setpriority_process, setrlimit};

use super::child_setup::{SetupFailure, errno};
use super::clone;
use crate::Limits;
use crate::error::SpawnStage;
use crate::limits::LimitUnavailable;

/// Limits in the form that the kernel takes.
#[derive(Debug, Default)]
pub(super) struct Resources {
    limits: [Option<(Resource, Rlimit)>; 6],
    nice: Option<c_int>,
    umask: Option<u32>,
}

impl Resources {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            limits: bounds(limits).map(|(_, resource, bound)| {
                let (current, maximum) = (bound?, hard_limit(resource, bound?));
                Some((resource, Rlimit { current: Some(current), maximum: Some(maximum) }))
            }),
            nice: limits.nice,
            umask: limits.umask,
        }
    }

    pub(super) fn of_one(resource: Resource, bound: u64) -> Self {
        let mut one = Self::default();
        one.limits[0] = Some((resource, Rlimit { current: Some(bound), maximum: Some(bound) }));
        one
    }

    /// Sets the limits of this process, by system calls alone: it runs in the child.
    pub(super) fn set(&self) -> Result<(), SetupFailure> {
        let refused = |errno: rustix::io::Errno| (SpawnStage::Limits, errno.raw_os_error());
        for (resource, limit) in self.limits.iter().flatten() {
            setrlimit(*resource, *limit).map_err(refused)?;
        }
        if let Some(nice) = self.nice {
            setpriority_process(None, nice).map_err(refused)?;
        }
        if let Some(mask) = self.umask {
            // By number: libc's function has no answer that means a refusal.
            // SAFETY: the call takes a number.
            if unsafe { libc::syscall(libc::SYS_umask, mask) } < 0 {
                return Err((SpawnStage::Limits, errno()));
            }
        }
        Ok(())
    }
}

/// Returns the resource limits by the names of their fields.
fn bounds(limits: &Limits) -> [(&'static str, Resource, Option<u64>); 6] {
    [
        ("cpu_seconds", Resource::Cpu, limits.cpu_seconds),
        ("address_space_bytes", Resource::As, limits.address_space_bytes),
        ("open_files", Resource::Nofile, limits.open_files),
        ("file_size_bytes", Resource::Fsize, limits.file_size_bytes),
        ("processes", Resource::Nproc, limits.processes),
        ("core_bytes", Resource::Core, limits.core_bytes),
    ]
}

/// Returns the hard limit for a bound. That of CPU time is a second higher: SIGXCPU comes at the
/// soft limit and can be distinguished from the kill, which comes at the hard one.
fn hard_limit(resource: Resource, bound: u64) -> u64 {
    if resource == Resource::Cpu { bound.saturating_add(1) } else { bound }
}

/// Checks that the values make sense, and that the kernel lets this host set them.
pub(super) fn check(limits: &Limits) -> Result<(), LimitUnavailable> {
    check_values(limits)?;
    if let Some(nice) = limits.nice
        && nice < own_nice()
        && is_forbidden(Resources { nice: Some(nice), ..Resources::default() })
    {
        let reason = format!("this host may not go below its own nice value, {}", own_nice());
        return Err(LimitUnavailable { field: "nice", reason });
    }
    for (field, resource, bound) in bounds(limits) {
        let requested = bound.map(|bound| hard_limit(resource, bound));
        let highest = highest(resource);
        if let Some(requested) = requested
            && requested > highest
            && is_forbidden(Resources::of_one(resource, requested))
        {
            let reason = format!("{requested} is above this host's own hard limit, {highest}");
            return Err(LimitUnavailable { field, reason });
        }
    }
    Ok(())
}

fn check_values(limits: &Limits) -> Result<(), LimitUnavailable> {
    let is_root = || rustix::process::getuid().is_root();
    let refused = if limits.nice.is_some_and(|nice| !(-20..=19).contains(&nice)) {
        ("nice", "must be between -20 and 19")
    } else if limits.umask.is_some_and(|umask| umask > 0o777) {
        ("umask", "must be at most 0o777 (nine bits)")
    } else if limits.processes.is_some() && is_root() {
        ("processes", "the system does not limit the processes of root; use tree_processes")
    } else if limits.cpu_seconds == Some(0) {
        // The kernel would round it up to a second.
        ("cpu_seconds", "must be at least 1")
    } else if limits.open_files.is_some_and(|count| count < 3) {
        ("open_files", "must be at least 3: a program needs three for its streams")
    } else {
        return Ok(());
    };
    Err(LimitUnavailable { field: refused.0, reason: refused.1.to_string() })
}

/// Returns `true` if a child may not set the limits. The user does not decide that: root of a
/// container seldom may, and other users with the capability may. So a child that exits at once
/// tries it.
fn is_forbidden(limits: Resources) -> bool {
    let tried = clone::probe_limits(limits).map_err(|error| error.raw_os_error());
    // If it cannot be tried now, the start of the program will fail or not.
    matches!(tried, Err(Some(libc::EPERM | libc::EACCES | libc::EINVAL)))
}

/// Returns this host's own hard limit; where the system does not tell it, the child learns it when
/// it sets its limit.
fn highest(resource: Resource) -> u64 {
    own_limit(resource).map_or(u64::MAX, |(_, hard)| hard)
}

/// Returns a limit of this process, soft and hard. `None` if the system refuses to tell it.
pub(super) fn own_limit(resource: Resource) -> Option<(u64, u64)> {
    let mut limit = [0_u64; 2];
    // SAFETY: the kernel fills a structure of two such numbers, and nothing is set.
    let told = unsafe {
        let none = std::ptr::null::<u64>();
        libc::syscall(libc::SYS_prlimit64, 0, resource as u32, none, limit.as_mut_ptr())
    };
    (told == 0).then_some(limit.into())
}

fn own_nice() -> c_int {
    getpriority_process(None).unwrap_or_default()
}
