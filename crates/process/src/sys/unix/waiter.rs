//! A thread for each child that waits for its exit, because not every system has a descriptor for
//! that. It waits without reaping and writes to a pipe. It reaps a child that is handed over while
//! it still runs.

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

/// The thread makes a few system calls.
const STACK_BYTES: usize = 64 * 1024;

/// Thread that has no child to wait for yet. It ends when this is dropped.
pub(super) struct WaiterThread {
    watch: ExitWatch,
    assign: SyncSender<Pid>,
}

/// The host's side of a thread that waits for one child.
#[derive(Debug, Clone)]
pub(super) struct ExitWatch {
    /// Readable when the child has exited.
    fd: Arc<OwnedFd>,
    phase: Arc<Mutex<WaiterPhase>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaiterPhase {
    Waiting,
    /// The thread reaps the child; the host does not.
    HandedOver,
    /// The thread does nothing any more.
    Done,
}

impl WaiterThread {
    /// Starts the thread and waits until it runs. It comes before the child: a program that runs
    /// cannot be refused for lack of a thread, and a second attempt would run it twice.
    pub(super) fn start() -> io::Result<Self> {
        let (read, write) = pipes::pipe()?;
        let watch =
            ExitWatch { fd: Arc::new(read), phase: Arc::new(Mutex::new(WaiterPhase::Waiting)) };
        let (assign, assigned) = sync_channel(1);
        let (started, has_started) = sync_channel(1);
        let its_own = watch.clone();
        let builder = thread::Builder::new().name("execution-waiter".to_string());
        builder.stack_size(STACK_BYTES).spawn(move || {
            let _received = started.send(());
            its_own.run(&assigned, write);
        })?;
        // Without memory a thread can die before it comes to this.
        has_started.recv().map_err(|_| io::Error::from(Errno::AGAIN))?;
        Ok(Self { watch, assign })
    }

    pub(super) fn watch(self, pid: Pid) -> ExitWatch {
        // It can only fail if the thread has ended, which it does not before it has received an id.
        let _received = self.assign.send(pid);
        self.watch
    }
}

impl ExitWatch {
    pub(super) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Lets the thread reap the child. Returns `false` if it has seen the exit already and will
    /// not.
    pub(super) fn hand_over(&self) -> bool {
        let mut phase = self.lock();
        if *phase == WaiterPhase::Waiting {
            *phase = WaiterPhase::HandedOver;
        }
        *phase == WaiterPhase::HandedOver
    }

    fn run(self, assigned: &Receiver<Pid>, write: OwnedFd) {
        let Ok(pid) = assigned.recv() else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // Any other error means that other code in the host has reaped the child.
        while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
        let mut phase = self.lock();
        if *phase == WaiterPhase::HandedOver {
            let _reaped = collect(pid);
        }
        *phase = WaiterPhase::Done;
        drop(phase);
        // This thread has the reading end, too, so that the pipe cannot be broken, and no SIGPIPE
        // comes. There is room for a byte.
        let _written = File::from(write).write_all(b"0");
    }

    fn lock(&self) -> MutexGuard<'_, WaiterPhase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
