//! The host guard: a small process that outlives the host by a moment and kills what the host has
//! left.
//!
//! It is a shell that reads from a pipe whose writing end only the host holds (the lifeline).
//! However the host ends, the kernel closes that end. Parent-death signals would not do: they come
//! when the thread that made a child ends, and reach no grandchild. The shell needs `/bin/sh`
//! alone; with `grep` and `sleep` it works faster. A guard that ends before its host is made again.
//! This module has what the backends share: the scripts, how the shell goes to the background, and
//! when it is made again.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::common::Warnings;
use super::pipes;
use crate::error::is_transient;
use crate::{Exit, Launch};

/// Kills the control group `$1` and removes it. Its paths, and those of the other script, begin at
/// the working directory, which may be another root directory than that of the shell.
#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
pub(super) const END_CGROUP: &str = include_str!("host_guard/end_cgroup.sh");
/// Kills the listed process groups, their descendants, and the processes with one of the markers
/// `$1` and `$2`.
pub(super) const END_GROUPS: &str = include_str!("host_guard/end_groups.sh");

/// Starts a host guard with `run`, which executes a launch with three descriptors and returns how
/// that process exited. The script reads the lifeline as descriptor 3 and the first of `files` as
/// descriptor 4; it holds the other as descriptor 5 until it ends. Returns the reading and the
/// writing end of the lifeline.
///
/// The first shell forks once and exits, so that init inherits the guard, and the host has no
/// child that it does not know of.
pub(super) fn start(
    script: &str,
    arguments: &[&OsStr],
    files: [BorrowedFd<'_>; 2],
    run: impl FnOnce(&Launch, [RawFd; 3]) -> io::Result<Option<Exit>>,
) -> io::Result<(OwnedFd, OwnedFd)> {
    // The shell opens it by this name, which is not below every root directory.
    let named = |error| io::Error::new(error, "/dev/null, which its shell needs, cannot be opened");
    std::fs::File::open("/dev/null").map_err(|error: io::Error| {
        if is_transient(&error) { error } else { named(error.kind()) }
    })?;
    let mut launch = Launch::new("/bin/sh");
    let script = format!(
        "exec 3<&0 4<&1 5<&2 0</dev/null 1>/dev/null 2>&1\n\
         {{\ntrap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU\n{script}}} &\n"
    );
    launch.args = ["sh", "-c", &script, "execution-host-guard"].map(Into::into).to_vec();
    launch.args.extend(arguments.iter().map(|argument| argument.to_os_string()));
    launch.env = vec![("PATH".into(), search_path())];
    // `posix_spawn` has no portable way to enter a directory, and the backend of Linux enters one by
    // itself.
    let enters =
        cfg!(any(all(target_os = "linux", execution_engine_portable), target_vendor = "apple"));
    launch.working_dir = enters.then(|| "/".into());
    let (read, write) = pipes::pipe()?;
    let [list, kept] = files.map(|file| file.as_raw_fd());
    match run(&launch, [read.as_raw_fd(), list, kept])? {
        Some(Exit::Code(0) | Exit::Unknown) | None => Ok((read, write)),
        // A shell that cannot fork exits with an error: there is no room for another process now.
        Some(_) => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
    }
}

/// Returns the PATH for the guard's tools; some systems have them in places of their own.
fn search_path() -> OsString {
    let mut path = OsString::from("/usr/bin:/bin");
    if let Some(own) = std::env::var_os("PATH") {
        path.push(":");
        path.push(own);
    }
    path
}

const NO_GUARD: &str = "no host guard: if this process is killed, its children live on";

/// Replaces a lasting failure by a warning. A host without a shell can run programs all the same;
/// it only cannot promise what happens when it is killed. A transient failure fails the spawn,
/// which is tried again.
pub(super) fn or_warn<Guard>(
    started: io::Result<Guard>,
    warnings: &mut Warnings,
) -> io::Result<Option<Guard>> {
    match started {
        Ok(guard) => Ok(Some(guard)),
        Err(error) if is_transient(&error) => Err(error),
        Err(error) => {
            warnings.push(error, NO_GUARD);
            Ok(None)
        }
    }
}

/// Logs the start of a guard in the place of one that has ended, on a thread of ours: a panic of the
/// host's subscriber goes no further. `None` if the start failed.
pub(super) fn replaced<Guard>(started: io::Result<Guard>) -> Option<Guard> {
    let _told = catch_unwind(AssertUnwindSafe(|| match &started {
        Ok(_) => tracing::warn!("the host guard was ended from outside, and was made again"),
        Err(error) => tracing::warn!(%error, "{NO_GUARD}"),
    }));
    started.ok()
}

/// Pauses before a guard is made again: none as a rule, and longer ones while guards end soon after
/// their start.
#[derive(Debug, Default)]
pub(super) struct RestartPause(Duration);

impl RestartPause {
    /// Life of a guard that ended for a reason of its own.
    const LONG_LIFE: Duration = Duration::from_secs(10);
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(60);

    /// Returns the pause after a guard that has lived for so long. One that could not be started has
    /// not lived.
    pub(super) fn next(&mut self, lived: Duration) -> Duration {
        let pause = if lived < Self::LONG_LIFE { self.0 } else { Duration::ZERO };
        self.0 = (pause * 2).clamp(Self::FIRST, Self::LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_guards_end_soon_and_only_then() {
        let (mut pause, long, brief) =
            (RestartPause::default(), RestartPause::LONG_LIFE, Duration::from_secs(1));
        assert_eq!(pause.next(brief), Duration::ZERO, "the first is made again at once");
        assert_eq!(pause.next(brief), RestartPause::FIRST);
        assert_eq!(pause.next(brief), RestartPause::FIRST * 2);
        for _ in 0..20 {
            assert!(pause.next(Duration::ZERO) <= RestartPause::LONGEST);
        }
        assert_eq!(pause.next(brief), RestartPause::LONGEST);
        assert_eq!(pause.next(long), Duration::ZERO);
        assert_eq!(pause.next(brief), RestartPause::FIRST);
    }
}
