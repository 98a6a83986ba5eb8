//! Rules to deny are about files, however they are named.

use execution_engine::ExecutionOptions;
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, ask_in, ask_with, compiled, exec};
use crate::scope::{Refusal, ScopeRules};

/// A system with a program `su` and other names of it.
fn system() -> FakeFileSystem {
    FakeFileSystem::with(&[
        "/usr/bin/su",
        "/usr/bin/id",
        "/tmp/x",
        "/usr/bin/python3",
        "/usr/bin/dash",
    ])
    .link("/bin", "/usr/bin")
    .link("/tmp/link", "/usr/bin/su")
    .link("/opt/bin/alias", "/usr/bin/su")
    .link("/usr/bin/sh", "/usr/bin/dash")
    .hard_link("/tmp/hard", "/usr/bin/su")
    .script("/tmp/by-su", "/bin/su")
    .script("/tmp/by-python", "/usr/bin/python3")
}

/// Rules that allow anything but these.
pub(super) fn anything_but(deny: &[Value]) -> ScopeRules {
    ScopeRules {
        deny: deny.iter().cloned().map(compiled).collect(),
        ..allow(&[
            json!({ "name": "any", "program": "*", "args": "any", "env": ["*"], "working_dirs": ["/"] }),
            json!({ "name": "scripts", "scripts": ["/"] }),
            json!({ "name": "by", "scripts": ["/"], "interpreters": ["*"] }),
            json!({ "name": "sh", "shell": "*" }),
        ])
    }
}

pub(super) fn script(path: &str, interpreter: Option<&str>) -> Value {
    json!({ "command": { "type": "script", "path": path, "interpreter": interpreter } })
}

pub(super) fn line(shell: &str) -> Value {
    json!({ "rule": "sh", "command": { "type": "shell", "command": "ls", "shell": shell } })
}

fn is_denied(rules: &ScopeRules, request: Value) -> bool {
    is_denied_on(&system(), rules, request)
}

pub(super) fn is_denied_on(files: &FakeFileSystem, rules: &ScopeRules, request: Value) -> bool {
    match ask_in(rules, request.clone(), files) {
        Ok(_) => false,
        Err(Refusal::Denied { .. }) => true,
        Err(other) => panic!("{request}: {other}"),
    }
}

#[test]
fn a_denied_program_is_denied_by_any_name() {
    for denied in ["su", "/usr/bin/su", "/bin/su"] {
        let rules = anything_but(&[json!({ "name": "no-su", "program": denied })]);
        for name in
            ["su", "/usr/bin/su", "/bin/su", "/tmp/link", "/tmp/hard", "alias", "/bin/../bin/su"]
        {
            assert!(is_denied(&rules, exec(name, &[])), "{denied}: {name}");
        }
        for other in ["id", "/bin/id", "/tmp/x", "none"] {
            assert!(!is_denied(&rules, exec(other, &[])), "{denied}: {other}");
        }
    }
}

#[test]
fn the_path_of_the_request_does_not_hide_a_denied_program() {
    let rules = anything_but(&[json!({ "name": "no-su", "program": "su" })]);
    let with = |name: &str, path: &str| {
        let mut request = exec(name, &[]);
        request["env"] = json!({ "PATH": path });
        request
    };
    assert!(is_denied(&rules, with("link", "/tmp")));
    assert!(is_denied(&rules, with("su", "/none")));
    let mut relative = with("link", ".");
    relative["working_dir"] = json!("/tmp");
    assert!(is_denied(&rules, relative));
    let mut below = exec("./hard", &[]);
    below["working_dir"] = json!("/tmp");
    assert!(is_denied(&rules, below));
    assert!(!is_denied(&rules, with("x", "/tmp")));
    let options = ExecutionOptions::default().env("PATH", "/tmp");
    let denied = ask_with(&rules, exec("link", &[]), options, &system());
    assert_eq!(denied, Err(Refusal::Denied { rule: "no-su".into() }));
}

#[test]
fn a_denied_program_runs_neither_as_script_nor_as_interpreter_nor_as_shell() {
    let rules = anything_but(&[json!({ "name": "no-su", "program": "su" })]);
    for path in ["/bin/su", "/tmp/link", "/tmp/hard", "/tmp/by-su"] {
        assert!(is_denied(&rules, script(path, None)), "{path}");
    }
    assert!(is_denied(&rules, script("/tmp/x", Some("/bin/su"))));
    assert!(is_denied(&rules, script("/tmp/x", Some("alias"))));
    assert!(is_denied(&rules, line("/tmp/link")));
    assert!(!is_denied(&rules, script("/tmp/by-python", None)));
    assert!(!is_denied(&rules, script("/tmp/x", Some("python3"))));
}

#[test]
fn a_denied_shell_is_denied_by_any_name() {
    let rules = anything_but(&[json!({ "name": "no-sh", "shell": "/bin/sh" })]);
    for shell in ["/bin/sh", "sh", "/usr/bin/sh", "/usr/bin/dash", "dash"] {
        assert!(is_denied(&rules, line(shell)), "{shell}");
    }
    assert!(is_denied(&rules, exec("dash", &["-c", "ls"])), "and it runs as no program");
    assert!(!is_denied(&rules, line("/usr/bin/python3")));
    let no_lines = anything_but(&[json!({ "name": "no-lines", "shell": "*" })]);
    assert!(is_denied(&no_lines, line("/bin/sh")) && !is_denied(&no_lines, exec("id", &[])));
}

#[test]
fn denied_scripts_and_interpreters() {
    let rules = anything_but(&[json!({ "name": "no-tmp", "scripts": ["/tmp"] })]);
    assert!(is_denied(&rules, script("/tmp/x", None)));
    assert!(is_denied(&rules, script("/tmp/x", Some("python3"))));
    assert!(is_denied(&rules, exec("/tmp/x", &[])), "and it runs as no program");
    assert!(!is_denied(&rules, script("/usr/bin/id", None)));
    let by = anything_but(&[
        json!({ "name": "no-sh", "scripts": ["/tmp"], "interpreters": ["/bin/sh"] }),
    ]);
    assert!(is_denied(&by, script("/tmp/x", Some("dash"))));
    assert!(!is_denied(&by, script("/tmp/x", Some("python3"))));
    assert!(!is_denied(&by, script("/tmp/x", None)));
}

#[test]
fn arguments_narrow_a_rule_to_deny() {
    let rules = anything_but(&[json!({
        "name": "no-code", "program": "python3", "args": ["-c", { "regex": ".*", "times": "rest" }]
    })]);
    assert!(is_denied(&rules, exec("/bin/python3", &["-c", "code"])));
    assert!(!is_denied(&rules, exec("python3", &["file.py"])));
    assert!(!is_denied(&rules, script("/tmp/by-python", None)));
    let all = anything_but(&[json!({ "name": "no-programs", "program": "*" })]);
    assert!(is_denied(&all, exec("id", &[])) && !is_denied(&all, script("/tmp/x", None)));
}
