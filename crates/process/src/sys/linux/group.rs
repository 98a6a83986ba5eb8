//! The process group of a child. Its leader is the main program, so its id is the group's, too. A main
//! program that shares the terminal of its host has no group of its own: it alone is found and
//! signalled here, and the level finds the others.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, kill_process, kill_process_group, pidfd_send_signal, test_kill_process,
    test_kill_process_group,
};
use tokio::io::Interest;

use super::leader::Leader;
use super::proc::{self, Stat};
use super::signalling::pidfd_of;
use crate::Tree;
use crate::tree::WatchFd;

/// Number of members that are watched at a time: a large tree must not take all descriptors of the
/// host.
const MAX_WATCHED: usize = 32;

/// Examines the group. While the leader is not reaped, its id keeps the group's number from being
/// given away; a leader that has exited is reaped first, because a group with a zombie in it looks
/// alive.
pub(super) fn tree(leader: &mut Leader) -> io::Result<Tree> {
    leader.reap()?;
    if is_lost(leader) {
        // Processes that have left the group cannot be found.
        return Ok(Tree::empty(false));
    }
    // Zombies that their parent does not collect keep the group, too.
    let members = members(leader)?;
    Ok(Tree { occupied: members.is_occupied(), ..tree_of(&members.alive) })
}

/// Members of a group at one look.
struct GroupMembers {
    alive: Vec<Stat>,
    /// No member was met, and yet the group exists: a program lives on in one short-lived process
    /// after another, faster than /proc can be read.
    unseen: bool,
}

impl GroupMembers {
    fn is_occupied(&self) -> bool {
        self.unseen || !self.alive.is_empty()
    }
}

/// Returns the tree of which these members are known.
pub(super) fn tree_of(members: &[Stat]) -> Tree {
    let watch = |stat| {
        let fd = pidfd_of(stat).ok().flatten()?;
        Some(WatchFd { fd, ready: Interest::READABLE })
    };
    Tree {
        members: members.iter().map(Stat::member).collect(),
        occupied: !members.is_empty(),
        watch: members.iter().take(MAX_WATCHED).filter_map(watch).collect(),
        ..Tree::empty(false)
    }
}

pub(super) fn signal(leader: &mut Leader, signal: Signal) -> io::Result<u32> {
    // Its number stays its own if it cannot be reaped.
    let _reaped = leader.reap();
    // Counted before the signal, since the system does not report how many members it reaches.
    let members = members(leader);
    if members.as_ref().is_ok_and(|members| !members.is_occupied()) {
        return Ok(0);
    }
    match send(leader, signal).or_else(|error| match error {
        Errno::SRCH => send_alone(leader, signal),
        other => Err(other),
    }) {
        Err(Errno::SRCH) => return Ok(0),
        sent => sent?,
    }
    let count = members.map_or(1, |members| members.alive.len());
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Signals all members at once, including those that are being forked. It needs no descriptor, so
/// it works for a host that has none left.
///
/// The owner of the number is checked right before: a look at all processes takes long enough for
/// the number to pass to a stranger.
pub(super) fn send(leader: &Leader, signal: Signal) -> rustix::io::Result<()> {
    if is_lost(leader) {
        return Err(Errno::SRCH);
    }
    kill_process_group(leader.pid(), signal)
}

/// Signals a leader that has no group.
fn send_alone(leader: &Leader, signal: Signal) -> rustix::io::Result<()> {
    match pidfd_send_signal(leader.exit_fd(), signal) {
        // Some sandboxes refuse the call. A leader that is not reaped keeps its number.
        Err(Errno::NOSYS | Errno::PERM) if !leader.has_given_up_number() => {
            kill_process(leader.pid(), signal)
        }
        sent => sent,
    }
}

/// Returns `true` if the group has no member left, or if its number is a stranger's by now. The
/// number stays taken while the group has a member, so a process that has it as its id, and is not
/// our leader, is a stranger.
pub(super) fn is_lost(leader: &Leader) -> bool {
    let is_strangers =
        || leader.has_given_up_number() && test_kill_process(leader.pid()) != Err(Errno::SRCH);
    (leader.is_reaped() || leader.has_given_up_number())
        && (is_gone(leader.pid()) || is_strangers())
}

fn is_gone(leader: Pid) -> bool {
    test_kill_process_group(leader) == Err(Errno::SRCH)
}

fn members(leader: &Leader) -> io::Result<GroupMembers> {
    let number = leader.number();
    let group = proc::all(|stat| stat.group == number || stat.pid == number)?;
    // Again, because the number may have passed to a stranger during the look at all processes.
    if is_lost(leader) {
        return Ok(GroupMembers { alive: Vec::new(), unseen: false });
    }
    let unseen = group.is_empty() && !is_gone(leader.pid());
    Ok(GroupMembers { alive: group.into_iter().filter(Stat::is_alive).collect(), unseen })
}
