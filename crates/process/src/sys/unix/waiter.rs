//! A thread for each child that waits for its end, because there is no descriptor for that on every
//! system. It looks without reaping, and tells by a pipe. A child that is given up while it lives it
//! also reaps.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::leader::collect;
use crate::sys::pipes;

/// It makes a few system calls.
const STACK: usize = 64 * 1024;

/// A thread that has not been told yet for whom to wait. Dropped, it ends.
pub(super) struct Waiter {
    watch: Watch,
    assign: SyncSender<Pid>,
}

/// What the host has of a thread that waits.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    /// Readable when the child has ended.
    told: Arc<OwnedFd>,
    phase: Arc<Mutex<Phase>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waits,
    /// The host does not reap it any more.
    GivenUp,
    /// The thread does nothing any more.
    Done,
}

impl Waiter {
    pub(super) fn hire() -> io::Result<Self> {
        let (told, tell) = pipes::pipe()?;
        let watch = Watch { told: Arc::new(told), phase: Arc::new(Mutex::new(Phase::Waits)) };
        let (assign, assigned) = sync_channel(1);
        let (report, reported) = sync_channel(1);
        let its_own = watch.clone();
        thread::Builder::new().name("execution-waiter".to_string()).stack_size(STACK).spawn(
            move || {
                let _reported = report.send(());
                its_own.run(&assigned, tell);
            },
        )?;
        // Without memory a thread can also die before it comes to this.
        reported.recv().map_err(|_| io::Error::from(Errno::AGAIN))?;
        Ok(Self { watch, assign })
    }

    pub(super) fn watch(self, pid: Pid) -> Watch {
        // It can only fail if the thread has ended, which it does not before it is told.
        let _assigned = self.assign.send(pid);
        self.watch
    }
}

impl Watch {
    pub(super) fn told(&self) -> &Arc<OwnedFd> {
        &self.told
    }

    /// Lets the thread reap the child. False if it has seen its end already and will not.
    pub(super) fn give_up(&self) -> bool {
        let mut phase = self.lock();
        if *phase == Phase::Waits {
            *phase = Phase::GivenUp;
        }
        *phase == Phase::GivenUp
    }

    fn run(self, assigned: &Receiver<Pid>, tell: OwnedFd) {
        let Ok(pid) = assigned.recv() else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // Any other error is that it is gone: somebody else has reaped it.
        while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
        let mut phase = self.lock();
        if *phase == Phase::GivenUp {
            let _reaped = collect(pid);
        }
        *phase = Phase::Done;
        drop(phase);
        // This thread has the reading end, too, so that the pipe cannot be broken, and no SIGPIPE
        // comes. There is room for a byte.
        let _told = File::from(tell).write_all(b"0");
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
