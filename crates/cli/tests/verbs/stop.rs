//! `stop` and `rm`, and what becomes of an execution whose keeper dies.

use std::fs;

use rustix::process::Signal;

use crate::proxy::Proxy;
use crate::support::{Host, finish, is_running, send, until, when_written};

#[test]
fn stopped_is_cancelled_with_its_whole_tree() {
    let host = Host::new();
    let pids = host.file("pids");
    let id = host
        .submit(&format!("sleep 1000 & echo $! >'{pids}'; trap 'echo asked; exit 0' TERM; wait"));
    let child = when_written(&pids);
    host.ok(&["stop", &id]);
    assert!(!is_running(&child), "the tree is gone");
    let shown = host.show(&id);
    assert_eq!(
        (&shown["status"], &shown["ending"]["type"]),
        (&"cancelled".into(), &"cancelled".into())
    );
    assert_eq!(host.exeng(&["wait", &id]).code, Some(130));
    assert_eq!(host.ok(&["logs", &id]), "asked", "it was asked first");
    let again = host.exeng(&["stop", &id]);
    assert!(again.code == Some(0) && again.err.contains("already ended"), "{again:?}");
}

#[test]
fn firm_stop_has_no_grace_also_after_a_polite_one() {
    let host = Host::new();
    let submit = |name: &str| {
        let there = host.file(name);
        let line = format!("trap '' TERM; echo >'{there}'; while :; do sleep 0.01; done");
        let id = host.ok(&["submit", "--stop-grace", "1h", "--shell", &line]);
        when_written(&there);
        id
    };
    let (one, other) = (submit("one"), submit("other"));
    host.ok(&["stop", "--firm", &one]);
    assert_eq!(host.show(&one)["status"], "cancelled");
    host.ok(&["stop", "--no-wait", &other]);
    assert_eq!(host.show(&other)["status"], "running");
    let stopped = host.ok(&["stop", "--firm", "--json", &other]);
    let stopped: serde_json::Value = serde_json::from_str(&stopped).unwrap();
    assert_eq!(stopped, serde_json::json!([host.show(&other)]));
    assert_eq!(stopped[0]["status"], "cancelled");
}

#[test]
fn firm_stop_is_sigkill_and_nothing_else() {
    let host = Host::new();
    let there = host.file("there");
    let id = host.submit(&format!("echo >'{there}'; exec sleep 1000"));
    when_written(&there);
    host.ok(&["stop", "--firm", &id]);
    assert_eq!(host.show(&id)["signal"], 9, "it would have died of a signal before it");
}

#[test]
fn queued_execution_ends_without_a_start() {
    let host = Host::new();
    host.configure("max_running = 1");
    let ran = host.file("ran");
    let first = host.submit("sleep 1000");
    let queued = host.submit(&format!("echo >'{ran}'"));
    assert_eq!(host.show(&queued)["status"], "pending");
    host.ok(&["stop", &queued, &first]);
    assert_eq!(host.show(&queued)["status"], "cancelled");
    assert_eq!(host.show(&queued)["attempts"], 0);
    assert!(!fs::exists(&ran).unwrap());
}

#[test]
fn removed_is_gone_and_what_runs_is_not_removed() {
    let host = Host::new();
    let runs = host.submit("sleep 1000");
    let ended = host.ok(&["submit", "--wait", "--", "echo", "needle-in-output"]);
    let said = host.exeng(&["rm", &runs, &ended]).refused();
    assert!(said.contains(&runs), "{said}");
    host.exeng(&["show", &ended]).refused();
    let another = host.ok(&["submit", "--wait", "--", "true"]);
    assert_eq!(host.ok(&["rm", "--json", &another]), format!("[\"{another}\"]"));
    host.exeng(&["logs", &ended]).refused();
    assert_eq!(host.show(&runs)["status"], "running");
}

#[test]
fn death_of_a_keeper_is_told_as_lost() {
    let host = Host::new();
    let (there, pid) = (host.file("there"), host.file("pid"));
    let id = host.submit(&format!("echo $$ >'{pid}'; seq 1 1000; echo >'{there}'; sleep 1000"));
    when_written(&there);
    let program = when_written(&pid);
    let output: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    // What is still in the pipe dies with its reader.
    until("the output is kept", || host.show(&id)["bytes"]["stdout"] == output.len());
    send(host.keepers()[0], Signal::KILL);
    let done = host.exeng(&["wait", &id]);
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.err.contains("lost"), "{done:?}");
    let shown = host.show(&id);
    assert_eq!((&shown["status"], &shown["ending"]["type"]), (&"lost".into(), &"lost".into()));
    until("its tree is gone", || !is_running(&program));
    assert_eq!(host.exeng(&["logs", "--raw", &id]).out, output.as_bytes());
    // Another keeper takes new work.
    assert_eq!(host.exeng(&["submit", "--wait", "--", "true"]).code, Some(0));
}

#[test]
fn conditions_select_what_is_stopped_and_what_is_removed() {
    let host = Host::new();
    let done = host.ok(&["submit", "--wait", "--tag", "old", "--label", "user=a", "--", "true"]);
    let failed = host.exeng(&["submit", "--wait", "--tag", "old", "--", "false"]).text();
    let other = host.ok(&["submit", "--wait", "--tag", "new", "--group", "g", "--", "true"]);
    let pinned = host.ok(&["submit", "--wait", "--tag", "old", "--", "true"]);
    host.ok(&["pin", &pinned]);
    let runs = host.ok(&["submit", "--tag", "old", "--", "sleep", "1000"]);
    let waits = host.ok(&["submit", "--tag", "old", "--after", &runs, "--", "true"]);
    let ids = |text: &str| {
        let mut ids: Vec<String> = serde_json::from_str(text).unwrap();
        ids.sort();
        ids
    };
    let sorted = |mut all: Vec<&String>| {
        all.sort();
        all.into_iter().cloned().collect::<Vec<_>>()
    };

    // Nothing is changed by a look, and only what has ended is removed.
    let dry = host.ok(&["rm", "--tag", "old", "--dry-run", "--json"]);
    assert_eq!(ids(&dry), sorted(vec![&done, &failed]));
    let said = host.exeng(&["rm", "--dry-run", &pinned]).refused();
    assert!(said.contains("pin --remove"), "{said}");
    let table = host.ok(&["rm", "--tag", "old", "--dry-run"]);
    assert!(table.contains(&done[..8]) && !table.contains(&runs[..8]), "{table}");
    let removed = host.ok(&["rm", "--json", "--tag", "old", "--status", "failed"]);
    assert_eq!(ids(&removed), [failed]);
    assert_eq!(ids(&host.ok(&["rm", "--json", "--label", "user=a"])), [done]);
    assert_eq!(ids(&host.ok(&["rm", "--json", "--group", "no-such"])), [""; 0]);

    let of = |text: String| {
        let all: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut ids: Vec<_> = all.iter().map(|it| it["id"].as_str().unwrap().to_string()).collect();
        ids.sort();
        ids
    };
    let dry = host.ok(&["stop", "--tag", "old", "--dry-run", "--json"]);
    assert_eq!(of(dry), sorted(vec![&runs, &waits]));
    assert_eq!(host.show(&runs)["status"], "running");
    assert_eq!(of(host.ok(&["stop", "--json", "--tag", "old"])), sorted(vec![&runs, &waits]));
    assert_eq!(host.show(&runs)["status"], "cancelled");
    assert_eq!(host.show(&other)["status"], "completed", "another tag");
}

#[test]
fn nothing_is_changed_without_a_selection_or_with_two() {
    let host = Host::new();
    for verb in ["stop", "rm"] {
        for args in [&[][..], &["--dry-run"], &["@last", "--tag", "x"]] {
            let said = host.exeng(&[&[verb], args].concat()).refused();
            assert!(said.contains("--tag"), "{said}");
        }
        // As a variable that is not set would select everything.
        let said = host.exeng(&[verb, "--search", ""]);
        assert!(said.code == Some(125) && said.err.contains("--search"), "{said:?}");
    }
    assert_eq!(host.service(), None, "nothing of this needs a service");
    let said = host.exeng(&["rm", "--status", "running"]).refused();
    assert!(said.contains("stop"), "{said}");
    let said = host.exeng(&["stop", "--status", "failed"]).refused();
    assert!(said.contains("running"), "{said}");
}

#[test]
fn what_is_removed_meanwhile_keeps_nothing_from_the_others() {
    let host = Host::new();
    let submit = || host.ok(&["submit", "--tag", "all", "--", "sleep", "1000"]);
    let (one, other) = (submit(), submit());
    let proxy = Proxy::holding(&host, format!("GET /v1/executions/{one}/wait"));
    let child = proxy.command(&host, &["stop", "--json", &one, &other]).spawn().unwrap();
    let wait = proxy.held();
    assert_eq!(host.exeng(&["wait", &one]).code, Some(130));
    host.ok(&["rm", &one]);
    drop(wait);
    let done = finish(child, "stop");
    assert!(done.err.contains(&format!("{one} was removed")), "{done:?}");
    let ended: serde_json::Value = serde_json::from_str(&done.ok()).unwrap();
    assert_eq!(ended, serde_json::json!([host.show(&other)]));

    // What meets conditions is no longer there when it is removed.
    let one = host.ok(&["submit", "--wait", "--tag", "all", "--", "true"]);
    let proxy = Proxy::holding(&host, format!("DELETE /v1/executions/{one}"));
    let child = proxy.command(&host, &["rm", "--json", "--tag", "all"]).spawn().unwrap();
    let delete = proxy.held();
    host.ok(&["rm", &one]);
    drop(delete);
    let removed = finish(child, "rm").ok();
    assert_eq!(removed, serde_json::json!([other]).to_string());
    // One that was named must be there.
    assert!(host.exeng(&["rm", &one]).refused().contains(&one));
}
