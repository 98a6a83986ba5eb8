//! A process tree without the help of a control group: the descendants of a program, found by what
//! is hard to shake off.
//!
//! A process belongs to the tree if it is of the main program's session or group, if its parent
//! belongs to it, or if its environment holds the mark that the main program was started with. Who
//! was found once is held by a descriptor and remembered, wherever it moves. What escapes is a
//! process that forks twice, so that its parent is gone, and has cleared its environment and left
//! the session before it was seen.

use std::collections::HashMap;
use std::io;

use rustix::process::{Signal, getuid, kill_process_group};

use super::group;
use super::main_program::Main;
use super::proc::{self, Environ, Held, Stat};
use crate::{Member, Tree};

/// How often a look around is repeated while it finds somebody new.
const MOST_ROUNDS: u32 = 64;

#[derive(Debug)]
pub(super) struct Lineage {
    mark: String,
    /// When the main program started, in clock ticks; nobody older belongs to it.
    started: u64,
    known: HashMap<i32, Held>,
    suspects: Vec<Member>,
}

impl Lineage {
    pub(super) fn new(mark: String, main: &Main) -> Self {
        let stat = Stat::of(main.pid().as_raw_nonzero().get());
        let started = stat.map_or(0, |stat| stat.started);
        Self { mark, started, known: HashMap::new(), suspects: Vec::new() }
    }

    pub(super) fn tree(&mut self, main: &mut Main) -> io::Result<Tree> {
        main.reap()?;
        self.look_around(main)?;
        let clone = |held: &Held| {
            Some(Held { stat: held.stat.clone(), pidfd: held.pidfd.try_clone().ok()? })
        };
        let tree = group::tree_of(self.known.values().filter_map(clone).collect());
        Ok(Tree { occupied: !self.known.is_empty(), suspects: self.suspects.clone(), ..tree })
    }

    /// Parents are looked at before any signal: an orphan can no longer be told by its parent.
    pub(super) fn signal(&mut self, main: &mut Main, signal: Signal) -> io::Result<u32> {
        main.reap()?;
        self.look_around(main)?;
        if signal == Signal::KILL {
            self.hold_still(main)?;
        }
        proc::send(self.known.values(), signal)
    }

    /// Stops them all, so that nobody forks while the others are being killed.
    fn hold_still(&mut self, main: &mut Main) -> io::Result<()> {
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
            let all: Vec<_> = proc::all()?.filter(|stat| stat.started >= self.started).collect();
            let alive: HashMap<i32, &Stat> =
                all.iter().filter(|stat| stat.is_alive()).map(|stat| (stat.pid, stat)).collect();
            self.known.retain(|pid, held| match alive.get(pid) {
                Some(stat) if stat.started == held.stat.started => {
                    // It may have another name and another parent by now.
                    held.stat.clone_from(stat);
                    true
                }
                _ => false,
            });
            let new = self.newcomers(main, &alive);
            if new.is_empty() {
                break;
            }
            found += new.len();
            self.known.extend(new.into_iter().map(|held| (held.stat.pid, held)));
        }
        Ok(found)
    }

    fn newcomers(&mut self, main: &Main, alive: &HashMap<i32, &Stat>) -> Vec<Held> {
        let leader = main.pid().as_raw_nonzero().get();
        // A number stays taken while the session or group has a member. If a process has it that
        // is not our main program, nobody of ours is left under that number.
        let recycled = main.is_reaped() && alive.contains_key(&leader);
        let is_ours = |stat: &Stat| {
            (!recycled && (stat.session == leader || stat.group == leader))
                || self.known.contains_key(&stat.parent)
        };
        let mut new = Vec::new();
        let mut suspects = Vec::new();
        for stat in alive.values().filter(|stat| !self.known.contains_key(&stat.pid)) {
            let belongs = is_ours(stat)
                || match proc::environ(stat.pid, &self.mark) {
                    Environ::Has => true,
                    Environ::HasNot => false,
                    Environ::Unreadable => {
                        if may_be_ours(stat) {
                            suspects.push(stat.member());
                        }
                        false
                    }
                };
            if belongs {
                new.extend(Held::hold(stat));
            }
        }
        self.suspects = suspects;
        new
    }
}

/// Whether a process that cannot be examined may have come from here: this user started it, and its
/// parent has gone.
fn may_be_ours(stat: &Stat) -> bool {
    let is_orphan = stat.parent <= 1;
    is_orphan && proc::real_user(stat.pid) == Some(getuid().as_raw())
}
