//! Names of executions, and keys under which the same is accepted once.

use std::fs;

use crate::support::{Host, finish};

#[test]
fn same_key_runs_once_however_often_it_is_submitted() {
    let host = Host::new();
    let log = host.file("log");
    let line = format!("echo ran >>'{log}'");
    let submit = || host.command(&["submit", "--key", "nightly-7", "--shell", &line]);
    let children: Vec<_> = (0..8).map(|_| submit().spawn().unwrap()).collect();
    let mut ids: Vec<_> = children.into_iter().map(|child| finish(child, "submit").ok()).collect();
    host.kill_service();
    ids.push(finish(submit().spawn().unwrap(), "submit").ok());
    ids.dedup();
    let [id] = &ids[..] else { panic!("{ids:?}") };
    assert_eq!(host.exeng(&["wait", id]).code, Some(0));
    assert_eq!(fs::read_to_string(&log).unwrap(), "ran\n");
    let other = host.exeng(&["submit", "--key", "nightly-7", "--", "true"]).refused();
    assert!(other.contains("key"), "{other}");
}

#[test]
fn key_stands_for_what_was_asked_for_and_not_for_the_shell_it_came_from() {
    let host = Host::new();
    let submit = |level: &str, args: &[&str]| {
        let args = [&["submit", "--key", "nightly-7"], args].concat();
        let mut command = host.command(&args);
        command.env("SHLVL", level).env("OLDPWD", format!("/from/{level}"));
        finish(command.spawn().unwrap(), "submit --key")
    };
    let asked = ["--env", "PIN=one", "--shell", "echo $SHLVL $PIN"];
    let first = submit("1", &asked).ok();
    assert_eq!(submit("2", &asked).ok(), first);
    host.ok(&["wait", &first]);
    assert_eq!(submit("3", &asked).ok(), first);
    assert_eq!(host.ok(&["logs", &first]), "1 one");
    for (args, differs) in [
        (&["--env", "PIN=hunter2", "--shell", "echo $SHLVL $PIN"][..], "a variable"),
        (&["--env", "PIN=one", "--shell", "true"], "request.command"),
        (
            &["--env", "PIN=one", "--timeout", "1m", "--shell", "echo $SHLVL $PIN"],
            "request.timeout_ms",
        ),
        (
            &["--env", "PIN=one", "--priority", "1", "--shell", "echo $SHLVL $PIN"],
            "options.priority",
        ),
        (&["--env", "PIN=one", "--cwd", "/", "--shell", "echo $SHLVL $PIN"], "request.working_dir"),
    ] {
        let said = submit("1", args).refused();
        assert!(said.contains(&first) && said.contains(differs), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn key_stands_for_the_umask_that_was_asked_for_and_no_other() {
    let host = Host::new();
    let submit = |before: &str, options: &str| {
        host.sh(&format!("umask {before}; exeng submit --key nightly-7 {options} --shell umask"))
    };
    let first = submit("022", "").ok();
    assert_eq!(submit("077", "").ok(), first);
    host.ok(&["wait", &first]);
    assert_eq!(host.ok(&["logs", &first]), "0022");
    let said = submit("022", "--limit umask=077").refused();
    assert!(said.contains(&first) && said.contains("the umask"), "{said}");
    // What differs is named, and what is inherited is not.
    let said = submit("077", "--timeout 1m").refused();
    assert!(said.contains("request.timeout_ms") && !said.contains("limits"), "{said}");
}

#[test]
fn executions_have_short_names() {
    let host = Host::new();
    let first = host.submit("echo first");
    let last = host.submit("echo last");
    assert_eq!(host.show("@last")["id"], last.as_str());
    assert_eq!(host.show(&first[..13])["id"], first.as_str());
    assert_eq!(host.exeng(&["wait", "@last", &first[..13]]).code, Some(0));
    for verb in ["show", "logs", "wait", "stop", "rm"] {
        let unknown = host.exeng(&[verb, "0123456789"]).refused();
        assert!(unknown.contains("0123456789"), "{verb}: {unknown}");
    }
    // Every id has one of 16 first characters, so of 17 two have the same.
    let ids: Vec<_> = (0..15).map(|_| host.submit("true")).chain([first, last]).collect();
    let first = |id: &String| id.chars().next().unwrap();
    let double = ids.iter().find(|id| ids.iter().filter(|it| first(it) == first(id)).count() > 1);
    let ambiguous = host.exeng(&["show", &first(double.unwrap()).to_string()]).refused();
    assert!(ambiguous.contains("more"), "{ambiguous}");
}

#[test]
fn names_cannot_be_paths() {
    let host = Host::new();
    host.submit("true");
    for name in ["../service", "a/b", "", " ", "%40last", "?limit=1"] {
        let said = host.exeng(&["show", name]).refused();
        assert!(!said.contains("JSON"), "{name}: {said}");
    }
}
