//! The process group of a child. Its leader is the main program, so its id is the group's, too.
//!
//! There is no portable way to list its members. Every system reports whether there is one.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, kill_process_group, test_kill_process, test_kill_process_group,
};
use tokio::io::Interest;

use super::leader::Leader;
use crate::tree::WatchFd;
use crate::{Member, Tree};

/// Name of the entry that stands for the members that cannot be listed.
const OTHERS: &str = "(process group)";

/// Examines the group. While the leader is not reaped, its id keeps the group's number from being
/// given away; a leader that has exited is reaped first, because a group with a zombie in it looks
/// alive.
pub(super) fn tree(leader: &mut Leader, name: &str) -> io::Result<Tree> {
    if leader.reap()?.is_some() {
        // Processes that have left the group cannot be found.
        let is_left = !is_gone(leader.pid());
        let members = is_left.then(|| member(leader, OTHERS)).into_iter().collect();
        return Ok(Tree { occupied: is_left, members, ..Tree::empty(false) });
    }
    // Without a descriptor for the watch the caller looks again after a while.
    let watch = leader.exit_fd().try_clone().ok();
    Ok(Tree {
        members: vec![member(leader, name)],
        occupied: true,
        watch: watch.map(|fd| WatchFd { fd, ready: Interest::READABLE }).into_iter().collect(),
        ..Tree::empty(false)
    })
}

fn member(leader: &Leader, name: &str) -> Member {
    Member { pid: leader.id(), name: name.to_string() }
}

/// Signals all members at once, including those that are being forked. The system does not report
/// how many there were, so they count as one.
pub(super) fn signal(leader: &mut Leader, signal: Signal) -> io::Result<u32> {
    if leader.reap()?.is_some() && is_gone(leader.pid()) {
        return Ok(0);
    }
    match kill_process_group(leader.pid(), signal) {
        Ok(()) => Ok(1),
        Err(Errno::SRCH) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Returns `true` if the group of a reaped leader has no member left. Its number stays taken while
/// it has one; a process that has the number as its own id is a stranger, and so is the group.
fn is_gone(leader: Pid) -> bool {
    let is_free = |answer| answer == Err(Errno::SRCH);
    is_free(test_kill_process_group(leader)) || !is_free(test_kill_process(leader))
}
