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

/// Returns a name of pid, start time and namespaces of the host, and a random part.
pub(super) fn name() -> io::Result<String> {
    let pid = std::process::id();
    let me = Stat::of(pid.cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(format!("{PREFIX}{pid}.{}.{}.{}", me.started, namespaces(), random_name()))
}

/// Returns in which namespaces pid and start time are this process's: another time namespace sees other
/// start times of the same processes.
fn namespaces() -> String {
    let number = |kind: &str| {
        kept_root::stat(format!("/proc/self/ns/{kind}")).map_or(0, |namespace| namespace.st_ino)
    };
    format!("{}-{}", number("pid"), number("time"))
}

/// Removes the groups of hosts that have died together with their guard.
pub(super) fn sweep(host_group: &Path) {
    let namespaces = namespaces();
    for group in kept_root::dirs_in(host_group).unwrap_or_default() {
        let name = group.file_name().and_then(OsStr::to_str);
        if name.is_some_and(|name| is_dead(name, &namespaces)) {
            // Members are exiting now; the next sweep removes a group that this one cannot.
            kill_all(&group);
            let _removed = remove(&group);
        }
    }
}

/// Returns `true` if a group of this name belonged to a host that has exited. Hosts of other
/// namespaces cannot be told from here, so their groups are left alone.
fn is_dead(name: &str, namespaces: &str) -> bool {
    let Some(owner) = name.strip_prefix(PREFIX) else { return false };
    let mut parts = owner.split('.');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (Some(pid), Some(started)) = (number(), number()) else { return false };
    let is_ours = parts.next() == Some(namespaces);
    let Ok(pid) = i32::try_from(pid) else { return false };
    let is_other = |stat: Stat| stat.started != started || !stat.is_alive();
    // Processes of other users may be hidden in /proc, and yet exist.
    let is_gone = || Pid::from_raw(pid).map(test_kill_process) == Some(Err(Errno::SRCH));
    // A host that cannot be looked at, for lack of descriptors, may be alive.
    is_ours && Stat::of(pid).is_ok_and(|stat| stat.map_or_else(is_gone, is_other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_dead_hosts_are_swept() {
        let (me, ours) = (name().unwrap(), namespaces());
        let is_dead = |name: &str| is_dead(name, &ours);
        assert!(!is_dead(&me), "{me} is alive");
        let pid = std::process::id();
        assert!(is_dead(&format!("{PREFIX}{pid}.1.{ours}.x")), "another start time");
        let (pids, times) = ours.split_once('-').unwrap();
        for elsewhere in [format!("1-{times}"), format!("{pids}-1"), pids.to_owned()] {
            assert!(!is_dead(&format!("{PREFIX}{pid}.1.{elsewhere}.x")), "{elsewhere}");
        }
        let unused = format!("{PREFIX}{}.1.{ours}.x", i32::MAX);
        assert!(is_dead(&unused), "no process has this number");
        assert!(!is_dead("system.slice"));
        assert!(!is_dead(&format!("{PREFIX}garbage")));
    }
}
