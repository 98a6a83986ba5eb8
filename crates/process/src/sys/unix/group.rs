//! A process group. Its leader is the main program, so its id is the group's, too.
//!
//! There is no portable way to list its members. What every system tells is whether there is one.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, kill_process_group, test_kill_process, test_kill_process_group,
};

use super::leader::Leader;
use crate::{Member, Tree, WatchFd, WatchReady};

/// The name of the entry that stands for those who cannot be listed.
const OTHERS: &str = "(process group)";

/// While the main program is there, its id keeps the group's from being given to others. When it has
/// ended it is reaped first: a group with a zombie in it looks like one that lives.
pub(super) fn tree(leader: &mut Leader, name: &str) -> io::Result<Tree> {
    if leader.reap()?.is_some() {
        // Nobody can say who has left the group.
        let members = if is_gone(leader.pid()) { Vec::new() } else { vec![member(leader, OTHERS)] };
        return Ok(Tree { occupied: !members.is_empty(), members, ..Tree::empty(false) });
    }
    // Without a descriptor for the watch one looks again after a while.
    let watch = leader.exit_fd().try_clone().ok();
    Ok(Tree {
        members: vec![member(leader, name)],
        occupied: true,
        watch: watch.map(|fd| WatchFd { fd, ready: WatchReady::Readable }).into_iter().collect(),
        ..Tree::empty(false)
    })
}

fn member(leader: &Leader, name: &str) -> Member {
    let pid = leader.pid().as_raw_nonzero().get().cast_unsigned();
    Member { pid, name: name.to_string() }
}

/// All at once, those that are being forked right now included. How many that were is not told, so
/// that they count as one.
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

/// Whether nobody is left of the group of a main program that has been reaped. Its number stays taken
/// while the group has a member; a process that has it as its own id is a stranger, and so is the
/// group.
fn is_gone(leader: Pid) -> bool {
    let is_nobody = |answer| answer == Err(Errno::SRCH);
    is_nobody(test_kill_process_group(leader)) || !is_nobody(test_kill_process(leader))
}
