//! What the tests of this crate share.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses a part of it"
)]

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use execution_engine_process::{Child, Exit, Launch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn shell(line: &str) -> Launch {
    let mut launch = Launch::new("/bin/sh");
    launch.args = ["sh", "-c", line].map(Into::into).to_vec();
    launch.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    launch
}

pub fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::yield_now();
    }
}

pub fn wait_for(fd: &impl AsFd, flags: PollFlags) {
    let limit = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut [PollFd::new(fd, flags)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "waited too long");
}

pub fn wait_for_exit(child: &mut Child) -> Exit {
    wait_for(&child.exit_fd(), PollFlags::IN);
    child.exit().unwrap().expect("it has ended")
}

/// Changes a limit of this process, as far as it may be; None is as far as that is.
pub fn limit(resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: current.or(maximum), maximum }).unwrap();
}

/// Takes all descriptors but so many, until what this gives is dropped.
pub fn leave_descriptors(free: usize) -> Vec<File> {
    let mut taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    taken.truncate(taken.len() - free);
    taken
}
