//! A process group. Its leader is the main program, so its id is the group's, too.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, kill_process_group, test_kill_process, test_kill_process_group,
};

use super::leader::Leader;
use super::proc::{self, Stat};
use crate::{Tree, WatchFd, WatchReady};

/// How many of a tree are watched at a time: a large one must not take all descriptors of the host.
const MOST_WATCHED: usize = 32;

/// While the main program is there its id keeps the group's from being given to others. When it has
/// ended it is reaped first: a group with a zombie in it looks like one that lives.
pub(super) fn tree(leader: &mut Leader) -> io::Result<Tree> {
    leader.reap()?;
    if is_lost(leader) {
        // Nobody can say who has left the group.
        return Ok(Tree::empty(false));
    }
    let members = members(leader)?;
    Ok(Tree { occupied: members.is_occupied(), ..tree_of(&members.alive) })
}

/// Who was met in a group.
pub(super) struct Members {
    pub(super) alive: Vec<Stat>,
    /// Nobody was met, and yet the group exists: a program lives on in one process after another,
    /// faster than one can look.
    unseen: bool,
}

impl Members {
    pub(super) fn is_occupied(&self) -> bool {
        self.unseen || !self.alive.is_empty()
    }
}

/// The tree that these are all that is known of.
pub(super) fn tree_of(members: &[Stat]) -> Tree {
    let watch = |stat| {
        let fd = proc::hold(stat).ok().flatten()?;
        Some(WatchFd { fd, ready: WatchReady::Readable })
    };
    Tree {
        members: members.iter().map(Stat::member).collect(),
        occupied: !members.is_empty(),
        watch: members.iter().take(MOST_WATCHED).filter_map(watch).collect(),
        ..Tree::empty(false)
    }
}

pub(super) fn signal(leader: &mut Leader, signal: Signal) -> io::Result<u32> {
    leader.reap()?;
    let members = members(leader);
    if members.as_ref().is_ok_and(|members| !members.is_occupied()) {
        return Ok(0);
    }
    match send(leader, signal) {
        Err(Errno::SRCH) => return Ok(0),
        sent => sent?,
    }
    let count = members.map_or(1, |members| members.alive.len());
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// To all at once, those that are being forked right now included. It needs no descriptor, so it works
/// for a host that has none left.
///
/// Whose number it is is asked right before: a look at all processes takes long enough for it to
/// pass to somebody else.
pub(super) fn send(leader: &Leader, signal: Signal) -> rustix::io::Result<()> {
    if is_lost(leader) {
        return Err(Errno::SRCH);
    }
    kill_process_group(leader.pid(), signal)
}

/// Whether nobody is left in the group, or a stranger has its number by now: it stays taken while
/// the group has a member, so that whoever has it as an id, and is not ours, is no member.
pub(super) fn is_lost(leader: &Leader) -> bool {
    let is_somebodys =
        || leader.has_given_up_number() && test_kill_process(leader.pid()) != Err(Errno::SRCH);
    (leader.is_reaped() || leader.has_given_up_number())
        && (is_gone(leader.pid()) || is_somebodys())
}

fn is_gone(leader: Pid) -> bool {
    test_kill_process_group(leader) == Err(Errno::SRCH)
}

pub(super) fn members(leader: &Leader) -> io::Result<Members> {
    let number = leader.pid().as_raw_nonzero().get();
    let group = proc::all(|stat| stat.group == number)?;
    if is_lost(leader) {
        return Ok(Members { alive: Vec::new(), unseen: false });
    }
    let unseen = group.is_empty() && !is_gone(leader.pid());
    Ok(Members { alive: group.into_iter().filter(Stat::is_alive).collect(), unseen })
}
