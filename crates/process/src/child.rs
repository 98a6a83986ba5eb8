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

/// A running program and the processes that come from it.
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

    /// The process id of the main program.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A descriptor that is readable from the moment the main program has ended.
    pub fn exit_fd(&self) -> BorrowedFd<'_> {
        self.process.exit_fd().as_fd()
    }

    /// How the main program ended; None while it runs. Never blocks and does not reap.
    ///
    /// # Errors
    /// What the system says; never because somebody else reaped the child, which is
    /// [`Exit::Unknown`].
    pub fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.process.exit()
    }

    /// Who of the tree is alive now. Never blocks.
    ///
    /// # Errors
    /// What the system says if it cannot be examined.
    pub fn tree(&mut self) -> io::Result<Tree> {
        self.process.tree()
    }

    /// Sends a signal to every living member and says how many got it.
    ///
    /// # Errors
    /// What the system says if it cannot be examined, or if no member could be signalled.
    pub fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        self.process.signal(signal)
    }

    /// Lets every member stand still.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn pause(&mut self) -> io::Result<()> {
        self.process.pause()
    }

    /// Lets every member go on.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn resume(&mut self) -> io::Result<()> {
        self.process.resume()
    }

    /// CPU time that the main program itself has used so far, without its children; None where the
    /// system does not tell, and once it is reaped.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.process.cpu_time()
    }

    /// What the whole tree has used so far; None where the system does not count that.
    pub fn tree_usage(&self) -> Option<TreeUsage> {
        self.process.tree_usage()
    }

    /// Gives up those that are still alive: they live on, and dropping this child kills nobody.
    /// The main program must have ended.
    ///
    /// # Errors
    /// What the system says if they could not be moved out of their control group. They are killed
    /// when this is dropped then.
    pub fn leave(&mut self) -> io::Result<()> {
        self.process.leave()
    }

    /// Collects the main program: None while it lives, afterwards always the same answer. Never
    /// blocks.
    ///
    /// # Errors
    /// As [`exit`](Self::exit).
    pub fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.process.reap()
    }
}

#[cfg(feature = "tokio")]
impl Child {
    /// Registers the end of the main program with the reactor of the current tokio runtime; once is
    /// enough. A child that was not registered is when it is first polled.
    ///
    /// # Errors
    /// The system's error if it has no room for another registration. The child is as before.
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

    /// Polls for the main program to end, and returns how it ended. Does not reap it, and gives the
    /// same answer when it is polled again.
    ///
    /// # Errors
    /// As [`exit`](Self::exit); an error if the runtime is shutting down.
    pub fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Exit>> {
        self.register()?;
        let Self { readiness: Some(readiness), process } = self else { return Poll::Pending };
        loop {
            let mut ready = ready!(readiness.poll_readable(cx))?;
            match process.exit()? {
                Some(exit) => return Poll::Ready(Ok(exit)),
                // Woken for nothing.
                None => ready.clear_ready(),
            }
        }
    }
}
