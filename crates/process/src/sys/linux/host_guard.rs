//! Starts the host guard like any child and drops it with the containment that owns it.
//!
//! It leads a session of its own and holds none of the host's descriptors.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::process::Pid;

use super::child_setup::{ChildSetup, Isolation};
use super::clone::{self, Placement};
use super::orphans::{self, OrphanFilter};
use super::reaper;
use crate::sys::exec_image::ExecImage;
use crate::sys::host_guard::{self, END_CGROUP, END_GROUPS};
use crate::sys::pipes;

/// Host guard of one containment. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct HostGuard {
    /// Taken by the drop.
    lifeline: Option<OwnedFd>,
    session: Pid,
}

impl Drop for HostGuard {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // A host that inherits orphans has the guard's zombie.
        if orphans::come_to_us() {
            reaper::collect(OrphanFilter::of(self.session));
        }
    }
}

impl HostGuard {
    /// Starts the guard of a control group. `None` where it cannot be started.
    pub(super) fn of_cgroup(dir: &Path) -> io::Result<Option<Self>> {
        let start = |null| Self::start(END_CGROUP, dir.as_os_str(), null);
        host_guard::or_warn(pipes::dev_null().and_then(start))
    }

    /// Starts the guard of the processes on a list and those with a marker. `None` where it cannot
    /// be started.
    pub(super) fn of_pid_list(list: BorrowedFd<'_>, marker: &str) -> io::Result<Option<Self>> {
        host_guard::or_warn(Self::start(END_GROUPS, marker.as_ref(), list))
    }

    fn start(script: &str, argument: &OsStr, list: BorrowedFd<'_>) -> io::Result<Self> {
        let mut session = None;
        let (_, lifeline) = host_guard::start(script, argument, list, |launch, stdio| {
            let image = ExecImage::new(launch, None).map_err(|error| error.source)?;
            let setup = ChildSetup::new(&image, stdio, Isolation::Session);
            let shell = clone::start(setup, Placement::Inherit).map_err(|error| error.source)?;
            session = Some(shell.pid());
            Ok(shell.reap_now())
        })?;
        let session = session.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { lifeline: Some(lifeline), session })
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
        command.args(["execution-host-guard", "no-such-mark"]).env("searches", searches);
        command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()
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
