//! Where the host's own control group is in the file system.

use std::path::{Path, PathBuf};

/// The directory of this process's own group, or why there is none.
pub(super) fn own_group() -> Result<PathBuf, String> {
    let read = |path| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (mounts, groups) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    let group = group_of(&groups).ok_or("this process is in no version 2 group")?;
    find(&mounts, group).ok_or_else(|| format!("no mount shows the group {group}"))
}

/// The version 2 line is `0::PATH`.
fn group_of(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// `id parent major:minor root mount_point options .. - type source options`
fn find(mounts: &str, group: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, mount_point) = (unescape(fields.next()?), unescape(fields.next()?));
        // A mount may show a part of the hierarchy; a path outside of it starts with `..`.
        let below = Path::new(group).strip_prefix(root).ok()?;
        let is_inside = below.components().all(|part| part != std::path::Component::ParentDir);
        is_inside.then(|| Path::new(&mount_point).join(below))
    })
}

/// mountinfo writes space, tab, newline and backslash as octal numbers.
fn unescape(field: &str) -> String {
    let mut text = field.to_string();
    for (escape, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(escape, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
38 31 0:35 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";
    const PART: &str = "30 23 0:26 /user.slice/a\\040b /mnt/cg rw - cgroup2 cgroup rw,nsdelegate\n";

    #[test]
    fn the_version_2_mount_of_a_hybrid_system_is_found() {
        let groups = "4:memory:/x\n0::/init.scope\n";
        assert_eq!(group_of(groups), Some("/init.scope"));
        assert_eq!(group_of("4:memory:/x\n"), None);
        let dir = Path::new("/sys/fs/cgroup/unified/init.scope").to_path_buf();
        assert_eq!(find(HYBRID, "/init.scope"), Some(dir));
    }

    #[test]
    fn a_mount_of_a_part_shows_that_part_alone() {
        assert_eq!(find(PART, "/user.slice/a b/c"), Some(PathBuf::from("/mnt/cg/c")));
        assert_eq!(find(PART, "/system.slice"), None);
        assert_eq!(find(HYBRID, "/../x"), None, "outside of this namespace");
    }
}
