//! A host that may write no files, or small ones. The one test of this binary, because its limit is that of
//! a process.
#![cfg(not(execution_engine_portable))]

use execution_engine_process::{Child, Containment, Exit, Launch, Level};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn limit_files(current: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

fn wait_for_exit(child: &mut Child) -> Exit {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    poll(&mut [PollFd::new(&child.exit_fd(), PollFlags::IN)], Some(&limit)).unwrap();
    child.exit().unwrap().expect("it has ended")
}

#[test]
fn a_host_that_may_write_no_files_can_start_programs() {
    let mut launch = Launch::new("/bin/sh");
    launch.args = ["sh", "-c", "exit 3"].map(Into::into).to_vec();
    // Its list has room for nobody, or for two.
    for bytes in [0, 30] {
        limit_files(Some(bytes));
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
    limit_files(getrlimit(Resource::Fsize).maximum);
}
