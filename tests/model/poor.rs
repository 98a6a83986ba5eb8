//! Histories in a host whose user may at times have no more threads and processes.
//!
//! The limit is that of a user, so they are played in a process of its own, by a user without other
//! processes.

use std::time::Duration;

use execution_engine::ContainmentLevel;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_support::host::{self, Host, become_user};
use test_support::levels::announce;

/// A user that has no other processes.
const USER: u32 = 61_950;

/// Name of the profile.
pub(crate) const PROFILE: &str = "no_room";

/// Returns the levels that a user always has; `None` in the process that runs the tests.
pub(crate) fn levels() -> Option<Vec<ContainmentLevel>> {
    host::role().map(|_| vec![ContainmentLevel::ProcessTree, ContainmentLevel::ProcessGroup])
}

/// Plays histories in a host for some time.
pub(crate) fn play_apart(test: &str, time: Duration) {
    if !rustix::process::geteuid().is_root() {
        return announce("SKIPPED: only root can become a user of its own");
    }
    let host = Host::start(test, &format!("poor {}", time.as_millis()));
    assert!(host.end().success(), "histories without room for threads: see above");
}

/// Becomes the user, in the process of its own. Returns how long to play.
pub(crate) fn become_poor(words: &[String]) -> Duration {
    become_user(USER);
    Duration::from_millis(words[1].parse().unwrap())
}

/// Lets this process start this many more threads and processes; `None` is no limit.
pub(crate) fn leave_room_for(more: Option<u64>) {
    let maximum = getrlimit(Resource::Nproc).maximum;
    let current = more.map(|more| threads_of_this_user() + more).or(maximum);
    setrlimit(Resource::Nproc, Rlimit { current, maximum }).unwrap();
}

fn threads_of_this_user() -> u64 {
    let me = rustix::process::getuid().as_raw().to_string();
    let threads = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
        };
        (field("Uid:")? == me).then(|| field("Threads:")?.parse::<u64>().ok())?
    };
    test_support::processes().into_iter().filter_map(threads).sum()
}
