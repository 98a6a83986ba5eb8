//! A host at its limit of memory. The one test of this binary, because the limit is that of a process.

// musl's allocator asks the system for every larger piece, so that the host itself ends there.
#![cfg(not(target_env = "musl"))]

mod support;

use execution_engine_process::{Containment, Launch, Level};
use rustix::process::Resource;
use support::*;

/// The address space that this process has.
fn in_use() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

#[test]
fn a_host_without_memory_for_a_child_is_told_that_it_may_work_later() {
    // The first child of a process: none has left a stack for the next.
    let containment = Containment::at(Level::ProcessGroup).unwrap();
    let launch = Launch::new("/bin/true");
    // Room for what the standard library may want, and none for the stack of a child.
    limit(Resource::As, Some(in_use() + 16 * 1024));
    let refused = containment.spawn(&launch);
    limit(Resource::As, None);
    let error = refused.unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(libc::ENOMEM), "{error}");
    assert!(error.is_transient());
    let mut child = containment.spawn(&launch).expect("there is memory again").child;
    while child.reap().unwrap().is_none() {
        std::thread::yield_now();
    }
}
