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

use rustix::process::{Signal, getuid, kill_process_group};

use super::group;
use super::main_program::Main;
use super::proc::{self, Environ, Stat};
use crate::{Member, Tree};

/// How often a look around is repeated while it finds somebody new.
const MOST_ROUNDS: u32 = 64;

#[derive(Debug)]
pub(super) struct Lineage {
    mark: String,
    /// When the main program started, in clock ticks; nobody older belongs to it.
    started: u64,
    /// Who is alive, by id.
    known: HashMap<i32, Stat>,
    /// Everybody who was ever seen, by id and start time.
    seen: HashSet<(i32, u64)>,
    suspects: Vec<Member>,
}

impl Lineage {
    pub(super) fn new(mark: String, main: &Main) -> Self {
        let stat = Stat::of(main.pid().as_raw_nonzero().get());
        Self {
            mark,
            started: stat.map_or(0, |stat| stat.started),
            known: HashMap::new(),
            seen: HashSet::new(),
            suspects: Vec::new(),
        }
    }

    pub(super) fn tree(&mut self, main: &Main) -> io::Result<Tree> {
        self.look_around(main)?;
        let known: Vec<_> = self.known.values().cloned().collect();
        Ok(Tree { suspects: self.suspects.clone(), ..group::tree_of(&known) })
    }

    /// Everybody who was ever seen, by id and start time.
    pub(super) fn seen(&self) -> &HashSet<(i32, u64)> {
        &self.seen
    }

    /// Parents are looked at before any signal: an orphan can no longer be told by its parent.
    pub(super) fn signal(&mut self, main: &Main, signal: Signal) -> io::Result<u32> {
        self.look_around(main)?;
        if matches!(signal, Signal::KILL | Signal::STOP) {
            self.hold_still(main)?;
        }
        proc::send(self.known.values(), signal)
    }

    /// Stops them all, so that nobody forks while the others are being killed.
    fn hold_still(&mut self, main: &Main) -> io::Result<()> {
        for _ in 0..MOST_ROUNDS {
            let before = self.known.len();
            if !main.is_reaped() {
                // All at once; the group may be empty but for the main program that is ending.
                let _stopped = kill_process_group(main.pid(), Signal::STOP);
            }
            // Who cannot be stopped is about to be killed all the same.
            let _stopped = proc::send(self.known.values(), Signal::STOP);
            if self.look_around(main)? == 0 && self.known.len() <= before {
                break;
            }
        }
        Ok(())
    }

    /// Brings `known` up to date, and says how many are new.
    fn look_around(&mut self, main: &Main) -> io::Result<usize> {
        let mut found = 0;
        for _ in 0..MOST_ROUNDS {
            let alive: HashMap<i32, Stat> = proc::all()?
                .filter(|stat| stat.started >= self.started && stat.is_alive())
                .map(|stat| (stat.pid, stat))
                .collect();
            self.known.retain(|pid, known| match alive.get(pid) {
                Some(stat) if stat.is_same(known) => {
                    // It may have another name and another parent by now.
                    known.clone_from(stat);
                    true
                }
                _ => false,
            });
            let new = self.newcomers(main, &alive);
            if new.is_empty() {
                break;
            }
            found += new.len();
            self.seen.extend(new.values().map(|stat| (stat.pid, stat.started)));
            self.known.extend(new);
        }
        Ok(found)
    }

    fn newcomers(&mut self, main: &Main, alive: &HashMap<i32, Stat>) -> HashMap<i32, Stat> {
        let leader = main.pid().as_raw_nonzero().get();
        // A number stays taken while the session or group has a member. If a process has it that
        // is not our main program, nobody of ours is left under that number.
        let recycled = main.is_reaped() && alive.contains_key(&leader);
        let is_inside = |stat: &Stat| {
            !recycled && (stat.session == leader || stat.group == leader)
                || self.known.contains_key(&stat.parent)
        };
        let mut new = HashMap::new();
        let mut unreadable = Vec::new();
        let mut rest = Vec::new();
        for stat in alive.values().filter(|stat| !self.known.contains_key(&stat.pid)) {
            let belongs = is_inside(stat)
                || match proc::environ(stat.pid, &self.mark) {
                    Environ::Has => true,
                    Environ::HasNot => false,
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
        new
    }
}

/// Those among processes that cannot be examined which may have come from here: this user started
/// them, and their parents have gone, so that init, or one of our own forebears, took them over.
fn suspects(unreadable: &[&Stat]) -> Vec<Member> {
    if unreadable.is_empty() {
        return Vec::new();
    }
    let (me, user) = (std::process::id().cast_signed(), getuid().as_raw());
    let parent = |pid: &i32| Stat::of(*pid).map(|stat| stat.parent).filter(|pid| *pid > 0);
    let forebears: HashSet<i32> = std::iter::successors(Some(me), parent).chain([1]).collect();
    let may_be_ours =
        |stat: &&&Stat| forebears.contains(&stat.parent) && proc::real_user(stat.pid) == Some(user);
    unreadable.iter().filter(may_be_ours).map(|stat| stat.member()).collect()
}
