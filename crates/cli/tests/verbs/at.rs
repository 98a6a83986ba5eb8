//! `submit --at`.

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Host, until};

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn work_starts_at_its_moment_and_not_before() {
    let host = Host::new();
    let far = host.ok(&["submit", "--at", "2099-01-01", "--", "true"]);
    let id = host.ok(&["submit", "--at", "1s", "--shell", "exit 4"]);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(4));
    let ended = host.show(&id);
    assert!(time(&ended["started_at"]) >= time(&ended["start_at"]), "{ended}");
    assert_eq!(host.show(&far)["status"], "pending");
    let listed = host.ok(&["ls", "--status", "pending"]);
    assert!(listed.contains("  in ") && !listed.contains("in 0"), "{listed}");
    host.ok(&["stop", &far]);
    assert_eq!(host.show(&far)["status"], "cancelled");
}

#[test]
fn moment_outlives_the_service_and_what_was_missed_runs_late() {
    let host = Host::new();
    let served = host.serve();
    let late = host.ok(&["submit", "--at", "2s", "--", "true"]);
    let later = host.ok(&["submit", "--at", "tomorrow", "--", "true"]);
    assert_eq!(served.end(Signal::KILL).code, Some(-9));
    let at = Utc::now() + TimeDelta::seconds(2);
    until("its moment has passed", || Utc::now() > at);
    assert_eq!(host.exeng(&["wait", &late]).code, Some(0));
    assert_eq!(host.show(&later)["status"], "pending");
    let said = host.ok(&["show", &later]);
    assert!(said.contains("starts at"), "{said}");
    host.ok(&["stop", &later]);
    assert_eq!(host.show(&later)["status"], "cancelled");
}

#[test]
fn one_that_is_paused_or_follows_another_waits_for_that_too() {
    let host = Host::new();
    host.configure("max_running = 1");
    let go = host.file("go");
    let first = host.submit(&format!("until [ -e '{go}' ]; do sleep 0.02; done"));
    let follows = host.ok(&["submit", "--at", "1s", "--after", &first, "--", "true"]);
    // It has no slot before it is paused, however late that is.
    let waits = host.ok(&["submit", "--at", "1s", "--", "true"]);
    host.ok(&["pause", &waits]);
    let at = time(&host.show(&waits)["start_at"]);
    until("their moment has come", || Utc::now() > at);
    for id in [&follows, &waits] {
        assert_eq!(host.show(id)["status"], "pending");
    }
    host.ok(&["resume", &waits]);
    std::fs::write(go, "").unwrap();
    assert_eq!(host.exeng(&["wait", &waits, &follows]).code, Some(0));
}

#[test]
fn moment_that_is_none_or_has_passed_is_refused() {
    let host = Host::new();
    for (bad, fix) in [("noon", "22:00"), ("25:00", "22:00"), ("2020-01-01", "has passed")] {
        let done = host.exeng(&["submit", "--at", bad, "--", "true"]);
        assert!(done.code == Some(125) && done.err.contains(fix), "{done:?}");
        assert!(done.err.contains("--at"), "{done:?}");
    }
    assert_eq!(host.service(), None);
}

#[test]
fn key_is_accepted_once_although_two_hours_from_now_are_another_moment() {
    let host = Host::new();
    let submit = || host.ok(&["submit", "--key", "k", "--at", "2h", "--", "true"]);
    let id = submit();
    let at = host.show(&id)["start_at"].clone();
    assert_eq!(submit(), id);
    assert_eq!(host.show(&id)["start_at"], at, "it is that of the first");
    host.ok(&["stop", &id]);
}
