//! A process group. Its leader is the main program, so its id is the group's, too.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::main_program::Main;
use super::proc::{self, Held, Stat};
use crate::{Tree, WatchFd, WatchReady};

/// While the main program is there its id keeps the group's from being given to others. When it has
/// ended it is reaped first: a group with a zombie in it looks like one that lives.
pub(super) fn tree(main: &mut Main) -> io::Result<Tree> {
    if main.reap()?.is_some() && is_gone(main.pid()) {
        // Nobody can say who has left the group.
        return Ok(Tree::empty(false));
    }
    Ok(tree_of(members(main)?))
}

/// The tree that these are all that is known of.
pub(super) fn tree_of(held: Vec<Held>) -> Tree {
    Tree {
        members: held.iter().map(|held| held.stat.member()).collect(),
        occupied: !held.is_empty(),
        watch: held
            .into_iter()
            .map(|held| WatchFd { fd: held.pidfd, ready: WatchReady::Readable })
            .collect(),
        ..Tree::empty(false)
    }
}

pub(super) fn signal(main: &mut Main, signal: Signal) -> io::Result<u32> {
    let main_is_there = main.reap()?.is_none();
    let members = members(main)?;
    if main_is_there {
        // All at once, those that are being forked right now included.
        kill_process_group(main.pid(), signal)?;
        return Ok(u32::try_from(members.len()).unwrap_or(u32::MAX));
    }
    proc::send(&members, signal)
}

pub(super) fn is_gone(leader: Pid) -> bool {
    test_kill_process_group(leader) == Err(Errno::SRCH)
}

fn members(main: &Main) -> io::Result<Vec<Held>> {
    let leader = main.pid().as_raw_nonzero().get();
    let is_member = |stat: &Stat| {
        // Once ours is reaped, a process with its id leads another group of the same number.
        let is_stranger = stat.pid == leader && main.is_reaped();
        stat.group == leader && stat.is_alive() && !is_stranger
    };
    let hold = |stat: Stat| Held::hold(&stat).filter(|held| is_member(&held.stat));
    Ok(proc::all()?.filter(is_member).filter_map(hold).collect())
}
