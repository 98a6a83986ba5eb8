//! The processes in a control group: listed, signalled, killed.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rustix::process::Signal;

use super::{is_removed, write};
use crate::error::is_open_file_limit;
use crate::sys::linux::group;
use crate::sys::linux::kept_root;
use crate::sys::linux::leader::Leader;
use crate::sys::linux::own_table::with_descriptors;
use crate::sys::linux::proc::{Stat, is_refused};
use crate::sys::linux::signalling::ProcessHandle;

/// Number of times that a list is read again while it has new members.
pub(super) const MAX_ROUNDS: u32 = 16;
/// Number of members that are held by a descriptor at a time.
const MAX_HELD: usize = 32;

/// Kills all processes in a group and below it as a whole (Linux 5.14). The system passes over a
/// process whose first thread has ended: it looks like a zombie, and others of its threads run on.
pub(super) fn kill_group(dir: &Path) -> io::Result<()> {
    write(&dir.join("cgroup.kill"), "1")
}

/// Kills all processes in a group and below it, once. One that cannot be killed is no error here.
pub(in crate::sys::linux) fn kill_all(dir: &Path) {
    let _as_a_whole = kill_group(dir);
    let _each = send(dir, Signal::KILL);
}

/// Ids of the processes in a group and below it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) pids: Vec<i32>,
    /// No group below was left out because the system refuses to list it.
    pub(super) is_whole: bool,
}

/// Returns the living processes in a group and below it, and whether these are all.
pub(super) fn alive_below(dir: &Path) -> io::Result<(Vec<Stat>, bool)> {
    let Listed { pids, is_whole } = pids_below(dir)?;
    let stats = pids.into_iter().filter_map(|pid| Stat::of(pid).transpose());
    let alive: io::Result<_> =
        stats.filter(|stat| stat.as_ref().map_or(true, Stat::is_alive)).collect();
    Ok((alive?, is_whole))
}

/// Returns the ids of all processes in a group and below it.
pub(super) fn pids_below(dir: &Path) -> io::Result<Listed> {
    with_descriptors(|| list_below(dir))
}

fn list_below(dir: &Path) -> io::Result<Listed> {
    let procs = kept_root::read_to_string(dir.join("cgroup.procs"))?;
    let pids = procs.lines().filter_map(|line| line.parse().ok()).collect();
    let mut listed = Listed { pids, is_whole: true };
    let groups = match kept_root::dirs_in(dir) {
        Err(error) if is_refused(&error) => return Ok(Listed { is_whole: false, ..listed }),
        groups => groups?,
    };
    for group in groups {
        match list_below(&group) {
            // The program that made it may remove it at this moment.
            Err(error) if is_removed(&error) => {}
            below => {
                let below = below?;
                listed.pids.extend(below.pids);
                listed.is_whole &= below.is_whole;
            }
        }
    }
    Ok(listed)
}

/// Sends a signal to each member, and to those that come meanwhile. Returns how many got it.
pub(super) fn send(dir: &Path, signal: Signal) -> io::Result<u32> {
    let mut sent = Sent::default();
    let mut done: HashSet<i32> = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        let pids = pids_below(dir)?.pids;
        let new: Vec<i32> = pids.into_iter().filter(|pid| !done.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        sent.add_each(dir, &new, signal);
        done.extend(new);
    }
    sent.result()
}

/// Sends a signal to each member once, and to none that starts because of it, such as a command of a
/// handler. Returns how many got it.
///
/// Members of the leader's process group get it as a whole, so that none is missed that is being forked.
/// One that another member forks at that moment may be missed.
pub(super) fn send_once(dir: &Path, leader: &Leader, signal: Signal) -> io::Result<u32> {
    let number = leader.number();
    let is_inside =
        |pid: &i32| Stat::of(*pid).is_ok_and(|stat| stat.is_some_and(|stat| stat.group == number));
    let (inside, mut others): (Vec<_>, Vec<_>) =
        pids_below(dir)?.pids.into_iter().partition(is_inside);
    let mut sent = Sent::default();
    // Without members here it is the caller's to ask who else is in it.
    if !inside.is_empty() && group::send(leader, signal).is_ok() {
        sent.reached = u32::try_from(inside.len()).unwrap_or(u32::MAX);
    } else {
        others.extend(inside);
    }
    sent.add_each(dir, &others, signal);
    sent.result()
}

/// What became of a signal.
#[derive(Debug, Default)]
struct Sent {
    reached: u32,
    failure: Option<io::Error>,
}

impl Sent {
    /// Sends it to these members, a few at a time.
    fn add_each(&mut self, dir: &Path, pids: &[i32], signal: Signal) {
        for some in pids.chunks(MAX_HELD) {
            match with_descriptors(|| send_to(dir, some, signal)) {
                Ok((reached, failure)) => {
                    self.reached += reached;
                    self.failure = failure.or(self.failure.take());
                }
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// Returns how many got it. A member that has exited meanwhile is no failure.
    fn result(self) -> io::Result<u32> {
        match self.failure {
            Some(error) if self.reached == 0 && error.raw_os_error() != Some(libc::ESRCH) => {
                Err(error)
            }
            _ => Ok(self.reached),
        }
    }
}

/// Opens a process. `None` if it has exited.
fn handle_of(pid: i32) -> io::Result<Option<ProcessHandle>> {
    match Stat::of(pid)? {
        Some(stat) => ProcessHandle::of(&stat),
        None => Ok(None),
    }
}

/// Sends a signal to these members, and returns how many got it and the last failure. A process that
/// is on the list before it is held by a descriptor, and still on it afterwards, is a member, and
/// not a stranger with a recycled id.
fn send_to(dir: &Path, pids: &[i32], signal: Signal) -> io::Result<(u32, Option<io::Error>)> {
    let mut held = Vec::with_capacity(pids.len());
    let (mut reached, mut failure) = (0, None);
    for pid in pids {
        match handle_of(*pid) {
            Ok(process) => held.extend(process.map(|process| (*pid, process))),
            // For all of them, so the caller finds some.
            Err(error) if error.raw_os_error().is_some_and(is_open_file_limit) => {
                return Err(error);
            }
            // The others get the signal all the same.
            Err(error) => failure = Some(error),
        }
    }
    let members = pids_below(dir)?.pids;
    for (_, process) in held.into_iter().filter(|(pid, _)| members.contains(pid)) {
        match process.send(signal) {
            Ok(()) => reached += 1,
            Err(error) => failure = Some(error),
        }
    }
    Ok((reached, failure))
}
