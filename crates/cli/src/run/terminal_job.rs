//! The terminal that the program shares with `exeng`: what both have to do so that a shell and its
//! user see one job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use execution_engine::Ending;
use execution_engine_process::ControllingTerminal;
use rustix::process::{Signal, getpgid, getpgrp, getpid, kill_process};

use super::program::Program;

/// Time within which a second Ctrl-C means: now.
const SECOND_PRESS: Duration = Duration::from_secs(5);
/// Pause between two looks whether the program reads keys again.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Time for a program to read keys again: a line editor leaves that mode to handle a signal.
const BACK_TO_KEYS: Duration = Duration::from_millis(300);
/// Time in which a program and `exeng` are continued together.
const CONTINUED_TOGETHER: Duration = Duration::from_millis(20);

/// Terminal, and what is remembered of it.
#[derive(Debug)]
pub(super) struct TerminalJob {
    terminal: ControllingTerminal,
    /// The present stop of the program has stopped this process, too.
    has_followed: AtomicBool,
}

/// A Ctrl-C that the program has got.
#[derive(Debug)]
pub(super) struct Press {
    at: Instant,
    /// Until the program reads keys again: it has done what it was asked for.
    counts: Arc<AtomicBool>,
}

impl Press {
    /// Returns `true` if a press that follows now is the second of two.
    pub(super) fn is_followed(&self) -> bool {
        self.counts.load(Ordering::Acquire) && self.at.elapsed() < SECOND_PRESS
    }
}

impl TerminalJob {
    /// Returns the terminal of this process, if it has one.
    pub(super) fn of_this_process() -> Option<Self> {
        let terminal = ControllingTerminal::open()?;
        Some(Self { terminal, has_followed: AtomicBool::new(false) })
    }

    /// Notes a Ctrl-C. `None` if the program reads keys, so that each means what the program says:
    /// line editors and full-screen programs do.
    pub(super) fn press(self: &Arc<Self>) -> Option<Press> {
        if self.terminal.reads_keys() {
            return None;
        }
        let counts = Arc::new(AtomicBool::new(true));
        let (job, still_counts) = (Arc::clone(self), Arc::clone(&counts));
        let watch = move || {
            let begun = Instant::now();
            while begun.elapsed() < SECOND_PRESS {
                thread::park_timeout(LOOK_INTERVAL);
                if job.terminal.reads_keys() {
                    return still_counts.store(false, Ordering::Release);
                }
            }
        };
        // Without it the time alone decides.
        let _thread = thread::Builder::new().spawn(watch);
        Some(Press { at: Instant::now(), counts })
    }

    /// Returns `true` if the program does not go back to reading keys after a Ctrl-C.
    pub(super) fn stays_with_lines(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < BACK_TO_KEYS {
            if self.terminal.reads_keys() {
                return false;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        true
    }

    /// Stops this process, too, if the program is suspended: then the shell takes its terminal back.
    ///
    /// Ctrl-Z reaches both, and `fg` continues both. This is for a program that was suspended alone,
    /// by itself or by another process.
    pub(super) fn follow_stop(&self, program: &Program) {
        if !program.is_stopped() {
            return self.has_followed.store(false, Ordering::Release);
        }
        // A SIGCHLD of this stop may be handled after `fg` and before the SIGCONT of it.
        if self.has_followed.load(Ordering::Acquire) {
            return;
        }
        // `fg` continues one after the other.
        thread::park_timeout(CONTINUED_TOGETHER);
        if program.is_stopped() && self.is_programs(program) {
            self.has_followed.store(true, Ordering::Release);
            // The system ignores it where no shell could continue us.
            let _stopped = kill_process(getpid(), Signal::TSTP);
        }
    }

    /// Continues a program that `fg` did not reach, because it is in a process group of its own.
    pub(super) fn follow_continue(&self, program: &Program) {
        // It could write nothing while it was suspended.
        program.activity().note();
        self.has_followed.store(false, Ordering::Release);
        let Some(pid) = program.pid() else { return };
        let Ok(group) = getpgid(Some(pid)) else { return };
        if group != getpgrp() && program.is_stopped() {
            if self.terminal.is_foreground() {
                self.terminal.give_to(group.as_raw_nonzero().get().cast_unsigned());
            }
            program.signal(Signal::CONT);
        }
    }

    /// Returns `true` if the terminal's foreground is ours or the program's.
    fn is_programs(&self, program: &Program) -> bool {
        let group = program.pid().and_then(|pid| getpgid(Some(pid)).ok());
        let group = group.map(|group| group.as_raw_nonzero().get().cast_unsigned());
        self.terminal.is_foreground() || self.terminal.foreground() == group
    }

    /// Leaves the terminal as the caller expects it. A program that ended by itself is responsible for
    /// its modes; one that was stopped could not restore them.
    pub(super) fn restore(&self, ending: &Ending) {
        self.terminal.restore_group();
        if !matches!(ending, Ending::Exited { .. }) {
            self.terminal.restore_modes();
        }
    }
}
