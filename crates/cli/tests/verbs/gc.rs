//! `gc`.

use serde_json::{Value, json};

use crate::groups::while_dying;
use crate::http::with_body;
use crate::support::{Done, Host};

/// Runs programs that write something, and returns their ids, those first that ended first.
fn ended(host: &Host, number: usize) -> Vec<String> {
    let id = |_| {
        let printed = host.ok(&["submit", "--wait", "--json", "--shell", "echo some output"]);
        let value: Value = serde_json::from_str(&printed).unwrap();
        value["id"].as_str().unwrap().to_string()
    };
    (0..number).map(id).collect()
}

fn gc(host: &Host, args: &[&str]) -> Value {
    let args = [&["gc", "--json"], args].concat();
    serde_json::from_str(&host.ok(&args)).unwrap()
}

fn is_there(host: &Host, id: &str) -> bool {
    host.exeng(&["show", id]).code == Some(0)
}

#[test]
fn what_is_not_to_be_kept_goes_and_the_rest_stays() {
    let host = Host::new();
    let none = host.exeng(&["gc"]);
    assert!(none.out.is_empty() && none.err.contains("nothing to remove"), "{none:?}");
    let ids = ended(&host, 5);
    host.ok(&["pin", &ids[0]]);
    let runs = host.submit("sleep 1000");

    let dry = gc(&host, &["--dry-run", "--keep", "2"]);
    assert_eq!((&dry["dry_run"], &dry["executions"]), (&json!(true), &json!(2)), "{dry}");
    assert_eq!(dry["by_count"], json!({"executions": 2, "bytes": dry["bytes"]}), "{dry}");
    assert!(dry["bytes"].as_u64() > Some(0) && dry.get("incomplete").is_none(), "{dry}");
    let table = host.ok(&["gc", "--dry-run", "--keep", "2"]);
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["WOULD", "GO", "EXECUTIONS", "BYTES"]);
    assert_eq!((&lines[1][..3], &lines[2][..2]), (&["too", "many", "2"][..], &["all", "2"][..]));
    assert!(ids.iter().all(|id| is_there(&host, id)), "nothing was removed");

    let done = gc(&host, &["--keep", "2"]);
    assert_eq!(
        done,
        json!({"dry_run": false, "executions": 2, "bytes": dry["bytes"],
                            "by_age": dry["by_age"], "by_count": dry["by_count"], "by_bytes": dry["by_bytes"]})
    );
    let left: Vec<_> = ids.iter().map(|id| is_there(&host, id)).collect();
    assert_eq!(left, [true, false, false, true, true], "the pinned one and the last two");

    // What is configured is not changed by that, and keeps all.
    let none = gc(&host, &[]);
    assert_eq!((&none["executions"], &none["bytes"]), (&json!(0), &json!(0)));
    assert_eq!(gc(&host, &["--older-than", "1h"])["executions"], 0);
    assert_eq!(gc(&host, &["--older-than", "0s"])["by_age"]["executions"], 2);
    assert!(is_there(&host, &ids[0]) && is_there(&host, &runs), "pinned, and running");
    host.ok(&["pin", "--remove", &ids[0]]);
    assert_eq!(gc(&host, &["--max-bytes", "1K"])["by_bytes"]["executions"], 1);
    host.ok(&["stop", "--firm", &runs]);
}

/// Lets the service die while it removes, and returns what `gc` says and whether something is left of each.
fn gc_of_a_dying_service() -> (Done, Vec<bool>) {
    let host = Host::new();
    let before = host.serve();
    let ids = ended(&host, 3);
    host.kill_service();
    drop(before);
    // The other pass is its own, at its start.
    let gc = ["gc", "--keep", "1", "--json"];
    let (done, _next) = while_dying(&host, "retention_committed:2", &gc);
    (done, ids.iter().map(|id| is_there(&host, id)).collect())
}

#[test]
fn death_of_the_service_is_told() {
    for _ in 0..20 {
        let (done, left) = gc_of_a_dying_service();
        assert_eq!((done.code, left), (Some(0), vec![false, false, true]), "{done:?}");
        let report: Value = serde_json::from_slice(&done.out).unwrap();
        // If its own pass was the second one, the answer was there before the death.
        if report.get("incomplete").is_some() {
            assert_eq!((&report["incomplete"], &report["executions"]), (&json!(true), &json!(0)));
            assert!(done.err.contains("is not counted"), "{done:?}");
            return;
        }
        assert_eq!(report["executions"], 2, "{report}");
    }
    panic!("the service has never died while it removed");
}

#[test]
fn mistakes_are_named_with_the_fix() {
    let host = Host::new();
    assert!(host.exeng(&["gc", "--no-start"]).refused().contains("--no-start"));
    for (args, said) in [
        (["--older-than", "7"], "has no unit"),
        (["--older-than", "-7d"], "unexpected argument"),
        (["--keep", "-1"], "unexpected argument"),
        (["--keep", "all"], "invalid digit"),
        (["--max-bytes", "much"], "is not a size"),
    ] {
        let done = host.exeng(&["gc", args[0], args[1]]);
        assert!(done.code == Some(125) && done.err.contains(said), "{args:?}: {done:?}");
    }
    let _served = host.serve();
    for (line, body, field) in [
        ("POST /v1/service/gc", r#"{"keep": 3}"#, "keep"),
        ("POST /v1/service/gc", r#"{"max_count": -3}"#, "max_count"),
        ("POST /v1/service/gc?dry_run=true", "{}", "dry_run"),
    ] {
        let reply = host.http(&with_body(line, "", body));
        assert_eq!((reply.status, &reply.json()["field"]), (400, &json!(field)), "{reply:?}");
    }
    // Without a body it is what the configuration says.
    let reply =
        host.http("POST /v1/service/gc HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\r\n");
    assert_eq!((reply.status, &reply.json()["executions"]), (200, &json!(0)), "{reply:?}");
    ended(&host, 2);
    let done = host.sh(
        "{ exeng gc --keep 1; echo $? >&2; } | true; exeng gc --keep 0 >/dev/full; echo $? >&2",
    );
    let said: Vec<_> = done.err.lines().collect();
    assert!(
        matches!(said[..], ["0" | "141", full, "125"] if full.contains("cannot be written")),
        "{done:?}"
    );
}
