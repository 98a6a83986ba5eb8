//! Taking over a control group that a service manager has delegated to this process.

use std::io;
use std::path::{Path, PathBuf};

use super::{own_group, write};
use crate::sys::linux::kept_root;

/// Moves this process into a group `member` below its own, which must be called `group`, and passes the
/// controllers of limits on to the groups below its own. Returns what was its own.
pub(crate) fn take_over(group: &str, member: &str) -> io::Result<PathBuf> {
    let own = own_group().map_err(|reason| io::Error::other(reason.to_string()))?;
    if own.file_name() != Some(group.as_ref()) {
        let reason = format!("the group of this process is {} and not {group}", own.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    let moved = own.join(member);
    match kept_root::create_dir(&moved) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?,
    }
    // A group with members of its own cannot pass controllers on.
    write(&moved.join("cgroup.procs"), &std::process::id().to_string())?;
    pass_controllers_on(&own)?;
    Ok(own)
}

fn pass_controllers_on(group: &Path) -> io::Result<()> {
    let available = kept_root::read_to_string(group.join("cgroup.controllers"))?;
    for controller in ["memory", "pids"] {
        if available.split_whitespace().any(|name| name == controller) {
            write(&group.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        }
    }
    Ok(())
}
