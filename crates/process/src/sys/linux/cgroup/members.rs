//! The processes in a control group: listed, signalled, killed.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rustix::process::{Signal, pidfd_send_signal};

use super::is_removed;
use crate::sys::linux::proc::{self, Stat};

/// Number of times that a list is read again while it has new members.
pub(super) const MAX_ROUNDS: u32 = 16;
/// Number of members that are held by a descriptor at a time.
const MAX_HELD: usize = 32;

/// Kills all processes in a group and below it as a whole (Linux 5.14). The system passes over a
/// process whose first thread has ended: it looks like a zombie, and others of its threads run on.
pub(super) fn kill_group(dir: &Path) -> io::Result<()> {
    std::fs::write(dir.join("cgroup.kill"), "1")
}

/// Kills all processes in a group and below it, once. One that cannot be killed is no error here.
pub(in crate::sys::linux) fn kill_all(dir: &Path) {
    let _as_a_whole = kill_group(dir);
    let _each = send(dir, Signal::KILL);
}

/// Returns the living processes in a group and below it.
pub(super) fn alive_below(dir: &Path) -> io::Result<Vec<Stat>> {
    let stats = pids_below(dir)?.into_iter().filter_map(|pid| Stat::of(pid).transpose());
    stats.filter(|stat| stat.as_ref().map_or(true, Stat::is_alive)).collect()
}

/// Returns the ids of all processes in a group and below it.
pub(super) fn pids_below(dir: &Path) -> io::Result<Vec<i32>> {
    let procs = std::fs::read_to_string(dir.join("cgroup.procs"))?;
    let mut pids: Vec<i32> = procs.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match pids_below(&entry.path()) {
                // The program that made it may remove it at this moment.
                Err(error) if is_removed(&error) => {}
                below => pids.extend(below?),
            }
        }
    }
    Ok(pids)
}

/// Sends a signal to each member, a few at a time, and returns how many got it. A process that is
/// on the list before it is held by a descriptor, and still on it afterwards, is a member, and not
/// a stranger with a recycled id.
pub(super) fn send(dir: &Path, signal: Signal) -> io::Result<u32> {
    let (mut reached, mut failure) = (0, None);
    let mut done: HashSet<i32> = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        let pids = pids_below(dir)?;
        let new: Vec<i32> = pids.into_iter().filter(|pid| !done.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for some in new.chunks(MAX_HELD) {
            let hold = |pid: &i32| {
                let stat = Stat::of(*pid).transpose()?;
                Some((*pid, stat.and_then(|stat| proc::pidfd_of(&stat)).transpose()?))
            };
            let held: Vec<_> = some.iter().filter_map(hold).collect();
            let members = pids_below(dir)?;
            for (_, pidfd) in held.into_iter().filter(|(pid, _)| members.contains(pid)) {
                match pidfd.and_then(|pidfd| Ok(pidfd_send_signal(pidfd, signal)?)) {
                    Ok(()) => reached += 1,
                    Err(error) => failure = Some(error),
                }
            }
            done.extend(some);
        }
    }
    match failure {
        // A member that has exited meanwhile is no failure.
        Some(error) if reached == 0 && error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        _ => Ok(reached),
    }
}
