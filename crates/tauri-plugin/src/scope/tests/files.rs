//! Scripts, directories, variables, logs and standard input.

use execution_engine::{ExecutionOptions, Leftovers, StdinSource};
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, ask_in, ask_with, exec};
use crate::scope::Refusal;

#[test]
fn a_script_needs_an_allowed_path_and_interpreter() {
    let files = FakeFileSystem::with(&["/app/scripts/a.py", "/app/secret.py", "/elsewhere/b.py"])
        .link("/app/scripts/link.py", "/elsewhere/b.py");
    let rules = allow(&[json!({
        "name": "scripts", "scripts": ["/app/scripts"], "interpreters": ["python3"]
    })]);
    let script = |path: &str, interpreter: Option<&str>| json!({ "command": { "type": "script", "path": path, "interpreter": interpreter } });
    let run = |path, interpreter| ask_in(&rules, script(path, interpreter), &files);
    let allowed = run("/app/scripts/../scripts/a.py", Some("python3")).unwrap();
    assert_eq!(allowed.command.to_string(), "python3 /app/scripts/a.py", "the canonical path runs");
    for outside in [
        "/app/secret.py",
        "/app/scripts/../secret.py",
        "/app/scripts/link.py",
        "/app/scripts/none.py",
    ] {
        let refused = run(outside, Some("python3")).unwrap_err();
        assert_eq!(refused, Refusal::NoRule { field: "command.path", needed: "scripts" });
    }
    let interpreter = Err(Refusal::Interpreter { rule: "scripts".into() });
    assert_eq!(run("/app/scripts/a.py", Some("bash")), interpreter);
    assert_eq!(run("/app/scripts/a.py", None), interpreter);
    let without_interpreter = allow(&[json!({ "name": "x", "scripts": ["/app/scripts/a.py"] })]);
    assert!(ask_in(&without_interpreter, script("/app/scripts/a.py", None), &files).is_ok());
    assert!(
        ask_in(&without_interpreter, script("/app/scripts/a.py", Some("python3")), &files).is_err()
    );
}

#[test]
fn an_allowed_directory_does_not_match_by_text_prefix() {
    let files = FakeFileSystem::with(&["/app/scripts", "/app/scripts-old/a.py"]);
    let rules = allow(&[json!({ "name": "x", "scripts": ["/app/scripts"] })]);
    let request = json!({ "command": { "type": "script", "path": "/app/scripts-old/a.py" } });
    assert!(ask_in(&rules, request, &files).is_err());
}

#[test]
fn working_dir_and_env_must_be_listed() {
    let files = FakeFileSystem::with(&["/data/in", "/etc"]).link("/data/etc", "/etc");
    let rules = allow(&[json!({
        "name": "env", "program": "env", "working_dirs": ["/data"], "env": ["LANG", "REPORT_*"]
    })]);
    let with = |field: &str, value: Value| {
        let mut request = exec("env", &[]);
        request[field] = value;
        ask_in(&rules, request, &files)
    };
    let allowed = with("working_dir", json!("/data/../data/in")).unwrap();
    assert_eq!(allowed.working_dir, Some("/data/in".into()));
    for dir in ["/etc", "/data/etc", "/data/../etc", "/data/none"] {
        let needed = "working_dirs";
        let refused = Refusal::Outside { field: "working_dir", needed, rule: "env".into() };
        assert_eq!(with("working_dir", json!(dir)), Err(refused), "{dir}");
    }
    assert!(with("env", json!({ "LANG": "C", "REPORT_MONTH": "1" })).is_ok());
    for name in ["PATH", "LANGUAGE", "lang", "LD_PRELOAD", "XREPORT_"] {
        let refused = with("env", json!({ name: "x" })).unwrap_err();
        assert!(matches!(refused, Refusal::Variable { .. }), "{name}");
        assert!(refused.to_string().contains("`LANG`, `REPORT_*`"), "{refused}");
    }
}

#[test]
fn log_files_and_leftovers_must_be_allowed() {
    let files = FakeFileSystem::with(&["/logs/old.log", "/etc/passwd"])
        .link("/logs/out", "/etc")
        .link("/logs/dangling", "/etc/new");
    let rules = allow(&[json!({ "name": "a", "program": "a", "log_dirs": ["/logs"] })]);
    let log = |path: &str| {
        let mut request = exec("a", &[]);
        request["output_log_path"] = json!(path);
        ask_in(&rules, request, &files)
    };
    assert_eq!(log("/logs/new.log").unwrap().output_log_path, Some("/logs/new.log".into()));
    assert_eq!(log("/logs/old.log").unwrap().output_log_path, Some("/logs/old.log".into()));
    for path in [
        "/etc/new",
        "/logs/../etc/new",
        "/logs/out/new",
        "/logs/dangling",
        "/logs/none/new",
        "/logs/..",
    ] {
        assert!(matches!(log(path), Err(Refusal::Outside { .. })), "{path}");
    }

    let leave = ExecutionOptions::default().leftovers(Leftovers::Leave);
    let refused = ask_with(&rules, exec("a", &[]), leave.clone(), &files);
    assert_eq!(refused, Err(Refusal::Leftovers { rule: "a".into() }));
    let lenient = allow(&[json!({ "name": "a", "program": "a", "leftovers": "leave" })]);
    assert!(ask_with(&lenient, exec("a", &[]), leave, &files).is_ok());
}

#[test]
fn a_stdin_file_must_be_inside_stdin_dirs() {
    let files =
        FakeFileSystem::with(&["/data/in.csv", "/etc/shadow"]).link("/data/link", "/etc/shadow");
    let rules = allow(&[json!({ "name": "sort", "program": "sort", "stdin_dirs": ["/data"] })]);
    let with = |source| {
        let options = ExecutionOptions::default().stdin(source);
        ask_with(&rules, exec("sort", &[]), options, &files).map(|allowed| allowed.options.stdin)
    };
    assert_eq!(
        with(StdinSource::file("/data/../data/in.csv")),
        Ok(StdinSource::file("/data/in.csv")),
        "the canonical file is read"
    );
    for outside in ["/etc/shadow", "/data/link", "/data/../etc/shadow", "/data/none"] {
        let refused = with(StdinSource::file(outside)).unwrap_err();
        assert!(matches!(refused, Refusal::Outside { needed: "stdin_dirs", .. }), "{outside}");
    }
    for own in [StdinSource::Null, StdinSource::bytes("a"), StdinSource::Piped] {
        assert_eq!(with(own.clone()), Ok(own));
    }
}
