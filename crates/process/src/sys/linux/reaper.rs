//! The background reaper: collects dropped children, so that they do not stay as zombies, and
//! removes control groups that were not empty yet. One thread, which ends when it has nothing to
//! do.

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

/// Pause between two attempts while a task has no descriptor to wait for.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// Longest wait for a descriptor, in case a change was not reported.
const MAX_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Time for which orphans of a killed tree are looked for.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(15);

static QUEUE: Mutex<WorkQueue> = Mutex::new(WorkQueue { incoming: Vec::new(), has_thread: false });

/// Tasks that the thread has not taken yet.
struct WorkQueue {
    incoming: Vec<ReapTask>,
    has_thread: bool,
}

/// Work that is attempted until it is done.
enum ReapTask {
    Reap {
        pidfd: OwnedFd,
    },
    /// Collects the zombies that a tree leaves to a host which inherits orphans.
    Collect {
        filter: OrphanFilter,
        until: Instant,
    },
    /// Removes a control group. The parent stays for as long as one of its groups does.
    Remove {
        dir: PathBuf,
        events: OwnedFd,
        _parent: Option<Arc<ParentCgroup>>,
    },
}

/// Takes over a child that has been killed, or an orphan that may become a child.
pub(super) fn reap(pidfd: OwnedFd) {
    submit(ReapTask::Reap { pidfd });
}

/// Takes over the zombies of a tree.
pub(super) fn collect(filter: OrphanFilter) {
    submit(ReapTask::Collect { filter, until: Instant::now() + ORPHAN_TIMEOUT });
}

/// Takes over a control group whose members have been killed. `parent` is `None` for the group of
/// all groups itself.
pub(super) fn remove(dir: PathBuf, events: OwnedFd, parent: Option<Arc<ParentCgroup>>) {
    submit(ReapTask::Remove { dir, events, _parent: parent });
}

fn submit(task: ReapTask) {
    let mut queue = lock();
    queue.incoming.push(task);
    if queue.has_thread {
        wake();
        return;
    }
    let thread = std::thread::Builder::new().name("execution-reaper".to_string());
    // Without a thread the task waits until the next one is submitted.
    queue.has_thread = thread.spawn(run).is_ok();
}

fn run() {
    let mut tasks = Vec::new();
    loop {
        {
            let mut queue = lock();
            tasks.append(&mut queue.incoming);
            if tasks.is_empty() {
                queue.has_thread = false;
                return;
            }
        }
        tasks = tasks.into_iter().filter_map(ReapTask::attempt).collect();
        if !tasks.is_empty() {
            wait_for_one(&tasks);
        }
    }
}

impl ReapTask {
    /// Returns the task if it is to be attempted again.
    fn attempt(self) -> Option<Self> {
        let is_done = match &self {
            Self::Reap { pidfd } => {
                let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
                let has_exited =
                    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
                // Done when it is reaped here, or by other code in the host.
                has_exited && !matches!(wait(pidfd.as_fd(), Wait::Collect), Ok(None))
            }
            Self::Collect { filter, until } => filter.reap() || Instant::now() > *until,
            Self::Remove { dir, events, .. } => {
                // Read before the attempt, so that a later change is reported.
                let _seen = rustix::io::pread(events, &mut [0; 256], 0);
                // Killed again, because the last time may have failed for want of a descriptor.
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

/// Waits until one of the tasks may be done, or a new one has come in.
fn wait_for_one(tasks: &[ReapTask]) {
    let mut fds: Vec<_> = tasks.iter().filter_map(ReapTask::poll_fd).collect();
    let timeout = if fds.len() < tasks.len() { POLL_INTERVAL } else { MAX_WAIT };
    if let Ok(event) = wake_event() {
        fds.push(PollFd::new(event, PollFlags::IN));
    }
    // Interrupted or not, everything is attempted next.
    let _ready = poll(&mut fds, Some(&timeout));
    if let Ok(event) = wake_event() {
        let _woken = rustix::io::read(event, &mut [0; 8]);
    }
}

/// Wakes the thread for a new task.
fn wake() {
    if let Ok(event) = wake_event() {
        // It can only fail because the counter is full, and then the thread is awake.
        let _written = rustix::io::write(event, &1_u64.to_ne_bytes());
    }
}

fn wake_event() -> io::Result<&'static OwnedFd> {
    static EVENT: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(event) = EVENT.get() {
        return Ok(event);
    }
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok(EVENT.get_or_init(|| event))
}

fn lock() -> MutexGuard<'static, WorkQueue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
