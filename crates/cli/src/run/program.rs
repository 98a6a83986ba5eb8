//! The process of the program, as the signals of a terminal need to know it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpgrp, kill_process, waitid};

use super::idle::Activity;

/// Main program of the present attempt.
#[derive(Debug)]
pub(super) struct Program {
    /// 0 while there is none.
    pid: AtomicU32,
    last_pid: AtomicU32,
    is_interrupted: AtomicBool,
    activity: Arc<Activity>,
}

impl Program {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        let (pid, last_pid) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { pid, last_pid, is_interrupted: AtomicBool::new(false), activity }
    }

    /// Returns when it has written something last.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    pub(super) fn has_started(&self, pid: u32) {
        self.activity.note();
        self.last_pid.store(pid, Ordering::Release);
        self.pid.store(pid, Ordering::Release);
    }

    pub(super) fn has_ended(&self) {
        self.pid.store(0, Ordering::Release);
    }

    /// Notes that the user has pressed Ctrl-C: nothing is tried again.
    pub(super) fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::Release);
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Acquire)
    }

    /// Returns the process. `None` between two attempts and after the last one.
    pub(super) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.pid.load(Ordering::Acquire).cast_signed())
    }

    /// Returns the process that was started last, which may have ended.
    pub(super) fn last_pid(&self) -> Option<Pid> {
        Pid::from_raw(self.last_pid.load(Ordering::Acquire).cast_signed())
    }

    /// Sends a signal to the main program alone.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        if let Some(pid) = self.pid() {
            // One that has just ended takes no signal.
            let _sent = kill_process(pid, signal);
        }
    }

    /// Returns `true` if the main program is suspended.
    pub(super) fn is_stopped(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(pid), look), Ok(Some(_)))
    }

    /// Returns who has got a SIGINT of the terminal, beside this process.
    pub(super) fn interrupted(&self) -> Interrupted {
        let Some(pid) = self.pid() else { return Interrupted::Nobody };
        let main = Stat::of(pid.as_raw_nonzero().get());
        if main.as_ref().is_none_or(|main| main.has_ended) {
            return Interrupted::Ended;
        }
        let own = getpgrp().as_raw_nonzero().get();
        let takes = |stat: &Stat| stat.group == own && !ignores_interrupt(stat.pid);
        if main.as_ref().is_some_and(takes) || descendants(pid).iter().any(takes) {
            return Interrupted::Program;
        }
        Interrupted::Nobody
    }
}

/// Who has got a SIGINT of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// The program, or a process of it, which does with it what it does.
    Program,
    /// The program, which has ended by it or otherwise.
    Ended,
    /// No process: all of the tree ignore the signal or have left the terminal, or there is none
    /// because the next attempt is waited for.
    Nobody,
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug)]
struct Stat {
    pid: i32,
    parent: i32,
    group: i32,
    has_ended: bool,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may contain anything.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Self { pid, parent, group, has_ended: matches!(state, "Z" | "X") })
    }
}

/// Returns the living descendants of a process, as far as their parents live.
fn descendants(pid: Pid) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut others: Vec<Stat> = pids.filter_map(Stat::of).filter(|stat| !stat.has_ended).collect();
    let mut found: Vec<Stat> = Vec::new();
    let mut parents = vec![pid.as_raw_nonzero().get()];
    while !parents.is_empty() {
        let is_child = |stat: &Stat| parents.contains(&stat.parent);
        let (children, rest): (Vec<Stat>, Vec<Stat>) = others.into_iter().partition(is_child);
        others = rest;
        parents = children.iter().map(|stat| stat.pid).collect();
        found.extend(children);
    }
    found
}

/// Returns `true` if a process ignores SIGINT.
fn ignores_interrupt(pid: i32) -> bool {
    const INTERRUPT: u64 = 1 << 1;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    ignored.is_some_and(|set| set & INTERRUPT != 0)
}
