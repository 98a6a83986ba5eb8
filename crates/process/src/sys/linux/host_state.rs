//! What decides which levels a host offers, and may change while it runs: its user, its root
//! directory and its control group.

use std::ffi::c_long;
use std::path::{Path, PathBuf};

use super::cgroup::{self, CgroupPlace};
use super::kept_root::RootDirectory;
use super::unavailable::Unavailable;

/// State of this process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostState {
    pub(super) rights: HostRights,
    pub(super) place: Result<CgroupPlace, Unavailable>,
    /// Directory of the control group below which those of children are made, its own or the chosen
    /// one, or why there is none.
    pub(super) cgroup: Result<PathBuf, Unavailable>,
}

/// The part of the state that three system calls tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostRights {
    /// `None` for these where a sandbox refuses to tell.
    user: Option<u32>,
    group: Option<u32>,
    root: Option<RootDirectory>,
}

impl HostRights {
    pub(super) fn now() -> Self {
        let root = RootDirectory::now();
        Self { user: id(libc::SYS_geteuid), group: id(libc::SYS_getegid), root }
    }
}

/// Asks by number: the typed calls, which cannot fail, panic where a sandbox refuses them.
fn id(call: c_long) -> Option<u32> {
    // SAFETY: a system call without arguments.
    u32::try_from(unsafe { libc::syscall(call) }).ok()
}

fn changed(what: &str, old: Option<u32>, new: Option<u32>) -> Option<String> {
    match (old, new) {
        (Some(old), Some(new)) if old != new => {
            Some(format!("changed its {what} from {old} to {new}"))
        }
        _ => None,
    }
}

impl HostState {
    /// Returns that of now. `parent` is the control group that was chosen for those of children, in
    /// place of the host's own.
    pub(super) fn now(parent: Option<&Path>) -> Self {
        let place = CgroupPlace::own();
        let cgroup = match parent {
            Some(parent) => cgroup::check_dir(parent).map(|()| parent.to_path_buf()),
            None => place.as_ref().map_err(Clone::clone).and_then(CgroupPlace::dir),
        };
        Self { rights: HostRights::now(), place, cgroup }
    }

    /// Returns `true` if a process with this place is not where the host was. A place that cannot be
    /// told just now is no other one.
    pub(super) fn is_elsewhere(&self, place: &Result<CgroupPlace, Unavailable>) -> bool {
        let cannot_be_told = place.as_ref().is_err_and(|error| error.passing().is_some());
        !cannot_be_told && *place != self.place
    }

    /// Returns what is different now, as a sentence's predicates; empty if that cannot be seen.
    pub(super) fn changes_to(&self, now: &Self) -> Vec<String> {
        let (old, new) = (&self.rights, &now.rights);
        let user = changed("user", old.user, new.user);
        let group = changed("group", old.group, new.group);
        let root = (old.root != new.root).then(|| "changed its root directory".to_string());
        let cgroup = (self.cgroup != now.cgroup).then(|| match (&self.cgroup, &now.cgroup) {
            (Ok(old), Ok(new)) => format!("moved from the control group {old:?} to {new:?}"),
            _ => "lost its control group".to_string(),
        });
        [user, group, root, cgroup].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn host_whose_place_cannot_be_told_for_lack_of_a_descriptor_is_not_elsewhere() {
        let host = HostState::now(None);
        let refused = |number| {
            let error = io::Error::from_raw_os_error(number);
            Err(Unavailable::of("/proc/self/cgroup", &error))
        };
        assert!(!host.is_elsewhere(&host.place));
        assert!(!host.is_elsewhere(&refused(libc::EMFILE)));
        assert!(!host.is_elsewhere(&refused(libc::ENFILE)));
        assert!(host.is_elsewhere(&refused(libc::ENOENT)));
        assert!(host.is_elsewhere(&Err(Unavailable::because("this process is in none"))));
    }
}
