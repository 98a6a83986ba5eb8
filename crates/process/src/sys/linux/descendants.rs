//! A process tree without the help of a control group: the descendants of a program, found by what
//! is hard to shake off.
//!
//! A process belongs to the tree if it is of the main program's session or group, if its parent
//! belongs to it, or if its environment holds the mark that the main program was started with. Who
//! was found once is remembered, by id and start time, wherever it moves. What escapes is a
//! process that forks twice, so that its parent is gone, and has cleared its environment and left
//! the session before it was seen.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Signal, getuid};

use super::group;
use super::leader::Leader;
use super::proc::{self, Environ, Stat};
use crate::{Member, Tree};

/// How long one call may go on looking around while it finds somebody new each time. It blocks its
/// thread; a program that forks faster than that is looked for again with the next call.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct DescendantTracker {
    mark: String,
    /// When the main program started, in clock ticks; nobody older belongs to it.
    started: u64,
    /// Who is alive, by id.
    known: HashMap<i32, Stat>,
    /// Everybody who was ever seen, by id and start time.
    seen: HashSet<(i32, u64)>,
    /// Who is alive and has no mark: none gets one later, so that nobody's environment is read twice.
    strangers: HashSet<(i32, u64)>,
    suspects: Vec<Member>,
    /// Whether the number of the session and the group was seen to be free, or somebody else's. It may
    /// be a stranger's from then on, for good.
    has_lost_number: bool,
}

impl DescendantTracker {
    pub(super) fn new(mark: String, leader: &Leader) -> Self {
        // Unknown, everybody is old enough.
        let stat = Stat::of(leader.pid().as_raw_nonzero().get()).ok().flatten();
        Self {
            mark,
            started: stat.map_or(0, |stat| stat.started),
            known: HashMap::new(),
            seen: HashSet::new(),
            strangers: HashSet::new(),
            suspects: Vec::new(),
            has_lost_number: false,
        }
    }

    /// The main program is reaped when nobody else is left: until then its number is nobody else's.
    pub(super) fn tree(&mut self, leader: &mut Leader) -> io::Result<Tree> {
        self.look_around(leader)?;
        let tree = if !self.known.is_empty() {
            group::tree_of(&self.known.values().cloned().collect::<Vec<_>>())
        } else if self.has_lost_number {
            Tree::empty(false)
        } else {
            group::tree(leader)?
        };
        Ok(Tree { suspects: self.suspects.clone(), ..tree })
    }

    /// Everybody who was ever seen, by id and start time.
    pub(super) fn seen(&self) -> &HashSet<(i32, u64)> {
        &self.seen
    }

    /// Whether the number of the main program no longer means a group or session of this tree.
    pub(super) fn has_lost_number(&self) -> bool {
        self.has_lost_number
    }

    /// Parents are looked at before any signal: an orphan can no longer be told by its parent.
    pub(super) fn signal(&mut self, leader: &mut Leader, signal: Signal) -> io::Result<u32> {
        if let Err(error) = self.look_around(leader) {
            // Blindly then, as far as that goes.
            tracing::debug!(%error, "a process tree could not be looked for");
            return if self.has_lost_number { Err(error) } else { group::signal(leader, signal) };
        }
        if matches!(signal, Signal::KILL | Signal::STOP) {
            self.hold_still(leader)?;
        }
        self.send(leader, signal)
    }

    /// Stops them all, so that nobody forks while the others are being killed.
    fn hold_still(&mut self, leader: &Leader) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let before = self.known.len();
            // Who cannot be stopped is about to be killed all the same.
            let _stopped = self.send(leader, Signal::STOP);
            if self.look_around(leader)? == 0 && self.known.len() <= before {
                break;
            }
        }
        Ok(())
    }

    /// To the group as a whole, those that are being forked right now included, and to each of the
    /// others. Nobody gets it twice.
    fn send(&self, leader: &Leader, signal: Signal) -> io::Result<u32> {
        let number = leader.pid().as_raw_nonzero().get();
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.known.values().partition(|stat| !self.has_lost_number && stat.group == number);
        let others = proc::send(outside, signal);
        let group =
            if self.has_lost_number { Err(Errno::SRCH) } else { group::send(leader, signal) };
        match (group, others) {
            (Ok(()), others) => Ok(u32::try_from(inside.len())
                .unwrap_or(u32::MAX)
                .saturating_add(others.unwrap_or(0))),
            (Err(Errno::SRCH), others) | (Err(_), others @ Ok(1..)) => others,
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Brings `known` up to date, and says how many are new.
    fn look_around(&mut self, leader: &Leader) -> io::Result<usize> {
        let number = leader.pid().as_raw_nonzero().get();
        let (mut found, mut is_led) = (0, true);
        let begun = Instant::now();
        while found == 0 || begun.elapsed() < PATIENCE {
            // Asked before the look: whoever has it in the look is somebody else then.
            let is_given_up = leader.has_given_up_number();
            let present = proc::all(|stat| stat.started >= self.started)?;
            // A number stays taken while the session or group has a member. If a process has it that
            // is not our main program, be it a zombie, nobody of ours is left under that number.
            self.has_lost_number |= is_given_up && present.iter().any(|stat| stat.pid == number);
            let (alive, dead): (Vec<_>, Vec<_>) = present.into_iter().partition(Stat::is_alive);
            let alive: HashMap<i32, Stat> =
                alive.into_iter().map(|stat| (stat.pid, stat)).collect();
            self.known.retain(|pid, known| match alive.get(pid) {
                Some(stat) if stat.is_same(known) => {
                    // It may have another name and another parent by now.
                    known.clone_from(stat);
                    true
                }
                _ => false,
            });
            let new = self.newcomers(leader, &alive)?;
            let are_new = new.len();
            self.seen.extend(new.values().map(|stat| (stat.pid, stat.started)));
            self.known.extend(new);
            is_led = self.known.values().chain(&dead).any(|stat| stat.session == number);
            if are_new == 0 {
                break;
            }
            found += are_new;
        }
        self.has_lost_number |= !is_led && group::is_lost(leader);
        Ok(found)
    }

    fn newcomers(
        &mut self,
        leader: &Leader,
        alive: &HashMap<i32, Stat>,
    ) -> io::Result<HashMap<i32, Stat>> {
        let number = leader.pid().as_raw_nonzero().get();
        let is_inside = |stat: &Stat| {
            !self.has_lost_number && (stat.session == number || stat.group == number)
                || self.known.contains_key(&stat.parent)
        };
        self.strangers
            .retain(|(pid, started)| alive.get(pid).is_some_and(|stat| stat.started == *started));
        let mut new = HashMap::new();
        let mut unreadable = Vec::new();
        let mut rest = Vec::new();
        for stat in alive.values().filter(|stat| !self.known.contains_key(&stat.pid)) {
            let belongs = is_inside(stat)
                || !self.strangers.contains(&(stat.pid, stat.started))
                    && match proc::environ(stat.pid, &self.mark)? {
                        Environ::Has => true,
                        Environ::HasNot => {
                            self.strangers.insert((stat.pid, stat.started));
                            false
                        }
                        Environ::NotYet => false,
                        Environ::Unreadable => {
                            unreadable.push(stat);
                            false
                        }
                    };
            if belongs {
                new.insert(stat.pid, stat.clone());
            } else {
                rest.push(stat);
            }
        }
        // The children of those, and theirs.
        loop {
            let before = rest.len();
            rest.retain(|stat| {
                let is_child = new.contains_key(&stat.parent);
                if is_child {
                    new.insert(stat.pid, (*stat).clone());
                }
                !is_child
            });
            if rest.len() == before {
                break;
            }
        }
        unreadable.retain(|stat| !new.contains_key(&stat.pid));
        self.suspects = suspects(&unreadable);
        Ok(new)
    }
}

/// Those among processes that cannot be examined which may have come from here: this user started
/// them, and their parents have gone, so that init, or one of our own forebears, took them over.
fn suspects(unreadable: &[&Stat]) -> Vec<Member> {
    if unreadable.is_empty() {
        return Vec::new();
    }
    let (me, user) = (std::process::id().cast_signed(), getuid().as_raw());
    let parent = |pid: &i32| Stat::of(*pid).ok()?.map(|stat| stat.parent).filter(|pid| *pid > 0);
    let forebears: HashSet<i32> = std::iter::successors(Some(me), parent).chain([1]).collect();
    let may_be_ours =
        |stat: &&&Stat| forebears.contains(&stat.parent) && proc::real_user(stat.pid) == Some(user);
    unreadable.iter().filter(may_be_ours).map(|stat| stat.member()).collect()
}
