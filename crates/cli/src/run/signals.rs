//! Signals to `exeng` while its program runs.
//!
//! | signal | what happens |
//! |---|---|
//! | INT, TERM, HUP, QUIT of the program itself, to its process group | nothing: its ending counts |
//! | INT, TERM, HUP, QUIT of another process; HUP of a terminal that is gone | the tree is stopped: politely, and at once when another one comes |
//! | INT of the terminal (Ctrl-C) | the program has got it, too, and its ending counts. If no process of the tree has, or if it comes twice within seconds: as above |
//! | QUIT of the terminal (Ctrl-\) | the program has got it, too |
//! | USR1, USR2 | passed on to the main program |
//! | TSTP, TTIN, TTOU | not handled: the terminal and the shell stop and continue both |
//! | CHLD | the program may be suspended |
//!
//! What `exeng` was told to ignore stays ignored, by the program, too.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use execution_engine::Signal;
use execution_engine::blocking::{Execution, ExecutionEngine};
use execution_engine_process::is_ignored;
use rustix::process::Pid;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::program::{Interrupted, Program};
use super::terminal_job::{Press, TerminalJob};

/// Those that stop the tree, and those that are passed on.
const ALWAYS: [c_int; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
/// Those that job control needs.
const WITH_TERMINAL: [c_int; 2] = [SIGCHLD, SIGCONT];

/// Watch over the signals to this process.
pub(super) struct SignalWatch {
    /// `None` if the system gives no room for it, or once the watch has begun.
    signals: Option<SignalsInfo<WithOrigin>>,
    /// SIGTERM or SIGHUP, whichever came last; set by the handler itself.
    last: Arc<AtomicUsize>,
    sender: Arc<AtomicUsize>,
}

/// Who has sent the last signal to stop.
mod sender {
    pub(super) const UNKNOWN: usize = 0;
    pub(super) const PROGRAM: usize = 1;
    pub(super) const ANOTHER: usize = 2;
}

/// Time for the thread to look at a signal that has come.
const LOOKED_AT: Duration = Duration::from_millis(200);

impl SignalWatch {
    /// Holds signals back until [`begin`](Self::begin).
    pub(super) fn new(has_terminal: bool) -> Self {
        let of_job = WITH_TERMINAL.iter().filter(|_| has_terminal);
        let handled = ALWAYS.iter().chain(of_job);
        let handled = handled.filter(|signal| !is_ignored(Signal::from_number(**signal)));
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGTERM, SIGHUP] {
            if let Ok(number) = usize::try_from(signal)
                && !is_ignored(Signal::from_number(signal))
            {
                // Without it, who was faster decides the exit code.
                let _set = signal_hook::flag::register_usize(signal, Arc::clone(&last), number);
            }
        }
        // Without it, the signals have their default effect, and the host guard stops the tree.
        let signals = SignalsInfo::<WithOrigin>::new(handled).ok();
        Self { signals, last, sender: Arc::new(AtomicUsize::new(sender::UNKNOWN)) }
    }

    /// Handles what has come and what will come, on a thread.
    pub(super) fn begin(
        &mut self,
        engine: &ExecutionEngine,
        execution: &Execution,
        program: &Arc<Program>,
        job: Option<&Arc<TerminalJob>>,
    ) {
        let Some(mut signals) = self.signals.take() else { return };
        let mut reaction = Reaction {
            engine: engine.clone(),
            execution: execution.clone(),
            program: Arc::clone(program),
            job: job.cloned(),
            sender: Arc::clone(&self.sender),
            press: None,
            is_stopping: false,
        };
        let watch = move || signals.forever().for_each(|origin| reaction.to(&origin));
        // It ends with the process.
        let _thread = thread::Builder::new().name("signals".into()).spawn(watch);
    }

    /// Returns `true` if this process was told to end by this signal, by another process than its
    /// program.
    pub(super) fn has_got(&self, signal: i32) -> bool {
        if usize::try_from(signal) != Ok(self.last.load(Ordering::Acquire)) {
            return false;
        }
        let begun = Instant::now();
        while self.sender.load(Ordering::Acquire) == sender::UNKNOWN && begun.elapsed() < LOOKED_AT
        {
            thread::park_timeout(Duration::from_millis(1));
        }
        self.sender.load(Ordering::Acquire) != sender::PROGRAM
    }
}

/// What is done about signals.
struct Reaction {
    engine: ExecutionEngine,
    execution: Execution,
    program: Arc<Program>,
    /// `None` without a terminal.
    job: Option<Arc<TerminalJob>>,
    sender: Arc<AtomicUsize>,
    press: Option<Press>,
    is_stopping: bool,
}

impl Reaction {
    fn to(&mut self, origin: &Origin) {
        let is_of_terminal = self.job.is_some() && origin.cause == Cause::Kernel;
        match origin.signal {
            SIGINT if is_of_terminal => self.interrupted(),
            SIGQUIT if is_of_terminal => {}
            SIGINT | SIGTERM | SIGHUP | SIGQUIT if self.is_of_program(origin) => {
                // It has signalled its process group, which is ours: what it makes of it counts.
                self.sender.store(sender::PROGRAM, Ordering::Release);
            }
            SIGINT | SIGTERM | SIGHUP | SIGQUIT => {
                self.sender.store(sender::ANOTHER, Ordering::Release);
                self.stop();
            }
            SIGUSR1 => self.program.signal(rustix::process::Signal::USR1),
            SIGUSR2 => self.program.signal(rustix::process::Signal::USR2),
            SIGCHLD => self.with_job(TerminalJob::follow_stop),
            SIGCONT => self.with_job(TerminalJob::follow_continue),
            _ => {}
        }
    }

    fn is_of_program(&self, origin: &Origin) -> bool {
        let sender = origin.process.and_then(|process| Pid::from_raw(process.pid));
        self.job.is_some() && sender.is_some() && sender == self.program.last_pid()
    }

    fn with_job(&self, follow: impl FnOnce(&TerminalJob, &Program)) {
        if let Some(job) = &self.job {
            follow(job, &self.program);
        }
    }

    /// Ctrl-C in the terminal.
    fn interrupted(&mut self) {
        self.program.interrupt();
        match self.program.interrupted() {
            Interrupted::Ended => {}
            Interrupted::Nobody => self.stop(),
            Interrupted::Program => {
                let is_second = self.press.take().is_some_and(|press| press.is_followed());
                let goes_on = || self.job.as_ref().is_some_and(|job| job.stays_with_lines());
                if is_second && goes_on() {
                    // It may have ended by it meanwhile.
                    if self.program.interrupted() == Interrupted::Program {
                        self.is_stopping = true;
                        self.stop();
                    }
                    return;
                }
                self.press = self.job.as_ref().and_then(TerminalJob::press);
            }
        }
    }

    /// Stops the tree: politely the first time, with SIGKILL the second.
    fn stop(&mut self) {
        // It may have ended just now.
        let _ended = self.execution.cancel();
        if std::mem::replace(&mut self.is_stopping, true) {
            // This takes away what is left of the grace.
            let _report = self.engine.shutdown(Duration::ZERO);
        }
    }
}
