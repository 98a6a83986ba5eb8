//! The control group that a service manager has delegated to this process.

use std::io;
use std::path::PathBuf;

use crate::sys;

/// Takes over the control group of this process (Linux, cgroup v2), which a service manager has made
/// for it and delegated to it, as systemd does with `Delegate=yes`: moves this process into a group
/// `member` below it, and lets the groups below it have limits of memory and processes. Returns the
/// directory of the group, for [`Containment::below`](crate::Containment::below).
///
/// Without it such limits are refused: a group that has processes of its own cannot pass the
/// controllers on. Call it early: what this process has started before stays where it is.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound) if the group of this process is not called `group`: it may
/// have others in it. The error of the system if the group is not delegated to the user of this process.
/// On systems other than Linux [`Unsupported`](io::ErrorKind::Unsupported).
///
/// ```no_run
/// // systemd-run --scope --unit=host --property=Delegate=yes PROGRAM
/// let group = execution_engine_process::take_over_control_group("host.scope", "member")?;
/// let containment = execution_engine_process::Containment::below(group);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn take_over_control_group(group: &str, member: &str) -> io::Result<PathBuf> {
    sys::take_over_control_group(group, member)
}
