//! A user who may have no more processes. The one test of this binary, because its limit is that of a
//! process.

mod support;

use execution_engine_process::{Containment, Launch, Level};
use rustix::process::{Resource, Uid, getrlimit};
use support::*;

/// Nobody else has processes of this user.
const USER: u32 = 60_123;

/// It is started with the first child, and goes to the background by a fork of its own.
#[test]
fn a_sentinel_that_cannot_fork_is_none() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can become a user of its own");
    }
    let before = getrlimit(Resource::Nproc).current;
    // This thread alone, which is the only process of that user.
    rustix::thread::set_thread_uid(Uid::from_raw(USER)).unwrap();
    let containment = Containment::at(Level::ProcessGroup).unwrap();
    let launch = Launch::new("/bin/true");
    limit(Resource::Nproc, Some(2));
    let refused = containment.spawn(&launch);
    limit(Resource::Nproc, before);
    let error = refused.expect_err("there is no sentinel");
    assert!(error.is_transient(), "{error}");
    containment.spawn(&launch).unwrap();
}
