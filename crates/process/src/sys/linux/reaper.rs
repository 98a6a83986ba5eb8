//! The background reaper: collects children that nobody waits for any more, so that they do not
//! stay as zombies, and removes control groups that were not empty yet. One thread, which ends when
//! it has nothing to do.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::cgroup::{self, ParentCgroup};
use super::leader::{Wait, wait};
use super::orphans::OrphanFilter;

/// How soon to look again for those that cannot be waited for yet.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How soon to look again for those that hang, in case their end was not told.
const LATER: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How long orphans of a killed tree are looked for.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(15);

/// The work that has come in, and whether the thread is there.
static QUEUE: Mutex<WorkQueue> = Mutex::new(WorkQueue { incoming: Vec::new(), attended: false });

struct WorkQueue {
    incoming: Vec<ReapTask>,
    attended: bool,
}

enum ReapTask {
    Reap {
        pidfd: OwnedFd,
    },
    /// The zombies that a tree leaves to a host which inherits orphans.
    Collect {
        kin: OrphanFilter,
        until: Instant,
    },
    /// The parent stays for as long as one of its groups does.
    Remove {
        dir: PathBuf,
        events: OwnedFd,
        _parent: Option<Arc<ParentCgroup>>,
    },
}

/// Takes over a child that has been killed, or an orphan that may become a child.
pub(super) fn reap(pidfd: OwnedFd) {
    hand_in(ReapTask::Reap { pidfd });
}

/// Takes over the zombies of a tree.
pub(super) fn collect(kin: OrphanFilter) {
    hand_in(ReapTask::Collect { kin, until: Instant::now() + ORPHANS_PATIENCE });
}

/// Takes over a control group whose members have been killed.
pub(super) fn remove(dir: PathBuf, events: OwnedFd, parent: Arc<ParentCgroup>) {
    hand_in(ReapTask::Remove { dir, events, _parent: Some(parent) });
}

/// The same for the group of all groups.
pub(super) fn remove_last(dir: PathBuf, events: OwnedFd) {
    hand_in(ReapTask::Remove { dir, events, _parent: None });
}

fn hand_in(task: ReapTask) {
    let mut queue = lock();
    queue.incoming.push(task);
    if queue.attended {
        ring();
        return;
    }
    let thread = std::thread::Builder::new().name("execution-reaper".to_string());
    // Without a thread it waits until the next one is handed in.
    queue.attended = thread.spawn(run).is_ok();
}

fn run() {
    let mut tasks = Vec::new();
    loop {
        {
            let mut queue = lock();
            tasks.append(&mut queue.incoming);
            if tasks.is_empty() {
                queue.attended = false;
                return;
            }
        }
        let mut rest = Vec::with_capacity(tasks.len());
        for task in tasks.drain(..) {
            rest.extend(task.attempt());
        }
        tasks = rest;
        if !tasks.is_empty() {
            wait_for_one(&tasks);
        }
    }
}

impl ReapTask {
    /// None when it is done for good.
    fn attempt(self) -> Option<Self> {
        let is_done = match &self {
            Self::Reap { pidfd } => {
                let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
                let has_ended =
                    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
                // Gone for good when reaped here, or by somebody else.
                has_ended && !matches!(wait(pidfd.as_fd(), Wait::Collect), Ok(None))
            }
            Self::Collect { kin, until } => kin.reap() || Instant::now() > *until,
            Self::Remove { dir, events, .. } => {
                // Read before the attempt, so that a change behind it is told.
                let _seen = rustix::io::pread(events, &mut [0; 256], 0);
                // Again, because the last time may have failed for want of a descriptor.
                cgroup::kill_all(dir);
                cgroup::remove(dir).is_ok()
            }
        };
        (!is_done).then_some(self)
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        match self {
            Self::Reap { pidfd } => Some(PollFd::new(pidfd, PollFlags::IN)),
            Self::Remove { events, .. } => Some(PollFd::new(events, PollFlags::PRI)),
            Self::Collect { .. } => None,
        }
    }
}

/// Killed children end within moments.
fn wait_for_one(tasks: &[ReapTask]) {
    let mut fds: Vec<_> = tasks.iter().filter_map(ReapTask::poll_fd).collect();
    let limit = if fds.len() < tasks.len() { SOON } else { LATER };
    if let Ok(bell) = bell() {
        fds.push(PollFd::new(bell, PollFlags::IN));
    }
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

fn lock() -> MutexGuard<'static, WorkQueue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
