//! A host that has no descriptor to spare when it first asks for control groups. The one test of this
//! binary, because its limit is that of a process, and so is what is remembered.
#![cfg(not(execution_engine_portable))]

mod support;

use execution_engine_process::{Containment, Level};
use rustix::process::Resource;
use support::*;

#[test]
fn what_the_host_lacked_for_a_moment_is_asked_for_again() {
    limit(Resource::Nofile, Some(64));
    for free in 0..2 {
        let taken = leave_descriptors(free);
        let refused = Containment::at(Level::Cgroup);
        drop(taken);
        assert!(refused.is_err(), "{free} free: {refused:?}");
    }
    if let Err(unavailable) = Containment::at(Level::Cgroup) {
        assert!(!unavailable.reason.contains("open files"), "{unavailable}");
        eprintln!("SKIPPED: {unavailable}");
    }
}
