//! Options that are refused, and what is said then.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Done, Host, finish};

fn refused(host: &Host, args: &[&str]) -> String {
    let done = host.exeng(args);
    assert_eq!((done.code, done.out.len()), (Some(125), 0), "{done:?}");
    done.err
}

#[test]
fn what_the_service_would_not_understand_is_refused_with_the_option() {
    let host = Host::new();
    for (args, named) in [
        (&["--key", "a\nb"][..], "--key"),
        (&["--key", ""], "--key"),
        (&["--key", " a"], "--key"),
        (&["--tag", ""], "--tag"),
        (&["--label", "a=1", "--label", "a=2"], "--label"),
        (&["--stdin", "-"], "--stdin -"),
    ] {
        let said = refused(&host, &[&["submit"], args, &["--", "true"]].concat());
        assert!(said.contains(named), "{args:?}: {said}");
    }
    let mut command = host.command(&["submit", "--stdin"]);
    command.arg(OsStr::from_bytes(b"/\xff")).args(["--", "true"]);
    let said = finish(command.spawn().unwrap(), "submit --stdin").refused();
    assert!(said.contains("--stdin") && said.contains("UTF-8"), "{said}");
    // Nothing of this needs a service.
    assert_eq!(host.service(), None);
}

#[test]
fn negative_times_are_told_as_such() {
    let host = Host::new();
    for option in ["--timeout", "--idle-timeout", "--stop-grace"] {
        let said = refused(&host, &["run", option, "-1s", "--", "true"]);
        assert!(said.contains(option) && said.contains("is not a time"), "{said}");
    }
    assert!(refused(&host, &["wait", "--timeout", "-1s", "x"]).contains("is not a time"));
    assert_eq!(host.ok(&["ls", "--since", "99999999h"]), "");
}

#[test]
fn moments_are_told_by_their_forms() {
    let host = Host::new();
    let id = host.ok(&["submit", "--wait", "--", "true"]);
    for since in ["yesterday", "2020-01-31", "2020-01-31T12:00", "2h"] {
        assert!(host.ok(&["ls", "--json", "--since", since]).contains(&id), "{since}");
        assert_eq!(host.ok(&["ls", "--json", "--until", since]), "", "{since}");
    }
    let said = refused(&host, &["ls", "--since", "last week"]);
    for form in ["2h", "yesterday", "2026-11-30"] {
        assert!(said.contains(form), "{said}");
    }
}

#[test]
fn refusals_name_the_options_of_the_command_line() {
    let host = Host::new();
    for verb in [&["run"][..], &["submit", "--wait"]] {
        for (args, named) in [
            (&["--limit", "open-files=1", "--", "true"][..], "--limit open-files"),
            (&["--", "cd"], "--shell"),
            (&["--cwd", "/no/such", "--", "true"], "--cwd"),
        ] {
            let done = host.exeng(&[verb, args].concat());
            assert!(done.err.contains(named), "{verb:?} {args:?}: {done:?}");
            for theirs in ["open_files", "ExecutionRequest", "working_dir"] {
                assert!(!done.err.contains(theirs), "{verb:?} {args:?}: {done:?}");
            }
        }
    }
}

#[test]
fn messages_do_not_control_the_terminal() {
    let host = Host::new();
    let bad = "/no/such/\u{1b}[31m\u{202e}x";
    let mut all = vec![
        host.exeng(&["run", "--env-file", bad, "--", "true"]),
        host.exeng(&["run", "--json", bad, "--", "true"]),
        host.exeng(&["run", "--output", &format!("{bad}/y"), "--", "true"]),
        host.exeng(&["submit", "--priority", bad, "--", "true"]),
        host.exeng(&["submit", "--cwd", bad, "--", "true"]),
    ];
    let mut ls = host.command(&["ls", "--no-start"]);
    ls.env("EXENG_STATE_DIR", bad);
    all.push(finish(ls.spawn().unwrap(), "ls"));
    for done in all {
        assert_eq!(done.code, Some(125), "{done:?}");
        assert!(!done.err.is_empty() && !done.err.contains(['\u{1b}', '\u{202e}']), "{done:?}");
    }
}

#[test]
fn empty_variables_name_no_place() {
    let host = Host::new();
    let run = |args: &[&str], config: &str| -> Done {
        let mut command = host.command(args);
        command.env("EXENG_SOCKET", "").env("EXENG_CONFIG", config);
        finish(command.spawn().unwrap(), "exeng")
    };
    let id = run(&["submit", "--wait", "--", "true"], "").ok();
    assert_eq!(run(&["show", &id], "").code, Some(0));
    assert!(host.state().join("exeng.sock").exists());
    let mut elsewhere = host.command(&["ls", "--no-start"]);
    elsewhere.env("EXENG_STATE_DIR", "").env("XDG_STATE_HOME", host.file("xdg"));
    elsewhere.env_remove("XDG_RUNTIME_DIR");
    let said = finish(elsewhere.spawn().unwrap(), "ls").refused();
    assert!(said.contains(&host.file("xdg/exeng/exeng.sock")), "{said}");
    // One that names nothing is told.
    let missing = host.file("no.toml");
    let page = run(&["doctor"], &missing);
    assert!(page.text().contains(&missing), "{page:?}");
    assert!(page.text().contains("does not exist"), "{page:?}");
    assert!(!run(&["doctor"], "").text().contains("does not exist"));
}

#[test]
fn id_is_told_where_it_cannot_be_written() {
    let host = Host::new();
    let done = host.sh("exeng submit -- true >/dev/full");
    assert_eq!(done.code, Some(125), "{done:?}");
    let list = host.ok(&["ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert!(done.err.contains(listed["id"].as_str().unwrap()), "{done:?}");
}

#[test]
fn help_shows_no_hidden_verb() {
    let host = Host::new();
    for args in [&[][..], &["--help"], &["no-such-verb"]] {
        let done = host.exeng(args);
        let said = format!("{}{}", done.text(), done.err);
        assert!(!said.contains("keeper ") && !said.contains("keeper,"), "{args:?}: {said}");
    }
    assert_eq!(host.exeng(&[]).code, Some(125));
}
