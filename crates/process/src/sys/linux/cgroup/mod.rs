//! Control groups, version 2: a group for each child, below one of the containment's, below the
//! host's own.
//!
//! Below the host's own group because an unprivileged host may create groups there: systemd
//! delegates the groups of a user's services to the user. Nothing of the host's own group is
//! changed.

mod delegated;
mod entry;
mod files;
mod group;
mod lease;
mod members;
mod mount;
mod owner;
mod parent;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;

pub(crate) use delegated::take_over;
pub(super) use entry::{CgroupEntry, entry, forget};
pub(super) use lease::CgroupLease;
pub(super) use members::kill_all;
pub(super) use mount::{CgroupPlace, check_dir, own_group};
pub(super) use parent::{ParentCgroup, check};

use super::kept_root;
use super::own_table::with_descriptors;

/// Opens a file of a group.
fn open(dir: &Path, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    kept_root::open(dir.join(name), flags)
}

/// Writes a file of a group, also if this process has no descriptor left.
fn write(path: &Path, text: &str) -> io::Result<()> {
    with_descriptors(|| kept_root::write(path, text))
}

/// Returns the value of a line `key value`.
fn field(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// Removes a group and the empty groups below it.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match kept_root::remove_dir(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    for group in kept_root::dirs_in(dir)? {
        remove(&group)?;
    }
    kept_root::remove_dir(dir)
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
