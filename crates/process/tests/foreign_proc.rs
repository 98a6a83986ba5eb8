//! A host in a process namespace of its own that still has the /proc of another: the numbers in it mean
//! other processes.
#![cfg(not(execution_engine_portable))]

mod support;

use std::process::Command;

use execution_engine_process::{Containment, Level, Signal};
use support::*;

const PART: &str = "EXECUTION_ENGINE_TEST_FOREIGN_PROC";

#[test]
#[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
fn processes_are_not_looked_for_in_the_proc_of_another_namespace() {
    if std::env::var_os(PART).is_some() {
        return host();
    }
    let unshare = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", program]);
        command
    };
    if !unshare("true").status().is_ok_and(|status| status.success()) {
        return eprintln!("SKIPPED: there can be no namespaces here");
    }
    let itself = std::env::current_exe().unwrap();
    let mut host = unshare(itself.to_str().unwrap());
    host.args(["--exact", "processes_are_not_looked_for_in_the_proc_of_another_namespace"]);
    let ended = host.env(PART, "host").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

fn host() {
    for level in [Level::ProcessTree, Level::Cgroup] {
        let refused = Containment::at(level).expect_err("it would look for others");
        assert!(refused.reason.contains("/proc"), "{refused}");
    }
    // What needs no look works.
    let mut child = Containment::strongest().spawn(&shell("exec sleep 60")).unwrap().child;
    until("it is ended", || {
        child.signal(Signal::Kill).unwrap();
        child.tree().is_ok_and(|tree| tree.is_empty())
    });
}
