//! Limits that the host cannot enforce are refused before anything is accepted.

use crate::http::{problem, with_body};
use crate::support::Host;

/// Returns a limit that is refused to every program of this user, and the name of its field.
fn refused_limit() -> (&'static str, &'static str) {
    if rustix::process::getuid().is_root() {
        // The system does not count the processes of root.
        ("user-processes=9", "processes")
    } else {
        ("nice=-20", "nice")
    }
}

#[test]
fn limit_that_cannot_be_enforced_is_refused_also_for_later() {
    let host = Host::new();
    host.configure("max_running = 1");
    let (limit, _) = refused_limit();
    let first = host.exeng(&["submit", "--limit", limit, "--", "true"]).refused();
    let running = host.submit("echo up; exec sleep 1000");
    host.ok(&["submit", "--limit", "core=0", "--", "true"]);
    // It would wait for the only slot.
    let later = host.exeng(&["submit", "--limit", limit, "--", "true"]).refused();
    assert_eq!(first, later);
    assert!(first.contains(limit.split('=').next().unwrap()), "{first}");
    assert_eq!(host.ok(&["ls", "--json"]).lines().count(), 2);
    host.ok(&["stop", "--firm", &running]);
}

#[test]
fn limits_of_the_tree_are_refused_where_run_refuses_them() {
    let host = Host::new();
    for limit in ["memory=1G", "processes=100"] {
        let args = ["--limit", limit, "--", "true"];
        let here = host.exeng(&[&["run"], &args[..]].concat());
        let there = host.exeng(&[&["submit", "--wait"], &args[..]].concat());
        assert_eq!(here.code, there.code, "{here:?} {there:?}");
        if there.code != Some(0) {
            let said = there.refused();
            assert!(
                said.contains("leave this limit out") || said.contains("needs a cgroup"),
                "{said}"
            );
        }
    }
}

#[test]
fn refusal_of_a_limit_names_field_and_fix() {
    let host = Host::new();
    let _served = host.serve();
    let (_, field) = refused_limit();
    let value = if field == "nice" { -20 } else { 9 };
    let body = format!(
        r#"{{"request": {{"command": ["true"], "working_dir": "/"}}, "options": {{"limits": {{"{field}": {value}}}}}}}"#
    );
    let refused =
        problem(&host.http(&with_body("POST /v1/executions", "", &body)), 400, "invalid_request");
    assert_eq!(refused["field"], format!("options.limits.{field}"));
    assert!(refused["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{refused}");
}
