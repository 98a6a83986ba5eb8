//! `rerun`.

use std::fs;

use serde_json::{Value, json};

use crate::control::refuses_names;
use crate::support::{Done, Host, finish};

/// Runs the program with a variable of its own environment.
fn with_variable(host: &Host, name: &str, value: &str, args: &[&str]) -> Done {
    let mut command = host.command(args);
    command.env(name, value);
    finish(command.spawn().unwrap(), &format!("{args:?}"))
}

#[test]
fn same_request_runs_again_with_what_it_inherits_from_here() {
    let host = Host::new();
    let dir = host.dir().join("work");
    fs::create_dir(&dir).unwrap();
    let first = with_variable(
        &host,
        "INHERITED",
        "then",
        &[
            "submit",
            "--wait",
            "--cwd",
            "work",
            "--tag",
            "t",
            "--label",
            "k=v",
            "--group",
            "g",
            "--priority",
            "3",
            "--timeout",
            "1h",
            "--shell",
            "pwd; echo $INHERITED; exit 7",
        ],
    );
    assert_eq!(first.code, Some(7), "{first:?}");
    let first = &first.text();
    let again = ["rerun", "--wait", "--json", "@last"];
    let done = with_variable(&host, "INHERITED", "now", &again);
    assert_eq!(done.code, Some(7), "{done:?}");
    let second: Value = serde_json::from_str(&done.text()).unwrap();
    let second = second["id"].as_str().unwrap();
    assert_ne!(first, second);
    let here = dir.canonicalize().unwrap();
    assert_eq!(host.ok(&["logs", second]), format!("{}\nnow", here.display()));
    let shown = [host.show(first), host.show(second)];
    for name in ["command_line", "working_dir", "tags", "labels", "group", "priority", "timeout_ms"]
    {
        assert_eq!(shown[0][name], shown[1][name], "{name}");
    }
    let followed = host.exeng(&["rerun", "--follow", first]);
    assert!(followed.code == Some(7) && followed.text().starts_with(here.to_str().unwrap()));
}

#[test]
fn values_that_were_given_are_given_again() {
    let host = Host::new();
    let line = "echo $TOKEN $OTHER $HERE";
    let given = ["--env", "TOKEN=hunter2", "--env", "OTHER=hunter3", "--shell", line];
    let id = host.ok(&[&["submit", "--wait"][..], &given].concat());
    let said = host.exeng(&["rerun", "--env", "OTHER=new", &id]).refused();
    assert!(said.contains("TOKEN") && !said.contains("OTHER,") && said.contains("--env"), "{said}");
    assert!(!said.contains("hunter"), "{said}");
    let again =
        ["rerun", "--follow", "--env", "TOKEN", "--env", "OTHER=new", "--env", "HERE=h", &id];
    assert_eq!(with_variable(&host, "TOKEN", "copied", &again).ok(), "copied new h");
    // Without an environment of the caller the first time, there is none this time.
    let bare = host.ok(&["submit", "--wait", "--clear-env", "--shell", "echo [$HERE]"]);
    let again = ["rerun", "--follow", &bare];
    assert_eq!(with_variable(&host, "HERE", "inherited", &again).ok(), "[]");
}

#[test]
fn what_waits_or_runs_may_run_again_and_what_it_followed_is_left_out() {
    let host = Host::new();
    host.configure("max_running = 1");
    let blocks = host.submit("sleep 1000");
    let follows = host.ok(&["submit", "--after-ok", &blocks, "--", "echo", "ran"]);
    host.ok(&["pin", &follows]);
    let again = host.ok(&["rerun", &follows]);
    host.ok(&["stop", "--firm", &blocks]);
    assert_eq!(host.exeng(&["wait", &follows]).code, Some(125), "its predecessor failed");
    assert_eq!(host.exeng(&["wait", &again]).code, Some(0));
    let shown = host.show(&again);
    assert_eq!((&shown["after"], &shown["pinned"]), (&json!([]), &json!(false)));
    refuses_names(&["rerun"]);
}

#[test]
fn route_runs_it_once_for_each_key_or_id() {
    let host = Host::new();
    let _served = host.serve();
    let id = host.ok(&["submit", "--clear-env", "--env", "A=1", "--wait", "--", "/bin/true"]);
    let rerun = |headers: &str, body: &str| {
        host.http(&format!(
            "POST /v1/executions/{id}/rerun HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
    };
    let missing = rerun("", "");
    let problem = missing.json();
    assert_eq!((missing.status, &problem["code"]), (422, &json!("missing_env")), "{problem}");
    assert_eq!(problem["field"], "env");
    assert!(problem["detail"].as_str().unwrap().ends_with("was given A"), "{problem}");
    assert_eq!(rerun("", r#"{"env": {"A": "2"}, "after": []}"#).json()["field"], "after");
    let body = r#"{"env": {"A": "2"}}"#;
    let keyed = [(); 2].map(|()| rerun("Idempotency-Key: k\r\n", body));
    assert_eq!(keyed.each_ref().map(|reply| reply.status), [201, 200]);
    assert_eq!(keyed[0].json()["id"], keyed[1].json()["id"]);
    assert_ne!(keyed[0].json()["id"], json!(id));
    let new = "abcd0000-0000-4000-8000-000000000001";
    let named = [(); 2].map(|()| rerun("", &format!(r#"{{"id": "{new}", "env": {{"A": "2"}}}}"#)));
    assert_eq!(named.each_ref().map(|reply| reply.status), [201, 200]);
    let place = format!("/v1/executions/{new}");
    assert_eq!(named[1].header("location"), Some(place));
}
