//! `token`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::groups::while_dying;
use crate::http::{problem, with_body};
use crate::support::{Host, files_with};

fn list(host: &Host) -> Value {
    serde_json::from_str(&host.ok(&["token", "ls", "--json"])).unwrap()
}

#[test]
fn token_is_shown_once_and_is_nowhere_on_the_disk() {
    let host = Host::new();
    assert_eq!(host.ok(&["token", "ls"]), "");
    let token = host.ok(&["token", "create", "phone", "--scope", "read"]);
    assert!(token.starts_with("exeng_") && token.len() == 49, "{token}");
    let made = host.ok(&["token", "create", "ci", "--scope=run", "--expires=90d", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["name"], &made["scope"]), (&json!("ci"), &json!("run")));
    assert_ne!(made["token"], token);

    let listed = list(&host);
    assert_eq!((&listed[0]["name"], &listed[1]["name"]), (&json!("ci"), &json!("phone")));
    assert_eq!(listed[0]["expires_at"], made["expires_at"]);
    assert_eq!((&listed[1]["expires_at"], &listed[1]["expired"]), (&Value::Null, &json!(false)));
    let table = host.ok(&["token", "ls"]);
    assert!(table.starts_with("NAME ") && table.contains("never"), "{table}");
    for text in [token.as_bytes(), made["token"].as_str().unwrap().as_bytes()] {
        assert!(!table.as_bytes().windows(text.len()).any(|part| part == text), "{table}");
        assert_eq!(files_with(host.state(), text), [] as [std::path::PathBuf; 0]);
    }

    let taken = host.exeng(&["token", "create", "ci", "--scope", "read"]).refused();
    assert!(taken.contains("exeng token revoke ci"), "{taken}");
    host.kill_service();
    assert_eq!(list(&host), listed, "the next service has them");
    assert_eq!(host.ok(&["token", "revoke", "ci", "phone"]), "");
    assert_eq!(list(&host), json!([]));
    let gone = host.exeng(&["token", "revoke", "ci"]).refused();
    assert!(gone.contains("there is no token \"ci\""), "{gone}");
}

#[test]
fn file_with_a_token_is_new_and_private() {
    let host = Host::new();
    let file = host.file("token");
    let create = ["token", "create", "ci", "--scope", "run", "--file", &file];
    let done = host.sh(&format!("umask 0; exeng {}", create.join(" ")));
    assert_eq!(done.ok(), "");
    let token = fs::read_to_string(&file).unwrap();
    assert!(token.starts_with("exeng_") && token.ends_with('\n'), "{token}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Neither the file nor the token of another is touched.
    let there = host.exeng(&["token", "create", "x", "--scope", "run", "--file", &file]).refused();
    assert!(there.contains("name one that does not exist"), "{there}");
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    assert_eq!(list(&host).as_array().unwrap().len(), 1);
    let other = host.file("other");
    host.exeng(&["token", "create", "ci", "--scope", "run", "--file", &other]).refused();
    assert!(!fs::exists(&other).unwrap(), "no file without a token");
}

#[test]
fn mistakes_are_named_with_the_fix() {
    let host = Host::new();
    for (args, said) in [
        (&["create", "a"][..], "--scope <SCOPE>"),
        (&["create", "a", "--scope", "all"], "[possible values: read, run, admin, mcp]"),
        (&["create", "a", "--scope", "run", "--expires", "2020-01-01"], "has passed"),
        (&["create", "a/b", "--scope", "run"], "the first a letter or a digit"),
        (&["create", "..", "--scope", "run"], "the first a letter or a digit"),
        (&["create", "", "--scope", "run"], "a value is required"),
        (&["revoke", "nobody"], "exeng token ls"),
        (&["revoke"], "<NAME>"),
    ] {
        let done = host.exeng(&[&["token"], args].concat());
        assert!(done.code == Some(125) && done.err.contains(said), "{args:?}: {done:?}");
        assert!(done.out.is_empty(), "{args:?}: {done:?}");
    }
    assert_eq!(list(&host), json!([]));
}

#[test]
fn routes_refuse_what_they_do_not_know() {
    let host = Host::new();
    let _served = host.serve();
    let call = |line: &str, body: &str| host.http(&with_body(line, "", body));
    let create = |body: &str| call("POST /v1/tokens", body);
    for (body, field) in [
        (r#"{"name": "a", "scope": "all"}"#, "scope"),
        (r#"{"name": "a", "scope": "run", "more": 1}"#, "more"),
        (r#"{"name": "../a", "scope": "run"}"#, "name"),
        (r#"{"name": "a", "scope": "run", "expires_at": "2020-01-01T00:00:00Z"}"#, "expires_at"),
    ] {
        assert_eq!(problem(&create(body), 400, "invalid_request")["field"], field, "{body}");
    }
    let made = create(r#"{"name": "a", "scope": "mcp"}"#);
    assert_eq!((made.status, made.header("cache-control").as_deref()), (201, Some("no-store")));
    assert!(made.json()["token"].as_str().unwrap().starts_with("exeng_"));
    let again = create(r#"{"name": "a", "scope": "mcp"}"#);
    assert_eq!(problem(&again, 409, "name_taken")["field"], "name");
    let listed = call("GET /v1/tokens", "").json();
    assert_eq!(listed["tokens"][0]["name"], "a");
    assert!(listed["tokens"][0].get("token").is_none(), "{listed}");
    problem(&call("DELETE /v1/tokens/..%2Fa", ""), 404, "unknown_token");
    problem(&call("DELETE /v1/tokens/%ff", ""), 400, "invalid_request");
    assert_eq!(call("DELETE /v1/tokens/a", "").status, 204);
    problem(&call("DELETE /v1/tokens/a", ""), 404, "unknown_token");
}

/// The service dies while it makes or revokes a token; what was told is true, and no name is lost.
#[test]
fn death_of_the_service_loses_no_change() {
    for point in ["remove_token_applied", "remove_token_committed"] {
        let host = Host::new();
        let before = host.serve();
        host.ok(&["token", "create", "ci", "--scope", "run"]);
        host.kill_service();
        drop(before);
        let (done, _next) = while_dying(&host, point, &["token", "revoke", "ci"]);
        assert_eq!(done.ok(), "", "{point}");
        assert_eq!(list(&host), json!([]), "{point}");
    }
    let host = Host::new();
    let create = ["token", "create", "ci", "--scope", "run"];
    let (done, _next) = while_dying(&host, "create_token_applied", &create);
    assert!(done.ok().starts_with("exeng_"), "nothing was stored before");
    let host = Host::new();
    let (done, _next) = while_dying(&host, "create_token_committed", &create);
    // The one that is stored was never told, so nobody has it.
    assert!(done.refused().contains("exeng token revoke ci"));
    assert_eq!(list(&host)[0]["name"], "ci");
}
