//! A started program and its process tree.

use std::io;
use std::os::fd::AsFd as _;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::Interest;

use crate::descriptors::LiveChild;
use crate::host_process::OfProcess;
use crate::played::PlayedProcess;
use crate::readiness::Readiness;
use crate::sys;
use crate::{Exit, Level, Reaped, Signal, Tree, TreeUsage};

/// Main program that was started, and the processes that come from it.
///
/// Dropping it kills the tree; what cannot be reaped at once is reaped in the background. A fork of
/// this process has a copy, and dropping that ends nothing.
#[derive(Debug)]
pub struct Child {
    // Before `process`, which owns the descriptor: see `Readiness`.
    readiness: Readiness,
    process: OfProcess<Process>,
    // After `process`, whose descriptors it counts.
    _live: LiveChild,
}

/// What runs the program.
#[derive(Debug)]
enum Process {
    System(sys::Process),
    /// This process plays it.
    Played(Box<PlayedProcess>),
}

impl Child {
    pub(crate) fn new(process: sys::Process) -> Self {
        Self::of(Process::System(process))
    }

    pub(crate) fn played(process: PlayedProcess) -> Self {
        Self::of(Process::Played(Box::new(process)))
    }

    fn of(process: Process) -> Self {
        let process = OfProcess::new(process);
        Self { readiness: Readiness::default(), process, _live: LiveChild::new() }
    }

    /// Returns the process id of the main program.
    pub fn id(&self) -> u32 {
        match &*self.process {
            Process::System(process) => process.id(),
            Process::Played(process) => process.id(),
        }
    }

    /// Returns the level at which its tree is contained.
    pub fn level(&self) -> Level {
        match &*self.process {
            Process::System(process) => process.level(),
            Process::Played(process) => process.level(),
        }
    }

    /// Returns how the main program ended, or `None` while it runs. Does not block and does not
    /// reap.
    ///
    /// # Errors
    /// The system's error. That other code has reaped the child is no error but [`Exit::Unknown`].
    pub fn exit(&mut self) -> io::Result<Option<Exit>> {
        match &mut *self.process {
            Process::System(process) => process.exit(),
            Process::Played(process) => Ok(process.exit()),
        }
    }

    /// Looks for the living processes of the tree. Does not block.
    ///
    /// # Errors
    /// The system's error if the tree cannot be examined.
    pub fn tree(&mut self) -> io::Result<Tree> {
        match &mut *self.process {
            Process::System(process) => process.tree(),
            Process::Played(process) => process.tree(),
        }
    }

    /// Sends a signal to every living member and returns how many received it.
    ///
    /// # Errors
    /// The system's error if the tree cannot be examined, or if no member could be signalled.
    pub fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        match &mut *self.process {
            Process::System(process) => process.signal(signal),
            Process::Played(process) => Ok(process.signal(signal)),
        }
    }

    /// Suspends every member.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn pause(&mut self) -> io::Result<()> {
        match &mut *self.process {
            Process::System(process) => process.pause(),
            Process::Played(process) => {
                process.signal(Signal::Stop);
                Ok(())
            }
        }
    }

    /// Resumes every member.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn resume(&mut self) -> io::Result<()> {
        match &mut *self.process {
            Process::System(process) => process.resume(),
            Process::Played(process) => {
                process.signal(Signal::Continue);
                Ok(())
            }
        }
    }

    /// Returns the CPU time that the main program itself has used so far, without its children;
    /// `None` where the system does not report it, and once the program is reaped.
    pub fn cpu_time(&self) -> Option<Duration> {
        match &*self.process {
            Process::System(process) => process.cpu_time(),
            Process::Played(_) => None,
        }
    }

    /// Returns what the whole tree has used so far; `None` where the system does not count that.
    pub fn tree_usage(&self) -> Option<TreeUsage> {
        match &*self.process {
            Process::System(process) => process.tree_usage(),
            Process::Played(_) => None,
        }
    }

    /// Gives up the living members on purpose: they live on, and dropping this child kills none of
    /// them. The main program must have ended, and [`Launch::leftovers`](crate::Launch::leftovers)
    /// must be [`Leave`](crate::Leftovers::Leave).
    ///
    /// # Errors
    /// The system's error if they could not be moved out of their control group. They are killed
    /// when this is dropped then.
    pub fn leave(&mut self) -> io::Result<()> {
        match &mut *self.process {
            Process::System(process) => process.leave(),
            Process::Played(_) => Ok(()),
        }
    }

    /// Reaps the main program. Returns `None` while it runs, and the same answer each time
    /// afterwards. Does not block.
    ///
    /// From then on its process id may belong to another process.
    ///
    /// # Errors
    /// As [`exit`](Self::exit).
    pub fn reap(&mut self) -> io::Result<Option<Reaped>> {
        match &mut *self.process {
            Process::System(process) => process.reap(),
            Process::Played(process) => Ok(process.reap()),
        }
    }

    /// Registers the end of the main program with the reactor of the current tokio runtime. Once is
    /// enough, and a child that is not registered is registered when it is first polled.
    ///
    /// # Errors
    /// The system's error if it has no memory for another registration. The child can
    /// still be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn register(&mut self) -> io::Result<()> {
        let exit_fd = match &*self.process {
            Process::System(process) => process.exit_fd().as_fd(),
            Process::Played(process) => process.exit_fd().as_fd(),
        };
        // SAFETY: the process keeps its one descriptor open for as long as it exists, and it is
        // dropped after the registration.
        unsafe { self.readiness.register(exit_fd, Interest::READABLE) }
    }

    /// Polls for the main program to end and returns how it ended. Does not reap it, and gives the
    /// same answer when polled again.
    ///
    /// # Errors
    /// As [`exit`](Self::exit); also if the runtime is shutting down.
    pub fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Exit>> {
        self.register()?;
        loop {
            let mut ready = ready!(self.readiness.poll_readable(cx))?;
            let exit = match &mut *self.process {
                Process::System(process) => process.exit()?,
                Process::Played(process) => process.exit(),
            };
            match exit {
                Some(exit) => return Poll::Ready(Ok(exit)),
                // A wake-up without an end: wait for the next one.
                None => ready.clear_ready(),
            }
        }
    }
}
