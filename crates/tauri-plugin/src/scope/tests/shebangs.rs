//! Rules to deny look at the `#!` lines of all files that a command executes.

use serde_json::{Value, json};

use super::deny::{anything_but, is_denied_on, line, script};
use super::{FakeFileSystem, ask_in, exec};

/// A system with `su`, and scripts that it runs.
fn system() -> FakeFileSystem {
    FakeFileSystem::with(&[
        "/usr/bin/su",
        "/usr/bin/id",
        "/usr/bin/sh",
        "/usr/bin/python3",
        "/tmp/x",
    ])
    .link("/bin", "/usr/bin")
    .link("/tmp/link", "/usr/bin/su")
    .link("/etc/link", "/usr/bin/id")
    .script("/tmp/by-su", "/bin/su")
    .script("/opt/bin/tool", "/bin/su -x")
    .script("/tmp/by-id", "/usr/bin/id")
    .script("/tmp/by-sh", "/bin/sh")
    .script("/tmp/by-python", "/usr/bin/python3 -u")
    .script("/tmp/relative", "link")
}

fn no_su() -> Vec<Value> {
    vec![json!({ "name": "no-su", "program": "/usr/bin/su" })]
}

fn is_denied(deny: &[Value], request: Value) -> bool {
    is_denied_on(&system(), &anything_but(deny), request)
}

#[test]
fn a_script_is_looked_into_in_each_form_of_a_command() {
    for request in [
        script("/tmp/by-su", None),
        exec("/tmp/by-su", &[]),
        exec("tool", &[]),
        script("/tmp/x", Some("/tmp/by-su")),
        script("/tmp/x", Some("tool")),
        line("/tmp/by-su"),
    ] {
        assert!(is_denied(&no_su(), request.clone()), "{request}");
    }
    for request in [
        script("/tmp/by-id", None),
        exec("/tmp/by-id", &[]),
        script("/tmp/x", Some("/tmp/by-id")),
        line("/tmp/by-id"),
        // An interpreter that the request names reads its line as a comment.
        script("/tmp/by-su", Some("sh")),
    ] {
        assert!(!is_denied(&no_su(), request.clone()), "{request}");
    }
}

#[test]
fn a_relative_interpreter_starts_at_the_working_directory() {
    let within = |dir: &str| {
        let mut request = exec("/tmp/relative", &[]);
        request["working_dir"] = json!(dir);
        request
    };
    assert!(is_denied(&no_su(), within("/tmp")));
    assert!(!is_denied(&no_su(), within("/usr")));
    // It is not looked for in PATH.
    let mut with_path = within("/usr");
    with_path["env"] = json!({ "PATH": "/tmp" });
    assert!(!is_denied(&no_su(), with_path));
}

#[test]
fn a_line_is_read_as_linux_reads_it() {
    let denied = |head: &[u8], program: &str| {
        let files = system().file("/tmp/s", head).link("/tmp/\u{fffd}", "/usr/bin/id");
        let rules = anything_but(&[json!({ "name": "no", "program": program })]);
        is_denied_on(&files, &rules, exec("/tmp/s", &[]))
    };
    assert!(denied(b"#!/bin/su\0/x\n", "/usr/bin/su"), "a NUL byte ends the path");
    assert!(denied(b"#! \t/bin/su", "/usr/bin/su"), "no line ending");
    assert!(!denied(b"#!/bin/su\r\n", "/usr/bin/su"), "another name");
    assert!(!denied(b"#!\n/bin/su\n", "/usr/bin/su"), "an empty line");
    assert!(!denied(b"#!/tmp/\xff\n", "/usr/bin/id"), "not what it looks like as text");
}

#[test]
#[cfg(unix)]
fn a_name_that_is_no_text_is_followed_byte_for_byte() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let mut files = system().file("/tmp/s", *b"#!/tmp/\xff\n");
    files.links.insert(OsStr::from_bytes(b"/tmp/\xff").into(), "/usr/bin/su".into());
    assert!(is_denied_on(&files, &anything_but(&no_su()), exec("/tmp/s", &[])));
}

#[test]
fn interpreters_of_interpreters_are_followed_as_far_as_linux_does() {
    let files = (2..=6).fold(system(), |files, number| {
        files.script(&format!("/tmp/{number}"), &format!("/tmp/{}", number - 1))
    });
    let files = files.script("/tmp/1", "/bin/su").script("/tmp/loop", "/tmp/loop");
    let rules = anything_but(&no_su());
    for number in 1..=5 {
        assert!(is_denied_on(&files, &rules, exec(&format!("/tmp/{number}"), &[])), "{number}");
    }
    assert!(is_denied_on(&files, &rules, script("/tmp/x", Some("/tmp/5"))));
    // Linux executes neither of these.
    assert!(!is_denied_on(&files, &rules, exec("/tmp/6", &[])));
    assert!(!is_denied_on(&files, &rules, exec("/tmp/loop", &[])));
}

#[test]
fn arguments_of_an_interpreter_are_those_that_it_gets() {
    let with = |args: Value| vec![json!({ "name": "no", "program": "python3", "args": args })];
    let request = || exec("/tmp/by-python", &["a"]);
    assert!(is_denied(&with(json!(["-u", "/tmp/by-python", "a"])), request()));
    assert!(!is_denied(&with(json!(["/tmp/by-python", "a"])), request()));
}

#[test]
fn a_rule_about_scripts_of_an_interpreter_reads_their_lines() {
    let by = |interpreter: &str| {
        vec![json!({ "name": "no", "scripts": ["/tmp"], "interpreters": [interpreter] })]
    };
    for request in [script("/tmp/by-sh", None), exec("/tmp/by-sh", &[])] {
        assert!(is_denied(&by("sh"), request.clone()), "{request}");
        assert!(!is_denied(&by("python3"), request.clone()), "{request}");
        assert!(!is_denied(&by("*"), request.clone()), "none that a request names: {request}");
    }
    assert!(is_denied(&by("*"), script("/tmp/x", Some("sh"))));
}

#[test]
fn files_of_a_command_that_no_rule_allows_are_not_read() {
    let rules = super::ScopeRules {
        deny: anything_but(&no_su()).deny,
        ..super::allow(&[json!({ "name": "id", "program": "id" })])
    };
    let files = system();
    assert!(ask_in(&rules, exec("/tmp/by-su", &[]), &files).is_err());
    assert!(files.read.borrow().is_empty(), "{:?}", files.read);
    assert!(ask_in(&rules, exec("id", &[]), &files).is_ok());
    assert!(!files.read.borrow().is_empty());
}
