//! A process tree without a control group: the descendants of a program, found by what is hard to
//! shake off.
//!
//! A process belongs to the tree if it is in the leader's session or group, if its parent belongs
//! to the tree, or if it has the leader's marker. A process that was found once is remembered, by id
//! and start time, wherever it moves. A process escapes if it forks twice, so that its parent has
//! exited, and has removed both markers and left the session before it was seen.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Signal, getuid};

use super::group;
use super::leader::Leader;
use super::marker::Marker;
use super::proc::{self, MarkerCheck, Stat};
use super::signalling;
use crate::{Member, Tree};

/// Time for which one call searches again while each search finds a new process. It blocks its
/// thread; a program that forks faster is searched for again with the next call.
const SEARCH_TIME: Duration = Duration::from_millis(50);

/// Finds the members of one tree.
#[derive(Debug)]
pub(super) struct DescendantTracker {
    marker: Marker,
    /// Start of the leader, in clock ticks. No member is older.
    started: u64,
    /// Members that are alive, by id.
    known: HashMap<i32, Stat>,
    /// All members that were ever seen, by id and start time.
    seen: HashSet<(i32, u64)>,
    /// Living processes without the marker. None gets it later, so that none is examined
    /// twice.
    strangers: HashSet<(i32, u64)>,
    suspects: Vec<Member>,
    /// The number of the session and the group was seen to be free, or a stranger's. It may be a
    /// stranger's from then on, for good: one whose own leader has exited cannot be told from ours.
    has_lost_number: bool,
}

impl DescendantTracker {
    pub(super) fn new(marker: Marker, leader: &Leader) -> Self {
        // If the start is unknown, every process is young enough.
        let stat = Stat::of(leader.number()).ok().flatten();
        Self {
            marker,
            started: stat.map_or(0, |stat| stat.started),
            known: HashMap::new(),
            seen: HashSet::new(),
            strangers: HashSet::new(),
            suspects: Vec::new(),
            has_lost_number: false,
        }
    }

    /// Examines the tree. The leader is reaped when no other member is left: until then its number
    /// stays its own.
    pub(super) fn tree(&mut self, leader: &mut Leader) -> io::Result<Tree> {
        self.search(leader)?;
        let tree = if !self.known.is_empty() {
            group::tree_of(&self.known.values().cloned().collect::<Vec<_>>())
        } else if self.has_lost_number {
            Tree::empty(false)
        } else {
            group::tree(leader)?
        };
        Ok(Tree { suspects: self.suspects.clone(), ..tree })
    }

    /// Returns all members that were ever seen, by id and start time.
    pub(super) fn seen(&self) -> &HashSet<(i32, u64)> {
        &self.seen
    }

    /// Returns `true` if the leader's number no longer means a group or session of this tree.
    pub(super) fn has_lost_number(&self) -> bool {
        self.has_lost_number
    }

    /// Signals all members. The search comes first: a signal makes orphans, and an orphan can no
    /// longer be found by its parent.
    pub(super) fn signal(&mut self, leader: &mut Leader, signal: Signal) -> io::Result<u32> {
        if let Err(error) = self.search(leader) {
            // The group can be signalled without a search.
            tracing::debug!(%error, "a process tree could not be searched");
            return if self.has_lost_number { Err(error) } else { group::signal(leader, signal) };
        }
        if matches!(signal, Signal::KILL | Signal::STOP) {
            self.stop_all(leader)?;
        }
        self.send(leader, signal)
    }

    /// Stops all members until a search finds no new one, so that none forks while others are
    /// killed.
    fn stop_all(&mut self, leader: &Leader) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < SEARCH_TIME {
            let before = self.known.len();
            // A member that cannot be stopped is about to be killed all the same.
            let _stopped = self.send(leader, Signal::STOP);
            if self.search(leader)? == 0 && self.known.len() <= before {
                break;
            }
        }
        Ok(())
    }

    /// Signals the group as a whole, including members that are being forked, and each of the
    /// others. No member gets the signal twice.
    fn send(&self, leader: &Leader, signal: Signal) -> io::Result<u32> {
        let number = leader.number();
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.known.values().partition(|stat| !self.has_lost_number && stat.group == number);
        let others = signalling::send(outside, signal);
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

    /// Brings `known` up to date and returns the number of new members.
    fn search(&mut self, leader: &Leader) -> io::Result<usize> {
        let number = leader.number();
        let (mut found, mut has_session) = (0, true);
        let begun = Instant::now();
        while found == 0 || begun.elapsed() < SEARCH_TIME {
            // Asked before the look: a process that has the number in the look is a stranger then.
            let is_given_up = leader.has_given_up_number();
            let present = proc::all(|stat| stat.started >= self.started)?;
            // A number stays taken while the session or group has a member. If a process has it
            // that is not our leader, be it a zombie, no member is left under that number.
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
            let new = self.new_members(leader, &alive)?;
            let count = new.len();
            self.seen.extend(new.values().map(Stat::key));
            self.known.extend(new);
            has_session = self.known.values().chain(&dead).any(|stat| stat.session == number);
            if count == 0 {
                break;
            }
            found += count;
        }
        self.has_lost_number |= !has_session && group::is_lost(leader);
        Ok(found)
    }

    /// Returns the members among the living that are not known yet.
    fn new_members(
        &mut self,
        leader: &Leader,
        alive: &HashMap<i32, Stat>,
    ) -> io::Result<HashMap<i32, Stat>> {
        self.strangers
            .retain(|(pid, started)| alive.get(pid).is_some_and(|stat| stat.started == *started));
        let (mut new, mut others, mut unreadable) = (HashMap::new(), Vec::new(), Vec::new());
        let unknown: Vec<_> =
            alive.values().filter(|stat| !self.known.contains_key(&stat.pid)).collect();
        for stat in unknown {
            let is_member = self.is_related(leader, stat)
                || match self.check_marker(stat)? {
                    MarkerCheck::Present => true,
                    MarkerCheck::Absent | MarkerCheck::InExec => false,
                    MarkerCheck::Unreadable => {
                        unreadable.push(stat);
                        false
                    }
                };
            // The parents of the others are looked at when all new members are known.
            if is_member {
                new.insert(stat.pid, stat.clone());
            } else {
                others.push(stat);
            }
        }
        add_descendants(&mut new, others);
        unreadable.retain(|stat| !new.contains_key(&stat.pid));
        self.suspects = suspects(&unreadable);
        Ok(new)
    }

    /// Returns `true` if the process is the leader, in the leader's session or group, or a member's
    /// child.
    fn is_related(&self, leader: &Leader, stat: &Stat) -> bool {
        // One that shares the terminal of its host leads neither.
        let is_led = [stat.pid, stat.session, stat.group].contains(&leader.number());
        !self.has_lost_number && is_led || self.known.contains_key(&stat.parent)
    }

    fn check_marker(&mut self, stat: &Stat) -> io::Result<MarkerCheck> {
        if self.strangers.contains(&stat.key()) {
            return Ok(MarkerCheck::Absent);
        }
        let check = proc::check_marker(stat.pid, &self.marker)?;
        if check == MarkerCheck::Absent {
            self.strangers.insert(stat.key());
        }
        Ok(check)
    }
}

/// Adds those of the others whose ancestors are members.
fn add_descendants(members: &mut HashMap<i32, Stat>, mut others: Vec<&Stat>) {
    loop {
        let before = others.len();
        others.retain(|stat| {
            let is_child = members.contains_key(&stat.parent);
            if is_child {
                members.insert(stat.pid, (*stat).clone());
            }
            !is_child
        });
        if others.len() == before {
            return;
        }
    }
}

/// Returns those among processes that cannot be examined which may belong to the tree: this user
/// started them, and their parents have exited, so that init or an ancestor of ours took them over.
fn suspects(unreadable: &[&Stat]) -> Vec<Member> {
    if unreadable.is_empty() {
        return Vec::new();
    }
    let (me, user) = (std::process::id().cast_signed(), getuid().as_raw());
    let parent = |pid: &i32| Stat::of(*pid).ok()?.map(|stat| stat.parent).filter(|pid| *pid > 0);
    let ancestors: HashSet<i32> = std::iter::successors(Some(me), parent).chain([1]).collect();
    let may_be_ours =
        |stat: &&&Stat| ancestors.contains(&stat.parent) && proc::real_user(stat.pid) == Some(user);
    unreadable.iter().filter(may_be_ours).map(|stat| stat.member()).collect()
}
