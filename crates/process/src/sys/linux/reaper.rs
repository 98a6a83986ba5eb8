//! The background reaper: collects dropped children, so that they do not stay as zombies, removes
//! control groups that were not empty yet, and watches host guards. One thread, which ends when it
//! has nothing to do.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::cgroup::{self, ParentCgroup};
use super::host_guard::GuardWatch;
use super::leader::{Wait, wait};
use super::orphans::OrphanFilter;
use crate::host_process::HostProcess;

/// Pause between two attempts while a task has no descriptor to wait for.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for a descriptor, in case a change was not reported.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Time for which orphans of a killed tree are looked for.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(15);

static QUEUE: Mutex<WorkQueue> = Mutex::new(WorkQueue { incoming: Vec::new(), thread: None });

/// There was no room for the thread, and tasks wait for it.
static LACKS_THREAD: AtomicBool = AtomicBool::new(false);

/// Tasks that the thread has not taken yet.
struct WorkQueue {
    incoming: Vec<ReapTask>,
    thread: Option<ReaperThread>,
}

/// The thread that takes the tasks.
#[derive(Debug)]
struct ReaperThread {
    /// A process that was forked from this one has a copy of the queue, and no thread.
    process: HostProcess,
    /// Wakes it. Made for each thread: one that is shared with a fork wakes either. None for lack of
    /// a descriptor.
    event: Option<Arc<OwnedFd>>,
}

impl WorkQueue {
    fn has_thread(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.process.is_current())
    }

    /// Returns `true` in a fork of the process whose tasks these are.
    fn is_of_another_process(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.process.is_current())
    }

    /// Wakes the thread for a new task, or because a guard has to end.
    fn wake(&self) {
        if let Some(event) = self.thread.as_ref().and_then(|thread| thread.event.as_ref()) {
            // It can only fail because the counter is full, and then the thread is awake.
            let _written = rustix::io::write(event, &1_u64.to_ne_bytes());
        }
    }

    /// Returns the event of the running thread, which is made if it is not there yet.
    fn event(&mut self) -> Option<Arc<OwnedFd>> {
        let event = &mut self.thread.as_mut()?.event;
        if event.is_none() {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            *event = eventfd(0, flags).ok().map(Arc::new);
        }
        event.clone()
    }
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
        /// Reports the end of its last member. None for lack of a descriptor.
        events: Option<OwnedFd>,
        _parent: Option<Arc<ParentCgroup>>,
    },
    /// Lasts for as long as the guard is wanted.
    Watch(GuardWatch),
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
pub(super) fn remove(dir: PathBuf, events: Option<OwnedFd>, parent: Option<Arc<ParentCgroup>>) {
    submit(ReapTask::Remove { dir, events, _parent: parent });
}

/// Takes over the watch of a host guard.
pub(super) fn watch(guard: GuardWatch) {
    submit(ReapTask::Watch(guard));
}

fn submit(task: ReapTask) {
    let mut queue = lock();
    if queue.is_of_another_process() {
        // Its tasks stay its own: not even dropping them here would do no harm.
        std::mem::forget(std::mem::take(&mut queue.incoming));
        queue.thread = None;
    }
    queue.incoming.push(task);
    if queue.has_thread() {
        return queue.wake();
    }
    start_thread(&mut queue);
}

/// Wakes the thread, if there is one.
pub(super) fn wake() {
    lock().wake();
}

/// Starts the thread if tasks wait for one. Called with each new child.
pub(super) fn retry() {
    if LACKS_THREAD.load(Ordering::Relaxed) {
        let mut queue = lock();
        if !queue.has_thread() {
            start_thread(&mut queue);
        }
    }
}

fn start_thread(queue: &mut WorkQueue) {
    let thread = std::thread::Builder::new().name("execution-reaper".to_string());
    let is_started = thread.spawn(run).is_ok();
    let thread = ReaperThread { process: HostProcess::current(), event: None };
    queue.thread = is_started.then_some(thread);
    LACKS_THREAD.store(!is_started, Ordering::Relaxed);
}

fn run() {
    let mut tasks = Vec::new();
    loop {
        let event = {
            let mut queue = lock();
            tasks.append(&mut queue.incoming);
            if tasks.is_empty() {
                queue.thread = None;
                return;
            }
            queue.event()
        };
        tasks = tasks.into_iter().filter_map(ReapTask::attempt).collect();
        if !tasks.is_empty() {
            wait_for_one(&tasks, event.as_deref());
        }
    }
}

impl ReapTask {
    /// Returns the task if it is to be attempted again.
    fn attempt(mut self) -> Option<Self> {
        let is_done = match &mut self {
            Self::Reap { pidfd } => {
                let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
                let has_exited =
                    poll(&mut fds, Some(&Timespec::default())).map_or(true, |ready| ready > 0);
                // Done when it is reaped here, or by other code in the host.
                has_exited && !matches!(wait(pidfd.as_fd(), Wait::Collect), Ok(None))
            }
            Self::Collect { filter, until } => filter.reap() || Instant::now() > *until,
            Self::Remove { dir, events, .. } => {
                // Read before the attempt, so that a later change is reported.
                if let Some(events) = events {
                    let _seen = rustix::io::pread(events, &mut [0; 256], 0);
                }
                // Killed again, because the last time may have failed for lack of a descriptor.
                cgroup::kill_all(dir);
                // What this host has no rights to any more is left to the host guard, which has
                // those that the host had, and begins when the parent is dropped.
                cgroup::remove(dir).map_or_else(|error| is_denied(&error), |()| true)
            }
            Self::Watch(guard) => guard.is_done(),
        };
        (!is_done).then_some(self)
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        match self {
            Self::Reap { pidfd } => Some(PollFd::new(pidfd, PollFlags::IN)),
            Self::Remove { events, .. } => {
                events.as_ref().map(|events| PollFd::new(events, PollFlags::PRI))
            }
            Self::Watch(guard) => guard.poll_fd(),
            Self::Collect { .. } => None,
        }
    }

    /// Returns the longest wait before the next attempt; `None` if only a report matters.
    fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Reap { .. } | Self::Remove { events: Some(_), .. } => Some(MAX_WAIT),
            Self::Watch(guard) => guard.timeout(),
            Self::Collect { .. } | Self::Remove { events: None, .. } => Some(PAUSE),
        }
    }
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EROFS))
}

/// Waits until one of the tasks may be done, or a new one has come in.
fn wait_for_one(tasks: &[ReapTask], event: Option<&OwnedFd>) {
    let mut fds: Vec<_> = tasks.iter().filter_map(ReapTask::poll_fd).collect();
    // Nothing else reports a new task.
    let unreported = event.is_none().then_some(MAX_WAIT);
    let timeout = tasks.iter().filter_map(ReapTask::timeout).chain(unreported).min();
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    if let Some(event) = event {
        fds.push(PollFd::new(event, PollFlags::IN));
    }
    // Interrupted or not, everything is attempted next.
    let polled = poll(&mut fds, timeout.as_ref());
    let is_closed = |fd: &PollFd<'_>| fd.revents().contains(PollFlags::NVAL);
    if polled.is_err_and(|error| error != Errno::INTR) || fds.iter().any(is_closed) {
        // A sandbox refuses the call, or the host has closed descriptors that are not its own.
        std::thread::park_timeout(PAUSE);
    }
    if let Some(event) = event {
        let _woken = rustix::io::read(event, &mut [0; 8]);
    }
}

fn lock() -> MutexGuard<'static, WorkQueue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
