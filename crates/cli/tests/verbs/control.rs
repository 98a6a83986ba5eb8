//! The verbs that control what runs or waits, and what they refuse.

use serde_json::{Value, json};

use crate::support::{Host, until, when_written};

/// Submits a line of a shell that says in a file that it runs, and returns the id once it does.
pub(crate) fn running(host: &Host, name: &str, line: &str) -> String {
    let there = host.file(name);
    let id = host.submit(&format!("{line}; echo >'{there}'; while :; do sleep 0.01; done"));
    when_written(&there);
    id
}

/// Submits work under an id.
fn submit_as(host: &Host, id: &str) {
    let body = r#"{"request": {"command": ["true"], "working_dir": "/"}}"#;
    let reply = host.http(&format!(
        "PUT /v1/executions/{id} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(reply.status, 201, "{reply:?}");
}

/// Checks that a verb refuses names that are of no execution, or of several, and does not start a service where it
/// must not.
pub(crate) fn refuses_names(verb: &[&str]) {
    let host = Host::new();
    let with = |names: &[&str]| host.exeng(&[verb, names].concat());
    let said = with(&["--no-start", "@last"]).refused();
    assert!(said.contains("exeng serve"), "{verb:?}: {said}");
    let _served = host.serve();
    assert!(with(&["@last"]).refused().contains("no execution yet"), "{verb:?}");
    for id in ["abcd0000-0000-4000-8000-000000000001", "abcd1111-0000-4000-8000-000000000002"] {
        submit_as(&host, id);
    }
    assert!(with(&["abcd"]).refused().contains("more than one execution"), "{verb:?}");
    assert!(with(&["ef"]).refused().contains("no execution whose id begins with ef"), "{verb:?}");
    assert!(with(&["nonsense"]).refused().contains("no id of an execution"), "{verb:?}");
    // clap says what is missing, and how it is used.
    let without = with(&[]);
    assert_eq!((without.code, without.out.as_slice()), (Some(125), &b""[..]), "{without:?}");
    assert!(without.err.contains("Usage: exeng"), "{without:?}");
}

#[test]
fn signal_reaches_the_whole_tree_by_any_of_its_names() {
    let host = Host::new();
    let seen = host.file("seen");
    let trap = format!("trap 'echo usr1 >>\"{seen}\"' USR1; trap 'echo hup >>\"{seen}\"' HUP");
    let id = running(&host, "there", &trap);
    let count = |word: &str| {
        std::fs::read_to_string(&seen).unwrap_or_default().lines().filter(|it| *it == word).count()
    };
    for (at, name) in ["USR1", "sigusr1", "10"].into_iter().enumerate() {
        host.ok(&["signal", name, "@last"]);
        until("it is seen", || count("usr1") == at + 1);
    }
    let sent: Value =
        serde_json::from_str(&host.ok(&["signal", "HUP", "--json", &id[..8]])).unwrap();
    until("it is seen", || count("hup") == 1);
    assert_eq!(sent[0]["id"], id.as_str());
    assert!(sent[0]["processes"].as_u64().is_some_and(|processes| processes >= 1), "{sent}");
    host.ok(&["signal", "KILL", &id]);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(137));
}

#[test]
fn signal_is_refused_where_there_is_no_process() {
    refuses_names(&["signal", "TERM"]);
    let host = Host::new();
    host.configure("max_running = 1");
    let id = running(&host, "there", "trap '' USR1");
    let queued = host.submit("true");
    let said = host.exeng(&["signal", "NOSUCH", &id]);
    assert!(said.code == Some(125) && said.err.contains("is not a signal; write"), "{said:?}");
    // What can be done is done all the same.
    let done = host.exeng(&["signal", "USR1", "--json", &queued, &id]);
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.err.contains("waits in the queue") && done.err.contains("stop it"), "{done:?}");
    assert_eq!(serde_json::from_slice::<Value>(&done.out).unwrap()[0]["id"], id.as_str());
    host.ok(&["stop", &queued, &id]);
    let ended = host.exeng(&["signal", "USR1", &id]).refused();
    assert!(ended.contains("ended already"), "{ended}");
}

#[test]
fn routes_of_control_refuse_what_they_do_not_know() {
    let host = Host::new();
    let _served = host.serve();
    let id = running(&host, "there", "true");
    let post = |part: &str, body: &str| {
        host.http(&format!(
            "POST /v1/executions/{id}/{part} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for (part, body, field) in [
        ("signal", r#"{"signal": "nosuch"}"#, "signal"),
        ("signal", r#"{"signal": 99}"#, "signal"),
        ("signal", r#"{"signal": 10, "firm": true}"#, "firm"),
        ("signal?firm=true", r#"{"signal": 10}"#, "firm"),
    ] {
        let reply = post(part, body);
        let problem = reply.json();
        assert_eq!((reply.status, &problem["code"]), (400, &json!("invalid_request")), "{problem}");
        assert_eq!(problem["field"], field, "{problem}");
    }
    let sent = post("signal", r#"{"signal": "terminate"}"#);
    assert_eq!((sent.status, &sent.json()["id"]), (200, &json!(id)), "{sent:?}");
}
