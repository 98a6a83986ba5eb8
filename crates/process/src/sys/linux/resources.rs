//! The limits of a child, and whether this host can set them.

use std::ffi::c_int;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};
use rustix::process::{getpriority_process, getrlimit, setpriority_process, setrlimit, umask};

use super::clone;
use crate::Limits;
use crate::error::SpawnStage;
use crate::limits::LimitUnavailable;

/// The limits in the form the kernel takes them.
#[derive(Debug, Default)]
pub(super) struct Resources {
    limits: [Option<(Resource, Rlimit)>; 6],
    nice: Option<c_int>,
    umask: Option<Mode>,
}

impl Resources {
    pub(super) fn of(limits: &Limits) -> Self {
        let both = |limit: Option<u64>| limit.map(|limit| (limit, limit));
        let limit = |resource, bounds: Option<(u64, u64)>| {
            let (current, maximum) = bounds?;
            Some((resource, Rlimit { current: Some(current), maximum: Some(maximum) }))
        };
        // SIGXCPU comes at the first bound and can be told from a kill, which comes at the second.
        let cpu = limits.cpu_seconds.map(|seconds| (seconds, seconds.saturating_add(1)));
        Self {
            limits: [
                limit(Resource::Cpu, cpu),
                limit(Resource::As, both(limits.address_space_bytes)),
                limit(Resource::Nofile, both(limits.open_files)),
                limit(Resource::Fsize, both(limits.file_size_bytes)),
                limit(Resource::Nproc, both(limits.processes)),
                limit(Resource::Core, both(limits.core_bytes)),
            ],
            nice: limits.nice,
            umask: limits.umask.map(Mode::from_raw_mode),
        }
    }

    fn of_one(resource: Resource, bound: u64) -> Self {
        let mut one = Self::default();
        one.limits[0] = Some((resource, Rlimit { current: Some(bound), maximum: Some(bound) }));
        one
    }

    /// In the child: system calls alone.
    pub(super) fn set(&self) -> Result<(), (SpawnStage, c_int)> {
        let refused = |errno: rustix::io::Errno| (SpawnStage::Limits, errno.raw_os_error());
        for (resource, limit) in self.limits.iter().flatten() {
            setrlimit(*resource, *limit).map_err(refused)?;
        }
        if let Some(nice) = self.nice {
            setpriority_process(None, nice).map_err(refused)?;
        }
        if let Some(mask) = self.umask {
            umask(mask);
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
    if limits.processes.is_some() && rustix::process::getuid().is_root() {
        let reason = "the system does not limit the processes of root; use tree_processes";
        return refuse("processes", reason.to_string());
    }
    if let Some(nice) = limits.nice
        && nice < own_nice()
        && is_forbidden(Resources { nice: Some(nice), ..Resources::default() })
    {
        let reason = format!("this host may not go below its own nice, {}", own_nice());
        return refuse("nice", reason);
    }
    for (field, resource, asked) in [
        // Its second bound is a second later.
        ("cpu_seconds", Resource::Cpu, limits.cpu_seconds.map(|asked| asked.saturating_add(1))),
        ("address_space_bytes", Resource::As, limits.address_space_bytes),
        ("open_files", Resource::Nofile, limits.open_files),
        ("file_size_bytes", Resource::Fsize, limits.file_size_bytes),
        ("processes", Resource::Nproc, limits.processes),
        ("core_bytes", Resource::Core, limits.core_bytes),
    ] {
        let highest = highest(resource);
        if let Some(asked) = asked
            && asked > highest
            && is_forbidden(Resources::of_one(resource, asked))
        {
            let reason = format!("{asked} is above this host's own hard limit, {highest}");
            return refuse(field, reason);
        }
    }
    if limits.cpu_seconds == Some(0) {
        // The kernel makes a second of it.
        return refuse("cpu_seconds", "it must be at least 1".to_string());
    }
    if limits.open_files.is_some_and(|count| count < 3) {
        return refuse("open_files", "a program needs three for its streams".to_string());
    }
    Ok(())
}

/// Whether a child may not set them. Nobody can tell by the user: root of a container seldom may, others
/// with the capability do. So it is tried.
fn is_forbidden(limits: Resources) -> bool {
    let tried = clone::probe_limits(limits).map_err(|error| error.raw_os_error());
    // Where it cannot be tried now, the start of the program will tell.
    matches!(tried, Err(Some(libc::EPERM | libc::EACCES | libc::EINVAL)))
}

fn highest(resource: Resource) -> u64 {
    getrlimit(resource).maximum.unwrap_or(u64::MAX)
}

fn own_nice() -> c_int {
    getpriority_process(None).unwrap_or_default()
}
