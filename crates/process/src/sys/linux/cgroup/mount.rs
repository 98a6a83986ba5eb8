//! The directory of the host's own control group. `/sys/fs/cgroup` may be version 1, version 2, or
//! both, and show a part of the hierarchy, so the mount is looked up in mountinfo.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use crate::sys::linux::kept_root;
use crate::sys::linux::own_table::with_descriptors;
use crate::sys::linux::unavailable::Unavailable;

/// The type of the file system of version 2.
const CGROUP2_SUPER_MAGIC: rustix::fs::FsWord = 0x6367_7270;

/// Place of a process in the hierarchy of version 2, as `/proc/PID/cgroup` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sys::linux) struct CgroupPlace(PathBuf);

/// Where a group was found the last time.
static SHOWN: Mutex<Option<(CgroupPlace, PathBuf)>> = Mutex::new(None);

impl CgroupPlace {
    /// Returns that of this process, or why it has none.
    pub(in crate::sys::linux) fn own() -> Result<Self, Unavailable> {
        let groups = read("/proc/self/cgroup")?;
        let group = group_of(&groups)
            .ok_or_else(|| Unavailable::because("this process is in no version 2 group"))?;
        Ok(Self(group.to_path_buf()))
    }

    /// Returns its directory, or why there is none.
    pub(in crate::sys::linux) fn dir(&self) -> Result<PathBuf, Unavailable> {
        // All mounts are listed, and the name of any of them may be no UTF-8.
        let found = find(&read("/proc/self/mountinfo")?, &self.0);
        let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = found {
            *shown = Some((self.clone(), dir.clone()));
            return Ok(dir);
        }
        // Mounts that the present root directory does not show are not listed.
        let known = shown.as_ref().filter(|(of, _)| of == self && kept_root::is_another());
        known
            .map(|(_, dir)| dir.clone())
            .ok_or_else(|| Unavailable::because(format!("no mount shows the group {:?}", self.0)))
    }
}

fn read(path: &str) -> Result<Vec<u8>, Unavailable> {
    with_descriptors(|| kept_root::read(path)).map_err(|error| Unavailable::of(path, &error))
}

/// Checks that a directory is a group of version 2.
pub(in crate::sys::linux) fn check_dir(dir: &Path) -> Result<(), Unavailable> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let shown = || dir.display();
    let opened = with_descriptors(|| kept_root::open(dir, flags));
    let opened = opened.map_err(|error| Unavailable::of(shown(), &error))?;
    let system = rustix::fs::fstatfs(opened);
    let system = system.map_err(|error| Unavailable::of(shown(), &error.into()))?;
    if system.f_type == CGROUP2_SUPER_MAGIC {
        return Ok(());
    }
    let reason =
        format!("{} is no control group of version 2; name one below /sys/fs/cgroup", shown());
    Err(Unavailable::because(reason))
}

/// Returns the directory of this process's own group, or why there is none.
pub(in crate::sys::linux) fn own_group() -> Result<PathBuf, Unavailable> {
    CgroupPlace::own()?.dir()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// Returns the path of the version 2 line, `0::PATH`.
fn group_of(groups: &[u8]) -> Option<&Path> {
    lines(groups).find_map(|line| line.strip_prefix(b"0::")).map(as_path)
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Returns the first mount of the group that is writable, or else the first.
fn find(mounts: &[u8], group: &Path) -> Option<PathBuf> {
    let mut readable = None;
    for (dir, is_writable) in lines(mounts).filter_map(|line| shown_by(line, group)) {
        if is_writable {
            return Some(dir);
        }
        readable = readable.or(Some(dir));
    }
    readable
}

/// Returns where a mount shows the group, and `true` if it is writable. A line of mountinfo is
/// `id parent major:minor root mount_point options .. - type source options`.
fn shown_by(line: &[u8], group: &Path) -> Option<(PathBuf, bool)> {
    let fields: Vec<_> = line.split(|&byte| byte == b' ').collect();
    let end = fields.iter().position(|field| *field == b"-")?;
    if *fields.get(end + 1)? != b"cgroup2" {
        return None;
    }
    let (root, mount_point) = (unescape(fields.get(3)?), unescape(fields.get(4)?));
    // A mount may show a part of the hierarchy; a path outside of it starts with `..`.
    let below = group.strip_prefix(as_path(&root)).ok()?;
    let is_inside = below.components().all(|part| part != Component::ParentDir);
    let is_writable = !fields.get(5)?.split(|&byte| byte == b',').any(|option| option == b"ro");
    is_inside.then(|| (as_path(&mount_point).join(below), is_writable))
}

/// Decodes a field: mountinfo writes space, tab, newline and backslash as octal numbers.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match after.split_at_checked(3).filter(|_| byte == b'\\') {
            Some((b"040", after)) => (b' ', after),
            Some((b"011", after)) => (b'\t', after),
            Some((b"012", after)) => (b'\n', after),
            Some((b"134", after)) => (b'\\', after),
            _ => (byte, after),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
36 31 0:33 / /media/caf\xe9 rw,relatime - vfat /dev/sdb1 rw
38 31 0:35 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";
    const PART: &[u8] =
        b"30 23 0:26 /user.slice/a\\040b /mnt/cg rw - cgroup2 cgroup rw,nsdelegate\n";
    const TWICE: &[u8] = b"\
30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw
31 23 0:26 / /mnt/cg rw,nosuid - cgroup2 cgroup rw
";

    fn found(mounts: &[u8], group: &str) -> Option<PathBuf> {
        find(mounts, Path::new(group))
    }

    #[test]
    fn the_version_2_mount_of_a_hybrid_system_is_found() {
        let groups = b"4:memory:/x\n0::/init.scope\n";
        assert_eq!(group_of(groups), Some(Path::new("/init.scope")));
        assert_eq!(group_of(b"4:memory:/x\n"), None);
        let dir = Path::new("/sys/fs/cgroup/unified/init.scope").to_path_buf();
        assert_eq!(found(HYBRID, "/init.scope"), Some(dir));
    }

    #[test]
    fn a_mount_of_a_part_shows_that_part_alone() {
        assert_eq!(found(PART, "/user.slice/a b/c"), Some(PathBuf::from("/mnt/cg/c")));
        assert_eq!(found(PART, "/system.slice"), None);
        assert_eq!(found(HYBRID, "/../x"), None, "outside of this namespace");
    }

    #[test]
    fn one_that_can_be_written_to_is_preferred() {
        assert_eq!(found(TWICE, "/a"), Some(PathBuf::from("/mnt/cg/a")));
        let first = lines(TWICE).next().unwrap();
        assert_eq!(found(first, "/a"), Some(PathBuf::from("/sys/fs/cgroup/a")), "better than none");
    }

    #[test]
    fn what_is_escaped_is_read_once() {
        assert_eq!(unescape(b"a\\040b\\134040\\"), b"a b\\040\\");
    }
}
