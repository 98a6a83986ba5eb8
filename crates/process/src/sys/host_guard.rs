//! The host guard: a small process that outlives the host by a moment and kills what the host has
//! left.
//!
//! It is a shell that reads from a pipe whose writing end only the host holds (the lifeline).
//! However the host ends, the kernel closes that end. Parent-death signals would not do: they come
//! when the thread that made a child ends, and reach no grandchild. The shell needs `/bin/sh`
//! alone; with `grep` and `sleep` it works faster. This module has what the backends share: the
//! scripts, and how the shell goes to the background.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use super::pipes;
use crate::error::is_transient;
use crate::{Exit, Launch};

/// Kills the control group `$1` and removes it.
#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
pub(super) const END_CGROUP: &str = include_str!("host_guard/end_cgroup.sh");
/// Kills the listed process groups, their descendants, and the processes with the marker `$1`.
pub(super) const END_GROUPS: &str = include_str!("host_guard/end_groups.sh");

/// Starts a host guard with `run`, which executes a launch with three descriptors and returns how
/// that process exited. The script reads the lifeline as descriptor 3 and `list` as descriptor 4.
/// Returns the reading and the writing end of the lifeline.
///
/// The first shell forks once and exits, so that init inherits the guard, and the host has no
/// child that it does not know of.
pub(super) fn start(
    script: &str,
    argument: &OsStr,
    list: BorrowedFd<'_>,
    run: impl FnOnce(&Launch, [RawFd; 3]) -> io::Result<Option<Exit>>,
) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut launch = Launch::new("/bin/sh");
    let script = format!(
        "exec 3<&0 4<&1 0</dev/null 1>/dev/null 2>&1\n\
         {{\ntrap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU\n{script}}} &\n"
    );
    launch.args = ["sh", "-c", &script, "execution-host-guard"].map(Into::into).to_vec();
    launch.args.push(argument.to_os_string());
    launch.env = vec![("PATH".into(), search_path())];
    // `posix_spawn` has no portable way to enter a directory.
    launch.working_dir =
        cfg!(any(target_os = "linux", target_vendor = "apple")).then(|| "/".into());
    let (read, write) = pipes::pipe()?;
    let null = pipes::dev_null()?.as_raw_fd();
    match run(&launch, [read.as_raw_fd(), list.as_raw_fd(), null])? {
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

/// Replaces a lasting failure by a warning. A host without a shell can run programs all the same;
/// it only cannot promise what happens when it is killed. A transient failure fails the spawn,
/// which is tried again.
pub(super) fn or_warn<Guard>(started: io::Result<Guard>) -> io::Result<Option<Guard>> {
    match started {
        Ok(guard) => Ok(Some(guard)),
        Err(error) if is_transient(&error) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "no host guard: if this process is killed, its children live on");
            Ok(None)
        }
    }
}
