//! The name of a containment's group, which says whose it is, and the removal of groups whose owner
//! has died together with its guard.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::{kill_all, remove};
use crate::sys::linux::kept_root;
use crate::sys::linux::marker::random_name;
use crate::sys::linux::proc::Stat;

const PREFIX: &str = "execution-engine.";

/// Returns a name of pid, start time and pid namespace of the host, and a random part.
pub(super) fn name() -> io::Result<String> {
    let pid = std::process::id();
    let me = Stat::of(pid.cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(format!("{PREFIX}{pid}.{}.{}.{}", me.started, pid_namespace(), random_name()))
}

fn pid_namespace() -> u64 {
    kept_root::stat("/proc/self/ns/pid").map_or(0, |namespace| namespace.st_ino)
}

/// Removes the groups of hosts that have died together with their guard.
pub(super) fn sweep(host_group: &Path) {
    let namespace = pid_namespace();
    for group in kept_root::dirs_in(host_group).unwrap_or_default() {
        let name = group.file_name().and_then(OsStr::to_str);
        if name.is_some_and(|name| is_dead(name, namespace)) {
            // Members are exiting now; the next sweep removes a group that this one cannot.
            kill_all(&group);
            let _removed = remove(&group);
        }
    }
}

/// Returns `true` if a group of this name belonged to a host that has exited. Hosts of other pid
/// namespaces cannot be seen from here, so their groups are left alone.
fn is_dead(name: &str, namespace: u64) -> bool {
    let Some(owner) = name.strip_prefix(PREFIX) else { return false };
    let mut parts = owner.split('.');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (Some(pid), Some(started), Some(of)) = (number(), number(), number()) else { return false };
    let Ok(pid) = i32::try_from(pid) else { return false };
    let is_other = |stat: Stat| stat.started != started || !stat.is_alive();
    // Processes of other users may be hidden in /proc, and yet exist.
    let is_gone = || Pid::from_raw(pid).map(test_kill_process) == Some(Err(Errno::SRCH));
    // A host that cannot be looked at, for lack of descriptors, may be alive.
    of == namespace && Stat::of(pid).is_ok_and(|stat| stat.map_or_else(is_gone, is_other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_dead_hosts_are_swept() {
        let (me, namespace) = (name().unwrap(), pid_namespace());
        assert!(!is_dead(&me, namespace), "{me} is alive");
        let pid = std::process::id();
        assert!(
            is_dead(&format!("{PREFIX}{pid}.1.{namespace}.x"), namespace),
            "another start time"
        );
        assert!(!is_dead(&format!("{PREFIX}{pid}.1.{namespace}.x"), namespace + 1), "elsewhere");
        let unused = format!("{PREFIX}{}.1.{namespace}.x", i32::MAX);
        assert!(is_dead(&unused, namespace), "no process has this number");
        assert!(!is_dead("system.slice", namespace));
        assert!(!is_dead(&format!("{PREFIX}garbage"), namespace));
    }
}
