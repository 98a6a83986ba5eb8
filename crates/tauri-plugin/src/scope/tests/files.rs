//! Scripts, directories, variables, logs and standard input.

use execution_engine::{ExecutionOptions, Leftovers, Links, StdinSource, UserIds};
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, ask_in, ask_with, compiled, exec};
use crate::scope::{Refusal, ScopeRules};

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
fn arguments_of_a_script_must_match_those_of_the_rule() {
    let files = FakeFileSystem::with(&["/app/scripts/a.py", "/app/scripts/b.py"]);
    let mut rules = allow(&[json!({
        "name": "reports", "scripts": ["/app/scripts"], "interpreters": ["python3"],
        "args": ["--month", { "regex": "[0-9]{4}-[0-9]{2}" }]
    })]);
    let run = |rules: &ScopeRules, path: &str, args: Value| {
        let script =
            json!({ "type": "script", "path": path, "interpreter": "python3", "args": args });
        ask_in(rules, json!({ "command": script }), &files)
    };
    let month = json!(["--month", "2026-10"]);
    let allowed = run(&rules, "/app/scripts/../scripts/a.py", month.clone()).unwrap();
    assert_eq!(allowed.command.argv(), ["python3", "/app/scripts/a.py", "--month", "2026-10"]);
    let refused = |number| Err(Refusal::Argument { rule: "reports".into(), number });
    assert_eq!(run(&rules, "/app/scripts/a.py", json!(["--month", "x"])), refused(2));
    assert_eq!(run(&rules, "/app/scripts/a.py", json!([])), refused(1));
    let not_text = run(&rules, "/app/scripts/a.py", json!(["--month", [255]]));
    assert!(not_text.is_err(), "a rule says nothing about arguments that are not UTF-8");
    let without = allow(&[json!({
        "name": "x", "scripts": ["/app/scripts"], "interpreters": ["python3"]
    })]);
    assert!(run(&without, "/app/scripts/a.py", json!([])).is_ok());
    assert!(run(&without, "/app/scripts/a.py", month.clone()).is_err());

    rules.deny = vec![compiled(json!({ "name": "no-b", "scripts": ["/app/scripts/b.py"] }))];
    assert!(run(&rules, "/app/scripts/a.py", month.clone()).is_ok());
    let denied = run(&rules, "/app/scripts/b.py", month);
    assert_eq!(denied, Err(Refusal::Denied { rule: "no-b".into() }));
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
fn the_environment_of_the_options_must_be_allowed() {
    let rules = allow(&[
        json!({ "name": "some", "program": "a", "env": ["X", "MY_*"] }),
        json!({ "name": "clear", "program": "b", "env": ["X"], "clear_env": true }),
        json!({ "name": "all", "program": "c", "env": ["*"] }),
    ]);
    let files = FakeFileSystem::with(&[]);
    let options = ExecutionOptions::default;
    let ask = |program: &str, chosen: ExecutionOptions| {
        ask_with(&rules, exec(program, &[]), chosen.clone(), &files).map(|allowed| {
            assert_eq!(allowed.options, chosen.links(Links::Refuse), "the options are passed on");
        })
    };
    for chosen in [options().env("X", "1"), options().env_remove("X"), options().env("MY_A", "1")] {
        assert_eq!(ask("a", chosen), Ok(()));
    }
    for chosen in [options().env("PATH", "/tmp"), options().env_remove("PATH")] {
        for program in ["a", "b"] {
            let refused = ask(program, chosen.clone());
            assert!(matches!(refused, Err(Refusal::Variable { .. })), "{program}: {refused:?}");
        }
        assert_eq!(ask("c", chosen), Ok(()));
    }
    for chosen in [options().env_clear(), options().env_only(["PATH"])] {
        assert_eq!(ask("a", chosen.clone()), Err(Refusal::ClearEnv { rule: "some".into() }));
        assert_eq!(ask("b", chosen.clone()), Ok(()));
        assert_eq!(ask("c", chosen), Ok(()));
    }
}

#[test]
fn another_user_is_denied() {
    let rules = allow(&[json!({ "name": "a", "program": "a", "env": ["*"], "clear_env": true })]);
    let options = ExecutionOptions::default().user(UserIds::new(0, 0));
    let refused = ask_with(&rules, exec("a", &[]), options, &FakeFileSystem::with(&[]));
    assert_eq!(refused, Err(Refusal::Option { field: "options.user", rule: "a".into() }));
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

#[test]
fn what_is_allowed_follows_no_links_whatever_is_asked_for() {
    let rules = allow(&[json!({ "name": "a", "program": "a" })]);
    for asked in [Links::Follow, Links::Refuse] {
        let options = ExecutionOptions::default().links(asked);
        let allowed = ask_with(&rules, exec("a", &[]), options, &FakeFileSystem::with(&[]));
        assert_eq!(allowed.unwrap().options.links, Links::Refuse);
    }
}
