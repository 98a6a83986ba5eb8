//! `pause` and `resume`.

use std::fs;

use serde_json::Value;

use crate::control::{refuses_names, running};
use crate::support::{Host, until, when_written};

/// A line that waits for a file and then makes another.
fn reaction(to: &str, name: &str) -> String {
    format!("until [ -e '{to}' ]; do sleep 0.01; done; echo >'{name}'")
}

/// A line that looks for a file a hundred times after it is there, as long as others take to look for it once.
fn patience(file: &str) -> String {
    format!(
        "until [ -e '{file}' ]; do sleep 0.01; done; for look in $(seq 100); do sleep 0.01; done"
    )
}

#[test]
fn paused_is_frozen_with_its_tree_until_it_is_resumed() {
    let host = Host::new();
    let (go, parent, child) = (host.file("go"), host.file("parent"), host.file("child"));
    let lines = format!("({}) & {}", reaction(&go, &child), reaction(&go, &parent));
    let there = host.file("there");
    let id = host.submit(&format!("echo >'{there}'; {lines}; wait"));
    when_written(&there);
    host.ok(&["pause", "@last"]);
    let shown = host.show(&id);
    assert_eq!((&shown["status"], &shown["paused"]), (&"running".into(), &true.into()));
    assert!(host.ok(&["ls"]).contains("running, paused"), "{}", host.ok(&["ls"]));
    assert!(host.ok(&["show", &id]).contains("running, paused"));

    fs::write(&go, "").unwrap();
    host.ok(&["submit", "--wait", "--shell", &patience(&go)]);
    assert!(!fs::exists(&parent).unwrap() && !fs::exists(&child).unwrap(), "it goes on");
    let again: Value = serde_json::from_str(&host.ok(&["pause", "--json", &id])).unwrap();
    assert_eq!((&again[0]["id"], &again[0]["paused"]), (&id.as_str().into(), &true.into()));
    let resumed: Value = serde_json::from_str(&host.ok(&["resume", "--json", &id[..8]])).unwrap();
    assert_eq!((&resumed[0]["id"], &resumed[0]["paused"]), (&id.as_str().into(), &Value::Null));
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert!(fs::exists(&parent).unwrap() && fs::exists(&child).unwrap());
    let resumed = host.exeng(&["resume", &id]).refused();
    assert!(resumed.contains("ended already"), "{resumed}");
    assert!(host.exeng(&["pause", &id]).refused().contains("ended already"));
}

#[test]
fn pause_outlives_the_service_and_a_stop_ends_it() {
    let host = Host::new();
    let trap = "trap 'echo asked; exit 0' TERM";
    let id = running(&host, "there", trap);
    let continued = running(&host, "there too", "true");
    host.ok(&["pause", &id, &continued]);
    host.kill_service();
    assert_eq!(host.show(&id)["paused"], true);
    // SIGCONT ends a pause, also when a user sends it.
    host.ok(&["signal", "CONT", &continued]);
    assert_eq!(host.show(&continued)["paused"], Value::Null);
    host.ok(&["stop", &id]);
    // The shell may tell of its `sleep`, too.
    let said = host.ok(&["logs", &id]);
    assert!(said.lines().any(|line| line == "asked"), "it could act on the signal: {said}");
    let shown = host.show(&id);
    assert_eq!((&shown["status"], &shown["paused"]), (&"cancelled".into(), &Value::Null));
}

#[test]
fn paused_program_that_is_started_again_stays_paused() {
    let host = Host::new();
    let runs = host.file("runs");
    let line = format!("echo run >>'{runs}'; exec sleep 1000");
    let id = host.ok(&["submit", "--retry", "1", "--retry-delay", "0s", "--shell", &line]);
    when_written(&runs);
    host.ok(&["pause", &id]);
    host.ok(&["signal", "KILL", &id]);
    until("it is started again", || {
        let events = host.ok(&["logs", "--json", &id]);
        events.matches(r#""type":"started""#).count() == 2
    });
    assert_eq!(host.show(&id)["paused"], true);
    host.ok(&["resume", &id]);
    until("it runs again", || fs::read_to_string(&runs).unwrap().lines().count() == 2);
}

#[test]
fn held_in_the_queue_until_it_is_resumed_also_by_the_next_service() {
    let host = Host::new();
    host.configure("max_running = 1");
    let first = running(&host, "there", "true");
    let ran = host.file("ran");
    let held = host.submit(&format!("echo >'{ran}'"));
    host.ok(&["pause", &held]);
    let shown = host.show(&held);
    assert_eq!((&shown["status"], &shown["paused"]), (&"pending".into(), &true.into()));
    host.kill_service();
    host.ok(&["stop", &first]);
    // It would be next.
    host.ok(&["submit", "--wait", "--", "true"]);
    host.kill_service();
    host.ok(&["submit", "--wait", "--", "true"]);
    let shown = host.show(&held);
    assert_eq!((&shown["status"], &shown["paused"]), (&"pending".into(), &true.into()));
    assert!(!fs::exists(&ran).unwrap());
    host.ok(&["resume", &held]);
    assert_eq!(host.exeng(&["wait", &held]).code, Some(0));
    assert!(fs::exists(&ran).unwrap());

    let stopped = host.submit("true");
    let running = running(&host, "there again", "true");
    assert_eq!(host.exeng(&["wait", &stopped]).code, Some(0));
    let queued = host.submit("true");
    host.ok(&["pause", &queued]);
    host.ok(&["stop", &queued, &running]);
    assert_eq!(host.show(&queued)["status"], "cancelled");
}

#[test]
fn names_that_cannot_be_paused_are_refused() {
    refuses_names(&["pause"]);
    refuses_names(&["resume"]);
}
