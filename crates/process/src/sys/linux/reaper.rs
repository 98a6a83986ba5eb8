//! The background reaper: collects children that nobody waits for any more, so that they do not
//! stay as zombies, and removes control groups that were not empty yet. One thread, which ends when
//! it has nothing to do.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::cgroup::{self, Parent};

/// The work that has come in, and whether the thread is there.
static DESK: Mutex<Desk> = Mutex::new(Desk { incoming: Vec::new(), attended: false });

struct Desk {
    incoming: Vec<Chore>,
    attended: bool,
}

enum Chore {
    Reap {
        pid: Pid,
        pidfd: OwnedFd,
    },
    /// The parent stays for as long as one of its groups does.
    Remove {
        dir: PathBuf,
        events: OwnedFd,
        _parent: Option<Arc<Parent>>,
    },
}

/// Takes over a child that has been killed.
pub(super) fn reap(pid: Pid, pidfd: OwnedFd) {
    hand_in(Chore::Reap { pid, pidfd });
}

/// Takes over a control group whose members have been killed.
pub(super) fn remove(dir: PathBuf, events: OwnedFd, parent: Arc<Parent>) {
    hand_in(Chore::Remove { dir, events, _parent: Some(parent) });
}

/// The same for the group of all groups.
pub(super) fn remove_last(dir: PathBuf, events: OwnedFd) {
    hand_in(Chore::Remove { dir, events, _parent: None });
}

fn hand_in(chore: Chore) {
    let mut desk = lock();
    desk.incoming.push(chore);
    if desk.attended {
        ring();
        return;
    }
    let thread = std::thread::Builder::new().name("execution-reaper".to_string());
    // Without a thread it waits until the next one is handed in.
    desk.attended = thread.spawn(run).is_ok();
}

fn run() {
    let mut chores = Vec::new();
    loop {
        {
            let mut desk = lock();
            chores.append(&mut desk.incoming);
            if chores.is_empty() {
                desk.attended = false;
                return;
            }
        }
        let mut rest = Vec::with_capacity(chores.len());
        for chore in chores.drain(..) {
            rest.extend(chore.attempt());
        }
        chores = rest;
        if !chores.is_empty() {
            wait_for_one(&chores);
        }
    }
}

impl Chore {
    /// None when it is done for good.
    fn attempt(self) -> Option<Self> {
        let is_done = match &self {
            Self::Reap { pid, .. } => {
                let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                // Gone for good when reaped here, or by somebody else.
                !matches!(waitid(WaitId::Pid(*pid), look), Ok(None))
            }
            Self::Remove { dir, events, .. } => {
                // Read before the attempt, so that a change behind it is told.
                let _seen = rustix::io::pread(events, &mut [0; 256], 0);
                cgroup::remove(dir).is_ok()
            }
        };
        (!is_done).then_some(self)
    }

    fn poll_fd(&self) -> PollFd<'_> {
        match self {
            Self::Reap { pidfd, .. } => PollFd::new(pidfd, PollFlags::IN),
            Self::Remove { events, .. } => PollFd::new(events, PollFlags::PRI),
        }
    }
}

/// Killed children end within moments. Those that hang in the kernel are looked at each second,
/// too, in case their end was not told.
fn wait_for_one(chores: &[Chore]) {
    let mut fds: Vec<_> = chores.iter().map(Chore::poll_fd).collect();
    if let Ok(bell) = bell() {
        fds.push(PollFd::new(bell, PollFlags::IN));
    }
    let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
    // Interrupted or not, everything is attempted next.
    let _ready = poll(&mut fds, Some(&limit));
    if let Ok(bell) = bell() {
        let _rung = rustix::io::read(bell, &mut [0; 8]);
    }
}

/// Wakes the thread for work that has come in.
fn ring() {
    if let Ok(bell) = bell() {
        // It can only fail because it has been rung very often already.
        let _rung = rustix::io::write(bell, &1_u64.to_ne_bytes());
    }
}

fn bell() -> io::Result<&'static OwnedFd> {
    static BELL: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(bell) = BELL.get() {
        return Ok(bell);
    }
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok(BELL.get_or_init(|| bell))
}

fn lock() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}
