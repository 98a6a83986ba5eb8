//! Starts the host guard like any child, has it watched by the reaper thread, and drops it with the
//! containment that owns it.
//!
//! It leads a session of its own and holds none of the host's descriptors. Only the guard has the
//! reading end of its lifeline, so the kernel tells the writing end when the guard has ended.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Pid;

use super::child_setup::{ChildSetup, Isolation};
use super::clone::{self, Placement};
use super::kept_root::{self, KeptRoot};
use super::marker::unmarked_limit;
use super::orphans::{self, OrphanFilter};
use super::reaper;
use crate::sys::common::Warnings;
use crate::sys::exec_image::ExecImage;
use crate::sys::host_guard::{self, END_CGROUP, END_GROUPS, RestartPause};
use crate::sys::pipes;

/// Host guard of one containment. It is made again if it is killed, and ends when this is dropped.
#[derive(Debug)]
pub(super) struct HostGuard {
    /// Taken by the drop.
    watched: Option<Arc<Watched>>,
}

/// What the owner of a guard and its watch share.
#[derive(Debug)]
struct Watched {
    ends: Ends,
    /// Where the guard looks for what it ends.
    _root: KeptRoot,
    /// `None` while there is no guard.
    shell: Mutex<Option<GuardShell>>,
}

/// What a guard ends when the host has died.
#[derive(Debug)]
enum Ends {
    Cgroup(PathBuf),
    /// The processes on a list, and those whose markers begin like these.
    Listed(Arc<OwnedFd>, [String; 2]),
}

/// Whether the start of a guard is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GuardStart {
    /// It is there before a program runs.
    Before,
    /// Its shell is being executed, and programs run meanwhile. From that moment on it needs nothing
    /// of its host: if that dies, the shell reads the end of its lifeline.
    Beside,
}

/// One guard process.
#[derive(Debug)]
struct GuardShell {
    lifeline: Arc<OwnedFd>,
    session: Pid,
    begun: Instant,
}

impl Drop for HostGuard {
    fn drop(&mut self) {
        drop(self.watched.take());
        // The thread that watches the lifeline has it, too.
        reaper::wake();
    }
}

impl Drop for GuardShell {
    fn drop(&mut self) {
        // A host that inherits orphans has the guard's zombie.
        if orphans::come_to_us() {
            reaper::collect(OrphanFilter::of(self.session));
        }
    }
}

impl HostGuard {
    /// Starts the guard of a control group. `None` where it cannot be started.
    pub(super) fn of_cgroup(
        dir: &Path,
        start: GuardStart,
        warnings: &mut Warnings,
    ) -> io::Result<Option<Self>> {
        Self::of(Ends::Cgroup(dir.to_path_buf()), start, warnings)
    }

    /// Starts the guard of the processes on a list and those whose markers begin like these. `None`
    /// where it cannot be started.
    pub(super) fn of_pid_list(
        list: Arc<OwnedFd>,
        markers: [String; 2],
        start: GuardStart,
        warnings: &mut Warnings,
    ) -> io::Result<Option<Self>> {
        Self::of(Ends::Listed(list, markers), start, warnings)
    }

    fn of(ends: Ends, start: GuardStart, warnings: &mut Warnings) -> io::Result<Option<Self>> {
        let shell = host_guard::or_warn(ends.start_shell(start), warnings)?;
        let Some(shell) = shell else { return Ok(None) };
        let watched =
            Arc::new(Watched { ends, _root: KeptRoot::keep(), shell: Mutex::new(Some(shell)) });
        reaper::watch(GuardWatch::new(&watched));
        Ok(Some(Self { watched: Some(watched) }))
    }
}

impl Watched {
    /// Returns how long the guard has lived, if it has ended, and forgets it.
    fn take_ended(&self) -> rustix::io::Result<Option<Duration>> {
        let mut shell = self.lock();
        let Some(present) = &*shell else { return Ok(None) };
        let mut fds = [PollFd::new(&present.lifeline, PollFlags::empty())];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            polled => polled?,
        };
        let lived = present.begun.elapsed();
        let ended = shell.take();
        drop(shell);
        drop(ended);
        Ok(Some(lived))
    }

    fn lifeline(&self) -> Option<Arc<OwnedFd>> {
        self.lock().as_ref().map(|shell| Arc::clone(&shell.lifeline))
    }

    fn lock(&self) -> MutexGuard<'_, Option<GuardShell>> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ends {
    fn start_shell(&self, wait: GuardStart) -> io::Result<GuardShell> {
        match self {
            Self::Cgroup(dir) => {
                let dir = dir.strip_prefix("/").unwrap_or(dir);
                start(END_CGROUP, &[dir.as_os_str()], pipes::dev_null()?, wait)
            }
            Self::Listed(list, markers) => {
                start(END_GROUPS, &markers.each_ref().map(AsRef::as_ref), list.as_fd(), wait)
            }
        }
    }
}

fn start(
    script: &str,
    arguments: &[&OsStr],
    list: BorrowedFd<'_>,
    wait: GuardStart,
) -> io::Result<GuardShell> {
    let mut session = None;
    let null = pipes::dev_null()?;
    let root = kept_root::dir()?;
    let (_, lifeline) = host_guard::start(script, arguments, [list, null], |launch, stdio| {
        let image = ExecImage::new(launch, None).map_err(|error| error.source)?;
        let mut setup = ChildSetup::new(&image, stdio, Isolation::Session);
        // The host may belong to a tree itself, whose end the guard must see.
        setup.mark(unmarked_limit());
        // The host may have changed its root directory, and the guard's is the same.
        setup.enter(Some(root.as_fd()));
        let mut shell = clone::start(setup, Placement::Inherit).map_err(|error| error.source)?;
        session = Some(shell.pid());
        if wait == GuardStart::Before {
            return Ok(shell.reap_now());
        }
        shell.reap_later();
        Ok(None)
    })?;
    let session = session.ok_or(io::ErrorKind::NotFound)?;
    Ok(GuardShell { lifeline: Arc::new(lifeline), session, begun: Instant::now() })
}

/// Watch over one guard, which the reaper thread keeps.
#[derive(Debug)]
pub(super) struct GuardWatch {
    watched: Weak<Watched>,
    /// That of the guard that was there at the last look.
    lifeline: Option<Arc<OwnedFd>>,
    pause: RestartPause,
    /// Moment from which on another guard may be started.
    due: Instant,
}

impl GuardWatch {
    fn new(watched: &Arc<Watched>) -> Self {
        let watched = Arc::downgrade(watched);
        Self { watched, lifeline: None, pause: RestartPause::default(), due: Instant::now() }
    }

    /// Starts another guard if this one has ended and it is time. Returns `true` if there is nothing
    /// to watch any more.
    pub(super) fn is_done(&mut self) -> bool {
        // A guard that has to end must not be kept by its watch.
        self.lifeline = None;
        let Some(watched) = self.watched.upgrade() else { return true };
        let ended = watched.take_ended();
        if let Ok(Some(lived)) = ended {
            self.due = Instant::now() + self.pause.next(lived);
        }
        if watched.lifeline().is_none() && self.due <= Instant::now() {
            match host_guard::replaced(watched.ends.start_shell(GuardStart::Before)) {
                None => self.due = Instant::now() + self.pause.next(Duration::ZERO),
                shell => *watched.lock() = shell,
            }
        }
        self.lifeline = watched.lifeline();
        // A sandbox may refuse the look.
        ended.is_err()
    }

    /// Returns what reports the end of the guard.
    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        // Its error, which need not be asked for, is that it has no reader.
        Some(PollFd::new(self.lifeline.as_ref()?, PollFlags::empty()))
    }

    /// Returns how long there is nothing to do, if no guard is there.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.lifeline.is_none().then(|| self.due.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// No other process has this user id.
    const USER: &str = "--reuid=61833";

    /// Starts the script as [`USER`]; it begins with the first line of input and notes each search.
    #[expect(clippy::disallowed_methods, reason = "the script itself is examined")]
    fn started(searches: &Path) -> io::Result<std::process::Child> {
        let begin = "exec 3</dev/null 4</dev/null; \
                     grep() { echo >>\"$searches\"; command grep \"$@\"; }; read -r go";
        let mut command = Command::new("setpriv");
        command.args([USER, "--clear-groups", "sh", "-c", &format!("{begin}\n{END_GROUPS}")]);
        command
            .args(["execution-host-guard", "no-such-mark", "12345678901"])
            .env("searches", searches);
        command.current_dir("/").stdin(Stdio::piped()).stderr(Stdio::null()).spawn()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the child belongs to no engine")]
    fn unreadable_environments_of_another_user_are_not_waited_for() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("SKIPPED: only root can become another user");
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let searches = home.path().join("searches");
        let Ok(mut script) = started(&searches) else {
            return eprintln!("SKIPPED: setpriv is not installed");
        };
        let mut younger = Command::new("sleep").arg("300").spawn().unwrap();
        script.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let ended = script.wait();
        younger.kill().unwrap();
        younger.wait().unwrap();
        assert!(ended.unwrap().success());
        let searches = fs::read_to_string(searches).unwrap().lines().count();
        assert!((1..10).contains(&searches), "{searches} searches, and no process to be found");
    }
}
