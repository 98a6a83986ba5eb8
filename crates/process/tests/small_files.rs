//! A host that may write no files, or small ones. The one test of this binary, because its limit is that of
//! a process.
#![cfg(not(execution_engine_portable))]

mod support;

use execution_engine_process::{Containment, Exit, Level};
use rustix::process::Resource;
use support::*;

#[test]
fn a_host_that_may_write_no_files_can_start_programs() {
    let launch = shell("exit 3");
    // Its list has room for nobody, or for two.
    for bytes in [0, 30] {
        limit(Resource::Fsize, Some(bytes));
        for level in [Level::ProcessGroup, Level::ProcessTree] {
            let containment = Containment::at(level).unwrap();
            let spawned: Vec<_> = (0..3).map(|_| containment.spawn(&launch)).collect();
            for child in spawned {
                assert_eq!(wait_for_exit(&mut child.unwrap().child), Exit::Code(3), "{level}");
            }
            let mut again = containment.spawn(&launch).unwrap().child;
            assert_eq!(wait_for_exit(&mut again), Exit::Code(3), "{level}");
        }
    }
    limit(Resource::Fsize, None);
}
