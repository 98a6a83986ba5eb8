//! What a child inherits from the thread that makes it: on Linux each thread has its own.

use std::ffi::{c_int, c_long};

use rustix::fs::stat;
use rustix::thread::{CpuSet, sched_getaffinity};

/// Namespaces of a thread, and those that its children will be in. Older kernels have fewer.
const NAMESPACES: [&str; 8] = [
    "/proc/thread-self/ns/cgroup",
    "/proc/thread-self/ns/ipc",
    "/proc/thread-self/ns/mnt",
    "/proc/thread-self/ns/net",
    "/proc/thread-self/ns/pid_for_children",
    "/proc/thread-self/ns/time_for_children",
    "/proc/thread-self/ns/user",
    "/proc/thread-self/ns/uts",
];

/// Size of the kernel's `sched_attr`, as of its first version.
const SCHED_ATTR_BYTES: usize = 48;

/// Backend of [`ThreadAttributes`](crate::ThreadAttributes). What the system does not tell counts
/// as the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadAttributes {
    affinity: Option<CpuSet>,
    /// Policy, nice value and priority.
    scheduling: [u8; SCHED_ATTR_BYTES],
    /// I/O priority, timer slack, no-new-privileges, mode of seccomp.
    settings: [c_long; 4],
    users: [u32; 3],
    groups: [u32; 3],
    /// Effective, permitted and inheritable, in two times 32 bits.
    capabilities: [u32; 6],
    /// File system and number of each.
    namespaces: [(u64, u64); NAMESPACES.len()],
    root: (u64, u64),
}

impl ThreadAttributes {
    pub(crate) fn of_this_thread() -> Self {
        let (users, groups) = ids();
        Self {
            affinity: sched_getaffinity(None).ok(),
            scheduling: scheduling(),
            settings: settings(),
            users,
            groups,
            capabilities: capabilities(),
            namespaces: NAMESPACES.map(identity),
            root: identity("/"),
        }
    }
}

fn identity(path: &str) -> (u64, u64) {
    stat(path).map_or((0, 0), |stat| (stat.st_dev, stat.st_ino))
}

fn scheduling() -> [u8; SCHED_ATTR_BYTES] {
    let mut attr = [0; SCHED_ATTR_BYTES];
    // SAFETY: the kernel writes at most as many bytes as it is told.
    let got = unsafe {
        libc::syscall(libc::SYS_sched_getattr, 0, attr.as_mut_ptr(), SCHED_ATTR_BYTES, 0)
    };
    if got == 0 { attr } else { [0; SCHED_ATTR_BYTES] }
}

fn settings() -> [c_long; 4] {
    /// `IOPRIO_WHO_PROCESS`, which is a thread.
    const WHO_THREAD: c_int = 1;
    // SAFETY: these calls take numbers and no memory.
    let get = |option: c_int| unsafe { libc::syscall(libc::SYS_prctl, option, 0, 0, 0, 0) };
    // SAFETY: as above.
    let io_priority = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_THREAD, 0) };
    [
        io_priority,
        get(libc::PR_GET_TIMERSLACK),
        get(libc::PR_GET_NO_NEW_PRIVS),
        get(libc::PR_GET_SECCOMP),
    ]
}

/// Returns the real, effective and saved ids.
fn ids() -> ([u32; 3], [u32; 3]) {
    let (mut users, mut groups) = ([0; 3], [0; 3]);
    let ([user, effective_user, saved_user], [group, effective_group, saved_group]) =
        (&mut users, &mut groups);
    // SAFETY: the kernel stores one number at each address.
    unsafe {
        libc::getresuid(user, effective_user, saved_user);
        libc::getresgid(group, effective_group, saved_group);
    }
    (users, groups)
}

fn capabilities() -> [u32; 6] {
    /// Version 3, this thread.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    let mut sets = [0; 6];
    let mut header = HEADER;
    // SAFETY: the kernel reads a header and writes two structures of three numbers.
    unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    sets
}
