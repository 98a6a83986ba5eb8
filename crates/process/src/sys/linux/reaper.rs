//! The background reaper: collects children that nobody waits for any more, so that they do not
//! stay as zombies. One thread, which ends when it has nothing to do.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Children to collect; `Some` while the thread runs.
static ORPHANS: Mutex<Option<Vec<Orphan>>> = Mutex::new(None);

struct Orphan {
    pid: Pid,
    pidfd: OwnedFd,
}

/// Takes over a child that has been killed.
pub(super) fn adopt(pid: Pid, pidfd: OwnedFd) {
    let mut orphans = lock();
    let orphan = Orphan { pid, pidfd };
    match &mut *orphans {
        Some(waiting) => waiting.push(orphan),
        idle => {
            *idle = Some(vec![orphan]);
            let thread = std::thread::Builder::new().name("execution-reaper".to_string());
            if thread.spawn(run).is_err() {
                // Without a thread it stays a zombie until the next one is adopted.
                *idle = None;
            }
        }
    }
}

fn run() {
    let mut waiting = Vec::new();
    loop {
        {
            let mut orphans = lock();
            waiting.append(orphans.get_or_insert_default());
            if waiting.is_empty() {
                *orphans = None;
                return;
            }
        }
        wait_for_one(&waiting);
        waiting.retain(|orphan: &Orphan| {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            // Gone for good when reaped here, or by somebody else.
            matches!(waitid(WaitId::Pid(orphan.pid), look), Ok(None))
        });
    }
}

/// Killed children end within moments; the time limit is for those that are adopted meanwhile.
fn wait_for_one(waiting: &[Orphan]) {
    let mut fds: Vec<_> =
        waiting.iter().map(|orphan| PollFd::new(&orphan.pidfd, PollFlags::IN)).collect();
    let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    // Interrupted or not, the children are asked next.
    let _ready = poll(&mut fds, Some(&limit));
}

fn lock() -> MutexGuard<'static, Option<Vec<Orphan>>> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}
