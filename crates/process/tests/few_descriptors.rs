//! A host that has run out of descriptors. The one test of this binary, because its limit is that of a
//! process.
#![cfg(not(execution_engine_portable))]

use std::fs::File;
use std::time::{Duration, Instant};

use execution_engine_process::{Child, Containment, Launch, Level, Signal, Tree};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const PATIENCE: Duration = Duration::from_secs(30);

fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::yield_now();
    }
}

/// A program that ends at once and leaves somebody behind where the level can still find him.
fn left_behind(level: Level) -> Child {
    let leaves = if level == Level::ProcessGroup { "" } else { "setsid" };
    let mut launch = Launch::new("/bin/sh");
    launch.args = ["sh", "-c", &format!("{leaves} sleep 60 & exit 0")].map(Into::into).to_vec();
    let mut child = Containment::at(level).unwrap().spawn(&launch).unwrap().child;
    until("the program ends", || child.exit().unwrap().is_some());
    child
}

/// Takes all descriptors but so many.
fn leave(free: usize) -> Vec<File> {
    let mut taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    taken.truncate(taken.len() - free);
    taken
}

#[test]
fn who_cannot_be_looked_at_for_want_of_descriptors_is_there_all_the_same() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    for level in Level::ALL {
        if let Err(unavailable) = Containment::at(level) {
            eprintln!("SKIPPED: {unavailable}");
            continue;
        }
        let mut child = left_behind(level);
        for free in 0..8 {
            let taken = leave(free);
            let tree = child.tree();
            drop(taken);
            let is_empty = tree.as_ref().is_ok_and(|tree| tree.is_empty());
            assert!(!is_empty, "{level:?}, {free} free: {tree:?}");
            let names_all = |tree: &Tree| tree.members.len() == 1;
            let claims = tree.as_ref().is_ok_and(|tree| tree.proven && !names_all(tree));
            assert!(!claims, "{level:?}, {free} free: {tree:?}");
        }
        until("he is ended", || {
            child.signal(Signal::Kill).unwrap();
            child.tree().unwrap().is_empty()
        });
    }
}
