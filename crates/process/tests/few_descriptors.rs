//! A host that has run out of descriptors. The one test of this binary, because its limit is that of a
//! process.
#![cfg(not(execution_engine_portable))]

mod support;

use execution_engine_process::{Child, Containment, Level, Signal, Tree};
use rustix::process::Resource;
use support::*;

/// A program that ends at once and leaves somebody behind where the level can still find him.
fn left_behind(level: Level) -> Child {
    let leaves = if level == Level::ProcessGroup { "" } else { "setsid" };
    let launch = shell(&format!("{leaves} sleep 60 & exit 0"));
    let mut child = Containment::at(level).unwrap().spawn(&launch).unwrap().child;
    wait_for_exit(&mut child);
    child
}

#[test]
fn who_cannot_be_looked_at_for_want_of_descriptors_is_there_all_the_same() {
    limit(Resource::Nofile, Some(64));
    for level in Level::ALL {
        if let Err(unavailable) = Containment::at(level) {
            eprintln!("SKIPPED: {unavailable}");
            continue;
        }
        let mut child = left_behind(level);
        for free in 0..8 {
            let taken = leave_descriptors(free);
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
