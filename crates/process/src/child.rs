//! A started program and its process tree.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
#[cfg(feature = "tokio")]
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(feature = "tokio")]
use tokio::io::Interest;

#[cfg(feature = "tokio")]
use crate::readiness::Readiness;
use crate::sys;
use crate::{Exit, Reaped, Signal, Tree, TreeUsage};

/// Main program that was started, and the processes that come from it.
///
/// Dropping it kills the tree; what cannot be reaped at once is reaped in the background.
#[derive(Debug)]
pub struct Child {
    // Before `process`, which owns the descriptor: see `Readiness`.
    #[cfg(feature = "tokio")]
    readiness: Option<Readiness>,
    process: sys::Process,
}

impl Child {
    pub(crate) fn new(process: sys::Process) -> Self {
        Self {
            #[cfg(feature = "tokio")]
            readiness: None,
            process,
        }
    }

    /// Returns the process id of the main program.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns a descriptor that is readable once the main program has ended.
    pub fn exit_fd(&self) -> BorrowedFd<'_> {
        self.process.exit_fd().as_fd()
    }

    /// Returns how the main program ended, or `None` while it runs. Does not block and does not
    /// reap.
    ///
    /// # Errors
    /// The system's error. That other code has reaped the child is no error but [`Exit::Unknown`].
    pub fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.process.exit()
    }

    /// Looks for the living processes of the tree. Does not block.
    ///
    /// # Errors
    /// The system's error if the tree cannot be examined.
    pub fn tree(&mut self) -> io::Result<Tree> {
        self.process.tree()
    }

    /// Sends a signal to every living member and returns how many received it.
    ///
    /// # Errors
    /// The system's error if the tree cannot be examined, or if no member could be signalled.
    pub fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        self.process.signal(signal)
    }

    /// Suspends every member.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn pause(&mut self) -> io::Result<()> {
        self.process.pause()
    }

    /// Resumes every member.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn resume(&mut self) -> io::Result<()> {
        self.process.resume()
    }

    /// Returns the CPU time that the main program itself has used so far, without its children;
    /// `None` where the system does not report it, and once the program is reaped.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.process.cpu_time()
    }

    /// Returns what the whole tree has used so far; `None` where the system does not count that.
    pub fn tree_usage(&self) -> Option<TreeUsage> {
        self.process.tree_usage()
    }

    /// Gives up the living members on purpose: they live on, and dropping this child kills none of
    /// them. The main program must have ended, and [`Launch::leftovers`](crate::Launch::leftovers)
    /// must be [`Leave`](crate::Leftovers::Leave).
    ///
    /// # Errors
    /// The system's error if they could not be moved out of their control group. They are killed
    /// when this is dropped then.
    pub fn leave(&mut self) -> io::Result<()> {
        self.process.leave()
    }

    /// Reaps the main program. Returns `None` while it runs, and the same answer each time
    /// afterwards. Does not block.
    ///
    /// From then on its process id may belong to another process.
    ///
    /// # Errors
    /// As [`exit`](Self::exit).
    pub fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.process.reap()
    }
}

#[cfg(feature = "tokio")]
impl Child {
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
        if self.readiness.is_none() {
            // SAFETY: the process keeps the descriptor open for as long as it exists, and it is
            // dropped after the registration.
            let new = unsafe { Readiness::new(self.process.exit_fd().as_fd(), Interest::READABLE) };
            self.readiness = Some(new?);
        }
        Ok(())
    }

    /// Polls for the main program to end and returns how it ended. Does not reap it, and gives the
    /// same answer when polled again.
    ///
    /// # Errors
    /// As [`exit`](Self::exit); also if the runtime is shutting down.
    pub fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Exit>> {
        self.register()?;
        let Self { readiness: Some(readiness), process } = self else { return Poll::Pending };
        loop {
            let mut ready = ready!(readiness.poll_readable(cx))?;
            match process.exit()? {
                Some(exit) => return Poll::Ready(Ok(exit)),
                // A wake-up without an end: wait for the next one.
                None => ready.clear_ready(),
            }
        }
    }
}
