//! How children can enter groups on this host. What was tried is remembered together with what it
//! depends on: a host may give up rights, or be moved, after it was tried.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use super::{files, open, owner, parent, remove};
use crate::error::is_transient;
use crate::sys::linux::host_state::HostState;
use crate::sys::linux::kept_root;
use crate::sys::linux::unavailable::Unavailable;
use crate::sys::linux::{clone, proc};

/// How a child gets into its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sys::linux) enum CgroupEntry {
    /// It is created inside.
    CloneInto,
    /// It attaches itself between its start and its exec, where `clone3` is refused.
    Attach,
}

/// What worked the last time, and for which state of the host. Only success is remembered: the host
/// may have lacked a descriptor or a process for a moment.
static WORKED: Mutex<Option<(HostState, CgroupEntry)>> = Mutex::new(None);

/// Returns how children can enter groups in this state of the host, or why they cannot.
pub(in crate::sys::linux) fn entry(host: &HostState) -> Result<CgroupEntry, Unavailable> {
    if let Some((of, entry)) = &*lock()
        && of == host
    {
        return Ok(*entry);
    }
    let entry = try_entry(host)?;
    *lock() = Some((host.clone(), entry));
    Ok(entry)
}

/// Forgets what worked, because it has failed.
pub(in crate::sys::linux) fn forget() {
    *lock() = None;
}

fn lock() -> MutexGuard<'static, Option<(HostState, CgroupEntry)>> {
    WORKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates a group where a child's would be, and lets a process that exits at once enter it.
fn try_entry(host: &HostState) -> Result<CgroupEntry, Unavailable> {
    proc::check().map_err(|error| Unavailable::of("/proc cannot be used", &error))?;
    let own = host.cgroup.as_ref().map_err(Clone::clone)?;
    // Named like a containment's group, so that it is swept if this process dies now.
    let name = owner::name().map_err(|error| Unavailable::of("/proc cannot be read", &error))?;
    let dir = own.join(name);
    // At the depth of a child's group: the number and the depth of groups may be bounded.
    let leaf = parent::first_group(&dir);
    let what = || format!("no group can be created in {own:?}");
    let created = kept_root::create_dir_all(&leaf).map_err(|error| Unavailable::of(what(), &error));
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

fn try_entry_to(dir: &Path) -> Result<CgroupEntry, Unavailable> {
    let open = |name, flags| open(dir, name, flags).map_err(|error| Unavailable::of(name, &error));
    let group = open(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    // A group whose state cannot be read proves nothing.
    files::read_events(dir, None).map_err(|error| Unavailable::of("cgroup.events", &error))?;
    match clone::probe(clone::Placement::CloneInto(group.as_fd())) {
        Ok(()) => return Ok(CgroupEntry::CloneInto),
        Err(error) if is_transient(&error) => {
            return Err(Unavailable::of("no process can be created", &error));
        }
        Err(_) => {}
    }
    let procs = open("cgroup.procs", OFlags::WRONLY)?;
    match clone::probe(clone::Placement::Attach(procs.as_fd())) {
        Ok(()) => Ok(CgroupEntry::Attach),
        Err(error) => Err(Unavailable::of("no process can enter a group", &error)),
    }
}
