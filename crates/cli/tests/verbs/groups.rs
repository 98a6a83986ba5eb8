//! `group`.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::http::with_body;
use crate::support::{Done, Host, Served, finish, until, when_written};

/// Submits one of a group that says that it runs, and goes on until a file is there.
fn submit(host: &Host, group: &str, name: &str) -> String {
    let (runs, go) = (host.file(name), host.file("go"));
    let line = format!("echo runs > '{runs}'; until [ -e '{go}' ]; do sleep 0.01; done");
    host.ok(&["submit", "--group", group, "--shell", &line])
}

fn group(host: &Host, args: &[&str]) -> Value {
    let args = [&["group"], args, &["--json"]].concat();
    serde_json::from_str(&host.ok(&args)).unwrap()
}

/// Returns the lines of a table without its head, with one blank between two columns.
fn rows(table: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    table.lines().skip(1).map(words).collect()
}

#[test]
fn a_limit_counts_for_what_waits_and_shows_why() {
    let host = Host::new();
    assert_eq!(host.ok(&["group", "ls"]), "");
    assert_eq!(host.ok(&["group", "set", "gpu", "--max-running", "1"]), "");
    let first = submit(&host, "gpu", "first");
    when_written(&host.file("first"));
    let second = submit(&host, "gpu", "second");
    submit(&host, "cpu", "other");
    when_written(&host.file("other"));
    assert_eq!(rows(&host.ok(&["group", "ls"])), ["cpu none 1 0", "gpu 1 1 1"]);
    let shown = host.ok(&["show", &second]);
    assert!(shown.contains("status       pending, group full"), "{shown}");
    assert!(shown.contains("as many of its group run as may (exeng group show gpu)"), "{shown}");
    assert_eq!(host.show(&second)["group_wait"], "full");
    assert!(host.show(&first).get("group_wait").is_none());
    assert!(host.ok(&["ls", "--status", "pending"]).contains("pending, group full"));

    let set = group(&host, &["set", "gpu", "--max-running", "2"]);
    assert_eq!((&set["name"], &set["max_running"]), (&json!("gpu"), &json!(2)));
    when_written(&host.file("second"));
    let waits = submit(&host, "gpu", "third");
    // Without a limit, and with the name that it had.
    let dry = host.ok(&["group", "rm", "gpu", "--dry-run"]);
    assert_eq!(rows(&dry), ["gpu 2 2 1"]);
    assert_eq!(host.show(&waits)["status"], "pending");
    assert_eq!(group(&host, &["rm", "gpu"])["max_running"], 2);
    when_written(&host.file("third"));
    assert_eq!(host.show(&waits)["group"], "gpu");
    assert_eq!(rows(&host.ok(&["group", "show", "gpu"])), ["gpu none 3 0"]);
    let refused = host.exeng(&["group", "rm", "gpu"]).refused();
    assert!(refused.contains("nothing to remove"), "{refused}");
    fs::write(host.file("go"), "").unwrap();
    host.ok(&["wait", &first, &second, &waits]);
}

#[test]
fn a_pause_outlives_the_service() {
    let host = Host::new();
    let runs = submit(&host, "night", "runs");
    when_written(&host.file("runs"));
    assert_eq!(group(&host, &["pause", "night"])["paused"], true);
    let waits = submit(&host, "night", "waits");
    host.kill_service();
    let shown = host.ok(&["show", &waits]);
    assert!(shown.contains("status       pending, group paused"), "{shown}");
    assert!(shown.contains("its group is paused (exeng group show night)"), "{shown}");
    assert_eq!(rows(&host.ok(&["group", "ls"])), ["night none 1 1 paused"]);
    // What runs is stopped and waited for as ever; the one behind it does not get its place.
    host.ok(&["stop", "--firm", &runs]);
    assert_eq!(host.show(&waits)["status"], "pending");
    host.ok(&["group", "resume", "night"]);
    when_written(&host.file("waits"));
    let again = host.exeng(&["group", "resume", "night"]);
    assert!(again.code == Some(0) && again.err.contains("is not paused"), "{again:?}");
    let list: Value = serde_json::from_str(&host.ok(&["group", "ls", "--json"])).unwrap();
    let expected = json!([{"name": "night", "max_running": null, "paused": false, "set": true,
                           "waiting": 0, "running": 1}]);
    assert_eq!(list, expected);
    fs::write(host.file("go"), "").unwrap();
    host.ok(&["wait", &waits]);
}

/// Runs a verb under a service that dies at a point, and lets the next one start.
pub(crate) fn while_dying(host: &Host, point: &str, args: &[&str]) -> (Done, Served) {
    let mut serve = host.command(&["serve"]);
    let dying = serve.env("EXENG_FAULT", format!("service/{point}")).spawn().unwrap();
    let dying = Served::new(dying);
    let verb = host.command(args).spawn().unwrap();
    let what = format!("exeng {args:?}");
    let verb = thread::spawn(move || finish(verb, &what));
    until(&format!("the death at {point}"), || host.service() != Some(dying.pid()));
    let next = host.serve();
    (verb.join().unwrap(), next)
}

/// The service dies while it sets or removes a group; the verb asks the next one, which has it or has it not.
#[test]
fn death_of_the_service_loses_no_change() {
    let changes: [(&str, &[&str]); 4] = [
        ("set_group_applied", &["group", "set", "gpu", "--max-running", "3"]),
        ("set_group_committed", &["group", "pause", "gpu"]),
        ("remove_group_applied", &["group", "rm", "gpu"]),
        ("remove_group_committed", &["group", "rm", "gpu"]),
    ];
    for (point, change) in changes {
        let host = Host::new();
        let before = host.serve();
        if point.starts_with("remove") {
            host.ok(&["group", "set", "gpu", "--max-running", "3"]);
        }
        host.kill_service();
        drop(before);
        let (done, _next) = while_dying(&host, point, change);
        assert_eq!(done.ok(), "", "{point}");
        let group = match change[1] {
            "set" => json!(["gpu", 3, false]),
            "pause" => json!(["gpu", null, true]),
            _ => Value::Null,
        };
        let list: Value = serde_json::from_str(&host.ok(&["group", "ls", "--json"])).unwrap();
        let is = |it: &Value| json!([it["name"], it["max_running"], it["paused"]]);
        assert_eq!(list.get(0).map_or(Value::Null, is), group, "{point}: {list}");
    }
}

#[test]
fn mistakes_are_named_with_the_fix() {
    let host = Host::new();
    let refused = host.exeng(&["group", "ls", "--no-start"]).refused();
    assert!(refused.contains("--no-start"), "{refused}");
    for (args, said) in [
        (&["set", "gpu", "--max-running", "0"][..], "write 1 or more, or pause the group"),
        (&["set", "gpu", "--max-running", "-1"], "write a number from 1 on, or none"),
        (&["set", "gpu", "--max-running", "99999999999"], "write a number from 1 on, or none"),
        (&["set", "gpu"], "--max-running <N|none>"),
        (&["set", "", "--max-running", "1"], "a value is required"),
        (&["set", " ", "--max-running", "1"], "the name of the group is empty"),
        (&["show", "gpu"], "there is no group \"gpu\""),
        (&["resume", "gpu"], "list the groups"),
        (&["rm", "gpu"], "there is no group \"gpu\""),
        (&["dance"], "unrecognized subcommand"),
    ] {
        let done = host.exeng(&[&["group"], args].concat());
        assert!(done.code == Some(125) && done.err.contains(said), "{args:?}: {done:?}");
        assert!(done.out.is_empty(), "{args:?}: {done:?}");
    }
    assert_eq!(host.ok(&["group", "ls", "--json"]), "[]", "nothing was set");
    let refused = host.exeng(&["submit", "--group", " ", "--", "true"]).refused();
    assert!(refused.contains("the name of the group is empty"), "{refused}");
}

#[test]
fn names_are_any_text_and_a_closed_pipe_is_no_mistake() {
    let host = Host::new();
    let odd = "a/b ?#\u{e4}\u{1b}[2J";
    group(&host, &["set", odd, "--max-running", "none"]);
    assert_eq!(group(&host, &["show", odd])["name"], odd);
    // What would move the cursor of a terminal is made visible.
    assert!(host.ok(&["group", "ls"]).contains("a/b ?#\u{e4}\\u{1b}[2J"));
    let done =
        host.sh("{ exeng group ls; echo $? >&2; } | true; exeng group ls >/dev/full; echo $? >&2");
    let said: Vec<_> = done.err.lines().collect();
    assert!(
        matches!(said[..], ["0" | "141", full, "125"] if full.contains("cannot be written")),
        "{done:?}"
    );
}

#[test]
fn routes_refuse_what_they_do_not_know() {
    let host = Host::new();
    let _served = host.serve();
    let call = |method: &str, path: &str, body: &str| {
        host.http(&with_body(&format!("{method} /v1/groups{path}"), "", body))
    };
    for (method, path, body, status, field) in [
        ("PUT", "/gpu", r#"{"limit": 3}"#, 400, json!("limit")),
        ("PUT", "/gpu", r#"{"max_running": -1}"#, 400, json!("max_running")),
        ("PUT", "/gpu", r#"{"max_running": 0}"#, 400, json!("max_running")),
        ("PUT", "/gpu?x=1", "{}", 400, json!("x")),
        ("PUT", "/gpu", "", 400, Value::Null),
        ("GET", "?x=1", "", 400, json!("x")),
        ("GET", "/gpu", "", 404, Value::Null),
        ("DELETE", "/gpu", "", 404, Value::Null),
        ("POST", "/gpu", "{}", 405, Value::Null),
        ("PUT", "/%ff", "{}", 400, json!("name")),
    ] {
        let reply = call(method, path, body);
        let named = reply.json().get("field").cloned().unwrap_or_default();
        assert_eq!((reply.status, named), (status, field), "{method} {path} {body}: {reply:?}");
    }
    let set = call("PUT", "/a%2Fb", r#"{"max_running": 4, "paused": true}"#).json();
    assert_eq!((&set["name"], &set["max_running"]), (&json!("a/b"), &json!(4)), "{set}");
    let kept = call("PUT", "/a%2Fb", r#"{"max_running": null}"#).json();
    assert_eq!((&kept["max_running"], &kept["paused"]), (&Value::Null, &json!(true)), "{kept}");
    assert_eq!(call("GET", "", "").json()["groups"][0]["name"], "a/b");
    assert_eq!(call("DELETE", "/a%2Fb", "").status, 204);
}
