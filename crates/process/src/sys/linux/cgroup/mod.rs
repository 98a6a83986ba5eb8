//! Control groups, version 2: a group for each child, below one of the containment's, below the
//! host's own.
//!
//! Below the host's own group because an unprivileged host may create groups there: systemd
//! delegates the groups of a user's services to the user. Nothing of the host's own group is
//! changed.

mod group;
mod lease;
mod members;
mod mount;
mod owner;
mod parent;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

pub(super) use lease::CgroupLease;
pub(super) use members::kill_all;
pub(super) use parent::{ParentCgroup, check};

use super::{clone, proc};
use crate::error::is_transient;

/// How a child gets into its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupEntry {
    /// It is created inside.
    CloneInto,
    /// It attaches itself between its start and its exec, where `clone3` is refused.
    Attach,
}

/// Returns how children can enter groups on this host, or why they cannot. Tried until it works,
/// and only success is remembered: the host may have lacked a descriptor or a process for a moment.
pub(super) fn entry() -> Result<CgroupEntry, String> {
    static WORKS: OnceLock<CgroupEntry> = OnceLock::new();
    if let Some(entry) = WORKS.get() {
        return Ok(*entry);
    }
    let entry = try_entry()?;
    Ok(*WORKS.get_or_init(|| entry))
}

/// Creates a group where a child's would be, and lets a process that exits at once enter it.
fn try_entry() -> Result<CgroupEntry, String> {
    proc::check().map_err(|error| format!("/proc cannot be used: {error}"))?;
    let own = mount::own_group()?;
    // Named like a containment's group, so that it is swept if this process dies now.
    let name = owner::name().map_err(|error| format!("/proc cannot be read: {error}"))?;
    let dir = own.join(name);
    // At the depth of a child's group: the number and the depth of groups may be bounded.
    let leaf = parent::first_group(&dir);
    let created = std::fs::create_dir_all(&leaf)
        .map_err(|error| format!("no group can be created in {}: {error}", own.display()));
    let tried = created.and_then(|()| try_entry_to(&leaf));
    for _ in 0..100 {
        // The process that was in it may still be exiting.
        if remove(&dir).is_ok() {
            break;
        }
        std::thread::yield_now();
    }
    tried
}

fn try_entry_to(dir: &Path) -> Result<CgroupEntry, String> {
    let open = |name, flags| open(dir, name, flags).map_err(|error| format!("{name}: {error}"));
    let group = open(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    match clone::probe(clone::Placement::CloneInto(group.as_fd())) {
        Ok(()) => return Ok(CgroupEntry::CloneInto),
        Err(error) if is_transient(&error) => {
            return Err(format!("no process can be created: {error}"));
        }
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

/// Returns the value of a line `key value`.
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

/// Returns `true` for the answers of a group that was removed meanwhile: ENOENT by its path, ENODEV
/// by its descriptor.
pub(super) fn is_removed(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
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
