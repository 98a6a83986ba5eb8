//! Control groups, version 2: a group for each child, below one of the engine's, below our own.
//!
//! Below the host's own group because that is where an unprivileged host may make some: under
//! systemd the groups of a user's services are delegated to the user. Nothing of the host's own
//! group is changed.

mod lease;
mod mount;
mod parent;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use lease::Cgroup;
pub(super) use lease::{CgroupLease, kill_all};
pub(super) use parent::{ParentCgroup, check};

use rustix::fs::{Mode, OFlags};

use super::{clone, proc};
use crate::error::is_transient;

/// How a child gets into its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupEntry {
    /// It is born there.
    CloneInto,
    /// It writes itself into it between vfork and exec, where `clone3` is refused.
    Attach,
}

/// How children can enter groups on this host; why not, if they cannot. Tried out until it works: what
/// stood in the way may have been a lack of descriptors or processes, or that nobody had made the group.
pub(super) fn entry() -> Result<CgroupEntry, String> {
    static WORKS: OnceLock<CgroupEntry> = OnceLock::new();
    if let Some(entry) = WORKS.get() {
        return Ok(*entry);
    }
    let entry = try_out()?;
    Ok(*WORKS.get_or_init(|| entry))
}

/// Makes a group where a child's would be, and lets a process that ends at once enter it.
fn try_out() -> Result<CgroupEntry, String> {
    proc::check().map_err(|error| format!("/proc cannot be used: {error}"))?;
    let own = mount::own_group()?;
    // Named like an engine's, so that it is swept if this process dies now.
    let name = parent::name().map_err(|error| format!("/proc cannot be read: {error}"))?;
    let dir = own.join(name);
    // The number and the depth of groups may be bounded.
    let leaf = parent::first_leaf(&dir);
    let made = std::fs::create_dir_all(&leaf)
        .map_err(|error| format!("no group can be made in {}: {error}", own.display()));
    let tried = made.and_then(|()| try_to_enter(&leaf));
    for _ in 0..100 {
        // The process that was in it may be on its way out.
        if remove(&dir).is_ok() {
            break;
        }
        std::thread::yield_now();
    }
    tried
}

fn try_to_enter(dir: &Path) -> Result<CgroupEntry, String> {
    let open = |name, flags| open(dir, name, flags).map_err(|error| format!("{name}: {error}"));
    let group = open(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    match clone::probe(clone::Placement::CloneInto(group.as_fd())) {
        Ok(()) => return Ok(CgroupEntry::CloneInto),
        Err(error) if is_transient(&error) => return Err(format!("no process: {error}")),
        Err(_) => {}
    }
    let procs = open("cgroup.procs", OFlags::WRONLY)?;
    match clone::probe(clone::Placement::Attach(procs.as_fd())) {
        Ok(()) => Ok(CgroupEntry::Attach),
        Err(error) => Err(format!("no process can enter a group: {error}")),
    }
}

/// Opens a file of a group.
fn open(dir: &Path, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(dir.join(name), flags | OFlags::CLOEXEC, Mode::empty())?)
}

/// The value of a line `key value`.
fn field(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// Removes a group and the empty groups below it.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    for entry in std::fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    std::fs::remove_dir(dir)
}

/// Kills everybody in a group and below it, but for processes whose first thread has ended: the
/// system passes over them.
fn kill(dir: &Path) -> io::Result<()> {
    std::fs::write(dir.join("cgroup.kill"), "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "user_usec 12\nusage_usec 3\nusage 9\n";
        assert_eq!(field(text, "usage"), Some(9));
        assert_eq!(field(text, "user_usec"), Some(12));
        assert_eq!(field(text, "system_usec"), None);
    }
}
