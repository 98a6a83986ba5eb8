//! The sentinel: a small process that outlives the host by a moment, and takes its children along.
//!
//! It is a shell that reads from a pipe whose other end only the host holds. However the host ends,
//! the kernel closes that end. The shell is started like any child, forks once and leaves its copy
//! to the init process, so that the host has no child it does not know of. It lives in a session
//! of its own, holds none of the host's descriptors, and needs nothing but `/bin/sh`. With `cat` and
//! `grep` it looks around faster.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::process::Pid;

use super::child_setup::{ChildSetup, ExecImage};
use super::clone::{self, Placement};
use super::orphans::{self, OrphanFilter};
use super::reaper;
use crate::Launch;
use crate::sys::{common, pipes};

/// Held for as long as the children are to live.
#[derive(Debug)]
pub(super) struct Sentinel {
    /// Taken when it is dropped.
    lifeline: Option<OwnedFd>,
    session: Pid,
}

impl Drop for Sentinel {
    /// It ends now; a host that inherits orphans has its zombie.
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if orphans::come_to_us() {
            reaper::collect(OrphanFilter::of(self.session));
        }
    }
}

/// Goes to the background and waits there for the end of the lifeline.
const WAIT: &str = include_str!("sentinel/wait.sh");
/// Kills the control group `$1` and removes it.
const END_GROUP: &str = include_str!("sentinel/end_group.sh");
/// Kills those on the list and whoever carries the mark `$1`.
const END_ROSTER: &str = include_str!("sentinel/end_roster.sh");

impl Sentinel {
    pub(super) fn of_group(dir: &Path) -> io::Result<Self> {
        let null = pipes::dev_null()?;
        Self::start(END_GROUP, dir.as_os_str(), null)
    }

    pub(super) fn of_roster(roster: BorrowedFd<'_>, mark: &str) -> io::Result<Self> {
        Self::start(END_ROSTER, mark.as_ref(), roster)
    }

    /// The script finds `extra` as its descriptor 4.
    fn start(script: &str, argument: &OsStr, extra: BorrowedFd<'_>) -> io::Result<Self> {
        let mut launch = Launch::new("/bin/sh");
        let script = format!("{WAIT}{script}}} 2>/dev/null &\n");
        launch.args = vec!["sh".into(), "-c".into(), script.into()];
        launch.args.extend(["execution-sentinel".into(), argument.to_os_string()]);
        launch.env = vec![("PATH".into(), common::path())];
        launch.working_dir = Some("/".into());
        let (read, write) = pipes::pipe()?;
        let null = pipes::dev_null()?;
        let image = ExecImage::new(&launch).map_err(|error| error.source)?;
        let stdio = [read.as_raw_fd(), extra.as_raw_fd(), null.as_raw_fd()];
        let setup = ChildSetup::new(&image, stdio);
        let leader = clone::start(setup, Placement::Inherit).map_err(|error| error.source)?;
        // The first shell is done as soon as it has forked.
        let session = leader.pid();
        common::has_forked(leader.reap_now())?;
        Ok(Self { lifeline: Some(write), session })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// Nobody else has this id.
    const USER: &str = "--reuid=61833";

    /// The script as this user, once it is told to begin. It notes whenever it looks around.
    #[expect(clippy::disallowed_methods, reason = "it is looked at what the script does")]
    fn started(looks: &Path) -> io::Result<std::process::Child> {
        let begin =
            "exec 4</dev/null; cat() { echo >>\"$looks\"; command cat \"$@\"; }; read -r go";
        let mut command = Command::new("setpriv");
        command.args([USER, "--clear-groups", "sh", "-c", &format!("{begin}\n{END_ROSTER}")]);
        command.args(["execution-sentinel", "no-such-mark"]).env("looks", looks);
        command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child of nobody's engine")]
    fn it_does_not_wait_for_those_of_another_user_to_show_their_environment() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("SKIPPED: only root can become another user");
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let looks = home.path().join("looks");
        let Ok(mut script) = started(&looks) else {
            return eprintln!("SKIPPED: setpriv is not installed");
        };
        let mut younger = Command::new("sleep").arg("300").spawn().unwrap();
        script.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let ended = script.wait();
        younger.kill().unwrap();
        younger.wait().unwrap();
        assert!(ended.unwrap().success());
        let looks = fs::read_to_string(looks).unwrap().lines().count();
        assert!((1..10).contains(&looks), "{looks} looks, and nobody to be found");
    }
}
