//! `pin`.

use std::fs;

use serde_json::{Value, json};

use crate::control::refuses_names;
use crate::support::{Host, until};

#[test]
fn pinned_is_kept_by_retention_and_by_rm_until_it_is_unpinned() {
    let host = Host::new();
    host.configure("");
    let run = |word: &str| host.ok(&["submit", "--wait", "--json", "--", "echo", word]);
    let id = |text: String| {
        let value: Value = serde_json::from_str(&text).unwrap();
        value["id"].as_str().unwrap().to_string()
    };
    let (kept, other) = (id(run("kept")), id(run("other")));
    let pinned: Value = serde_json::from_str(&host.ok(&["pin", "--json", &kept[..8]])).unwrap();
    assert_eq!((&pinned[0]["id"], &pinned[0]["pinned"]), (&json!(kept), &json!(true)));
    assert!(host.ok(&["show", &kept]).contains("pinned       yes"));
    let said = host.exeng(&["rm", &kept]).refused();
    assert!(said.contains("is pinned") && said.contains("exeng pin --remove"), "{said}");

    // The next service keeps as good as nothing.
    let config = host.state().join("config.toml");
    fs::write(config, "[retention]\nmax_age = \"90d\"\nmax_count = 0\nmax_bytes = \"10G\"\n")
        .unwrap();
    host.kill_service();
    until("the other is removed", || host.exeng(&["show", &other]).code == Some(125));
    assert_eq!(host.ok(&["logs", &kept]), "kept");
    host.ok(&["pin", "--remove", &kept]);
    host.kill_service();
    until("it is removed", || host.exeng(&["show", &kept]).code == Some(125));
}

#[test]
fn what_waits_or_runs_may_be_pinned_and_is_removed_once_it_is_unpinned() {
    let host = Host::new();
    host.configure("max_running = 1");
    let runs = host.submit("sleep 1000");
    let waits = host.submit("true");
    host.ok(&["pin", &runs, &waits]);
    assert_eq!(host.show(&waits)["pinned"], true);
    host.ok(&["stop", "--firm", &runs]);
    assert_eq!(host.exeng(&["wait", &waits]).code, Some(0));
    assert!(host.exeng(&["rm", &runs, &waits]).refused().contains("is pinned"));
    host.ok(&["pin", "--remove", &runs, "@last"]);
    host.ok(&["rm", &runs, &waits]);
    refuses_names(&["pin"]);
    refuses_names(&["pin", "--remove"]);
}

#[test]
fn what_cannot_be_changed_is_named() {
    let host = Host::new();
    let _served = host.serve();
    let id = host.ok(&["submit", "--wait", "--", "true"]);
    let id = id.lines().next().unwrap();
    let patch = |body: &str| {
        host.http(&format!(
            "PATCH /v1/executions/{id} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let refused = patch(r#"{"pinned": true, "priority": 3}"#);
    assert_eq!(
        (refused.status, &refused.json()["field"]),
        (400, &json!("priority")),
        "{refused:?}"
    );
    assert!(refused.text().contains("expected `pinned`"), "{refused:?}");
    assert_eq!(patch("{}").status, 400);
    let changed = patch(r#"{"pinned": true}"#);
    assert_eq!((changed.status, &changed.json()["pinned"]), (200, &json!(true)), "{changed:?}");
}
