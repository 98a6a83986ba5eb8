//! What the verbs do, where all goes well.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::*;
use crate::support::{finish, send};

const RELEASE: &str = r#"
description = "release"
[[steps]]
name = "version"
command = "echo 1.4"
[[steps]]
name = "build"
command = "echo building $VERSION in $PWD; test -e ready || exit 7"
env_from = { VERSION = "version" }
[[steps]]
name = "ship"
command = "echo ship >> log"
after = ["build"]
[[steps]]
name = "clean"
command = "echo clean >> log"
after = ["ship"]
always = true
"#;

#[test]
fn plan_is_run_shown_and_resumed() {
    let host = Host::new();
    let file = write(&host, "release.toml", RELEASE);
    let junit = host.file("junit.xml");
    let first = host.exeng(&["plan", "run", "--json", "--junit", &junit, "--tag", "t", &file]);
    assert_eq!(first.code, Some(7), "that of the step that failed: {first:?}");
    let plan: Value = serde_json::from_str(&first.text()).unwrap();
    assert_eq!((plan["status"].as_str(), plan["tags"][0].as_str()), (Some("failed"), Some("t")));
    assert_eq!(statuses(&plan), ["completed", "failed", "skipped", "completed"]);
    let id = plan["id"].as_str().unwrap();
    let said = messages(&first);
    assert_eq!(said[0], format!("plan {id}"));
    assert!(
        said.iter().any(|line| line.starts_with("build: failed with exit code 7, ")),
        "{said:?}"
    );
    let build = plan["steps"][1]["execution"].as_str().unwrap();
    assert!(said.contains(&&*format!("output of build: exeng logs {}", &build[..8])), "{said:?}");
    assert_eq!(
        said.last().unwrap(),
        &format!("run what is left of it, as it was submitted: exeng plan resume {}", &id[..8])
    );
    let here = host.dir().canonicalize().unwrap();
    assert_eq!(host.ok(&["logs", build]), format!("building 1.4 in {}", here.display()));
    assert_eq!(host.show(build)["plan"], *id);

    let xml = fs::read_to_string(&junit).unwrap();
    for part in [
        r#"tests="4" skipped="1" failures="1""#,
        r#"<failure message="failed with exit code 7, "#,
        "building 1.4 in ",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    let shown = host.ok(&["plan", "show", &id[..8]]);
    assert!(shown.contains("4 steps: 2 completed, 1 failed, 1 skipped"), "{shown}");
    assert!(host.ok(&["plan", "show", "--mermaid", id]).contains("exit code 7"));
    let suite = |text: &str| text[text.find("<testsuite ").unwrap()..].to_string();
    assert_eq!(suite(&host.ok(&["plan", "show", "--junit", id])), suite(xml.trim_end()));

    // What a step takes must be there, so this one runs again.
    host.ok(&["rm", plan["steps"][0]["execution"].as_str().unwrap()]);
    fs::write(host.file("ready"), "").unwrap();
    let second = host.exeng(&["plan", "resume", "@last"]);
    assert_eq!((second.code, second.text().as_str()), (Some(0), ""), "{second:?}");
    let plan = show(&host, id);
    assert_eq!(statuses(&plan), ["completed"; 4]);
    assert_eq!((plan["round"].as_u64(), plan["steps"][0]["kept"].as_bool()), (Some(2), None));
    assert_eq!(lines(&host, "log"), ["clean", "clean", "ship"]);
    let steps = host.ok(&["ls", "--json", "--plan", &id[..8]]);
    assert_eq!(steps.lines().count(), 6, "two ran twice: {steps}");
    for verb in ["show", "logs", "wait"] {
        let no_execution = host.exeng(&[verb, id]).refused();
        assert!(no_execution.contains("it is a plan: use exeng plan show"), "{no_execution}");
    }
    let again = host.exeng(&["plan", "resume", id]).refused();
    assert!(again.contains("has completed"), "{again}");

    let listed: Value = serde_json::from_str(&host.ok(&["plan", "ls", "--json"])).unwrap();
    assert_eq!((&listed["id"], &listed["counts"]["completed"]), (&plan["id"], &4.into()));
    assert!(host.ok(&["plan", "ls"]).contains("4/4"));
    assert_eq!(host.ok(&["plan", "ls", "--status", "failed"]), "");
    assert_eq!(host.ok(&["plan", "rm", "--dry-run", id]), id);
    host.ok(&["plan", "rm", id]);
    assert_eq!(host.ok(&["plan", "ls"]), "");
    assert_eq!(host.show(build)["exit_code"], 7, "the executions stay");
}

#[test]
fn output_of_steps_is_printed_with_their_names() {
    let host = Host::new();
    let text = r#"
        [[steps]]
        name = "one"
        command = "echo first; echo second"
        [[steps]]
        name = "longer"
        command = "cat; printf end"
        stdin_from = "one"
    "#;
    let file = write(&host, "plan.toml", text);
    let run = host.exeng(&["plan", "run", "--logs", &file]);
    let expected = "one    | first\none    | second\nlonger | first\nlonger | second\nlonger | end";
    assert_eq!((run.code, run.text().as_str()), (Some(0), expected), "{run:?}");
    assert!(run.err.contains("plan completed"), "{run:?}");
    assert_eq!(host.ok(&["plan", "logs", "@last"]), expected);
    assert_eq!(host.ok(&["plan", "logs", "-f", "@last"]).lines().count(), 5);
    let last = host.ok(&["plan", "logs", "--step", "longer", "--tail", "1", "@last"]);
    assert_eq!(last, "longer | end");
    let none = host.exeng(&["plan", "logs", "--step", "none", "@last"]).refused();
    assert!(none.contains("has no step none; it has one, longer"), "{none}");
}

const LONG: &str = r#"
[[steps]]
name = "long"
command = "touch started; exec sleep 1000"
[[steps]]
name = "clean"
command = "echo clean >> log"
after = ["long"]
always = true
"#;

#[test]
fn plan_goes_on_without_the_client_and_is_stopped_with_its_cleanup() {
    let host = Host::new();
    let file = write(&host, "long.toml", LONG);
    let child = host.command(&["plan", "run", &file]).spawn().unwrap();
    until("the step runs", || fs::exists(host.file("started")).unwrap());
    send(child.id(), Signal::INT);
    let left = finish(child, "plan run");
    assert_eq!(left.code, Some(130), "{left:?}");
    let id = host.ok(&["plan", "ls", "--json"]);
    let id = serde_json::from_str::<Value>(&id).unwrap()["id"].as_str().unwrap().to_string();
    assert!(left.err.contains(&format!("plan {id} goes on")), "{left:?}");
    let wait = host.exeng(&["plan", "wait", "--timeout", "10ms", &id]);
    assert_eq!(wait.code, Some(124), "{wait:?}");
    let early = host.exeng(&["plan", "resume", &id]).refused();
    assert!(early.contains("has not ended"), "{early}");
    let early = host.exeng(&["plan", "rm", &id]);
    assert!(early.code == Some(125) && early.err.contains("has not ended"), "{early:?}");
    let dry = host.exeng(&["plan", "rm", "--dry-run", &id]);
    assert!(dry.code == Some(125) && dry.text().is_empty(), "{dry:?}");

    let stopped: Value = serde_json::from_str(&host.ok(&["plan", "stop", "--json", &id])).unwrap();
    assert_eq!(stopped["status"], "cancelled");
    assert_eq!(statuses(&stopped), ["cancelled", "completed"]);
    assert_eq!(lines(&host, "log"), ["clean"]);
    let again = host.exeng(&["plan", "stop", &id]);
    assert!(again.code == Some(0) && again.err.contains("already ended"), "{again:?}");
    assert_eq!(host.exeng(&["plan", "wait", &id]).code, Some(130));
}

#[test]
fn follower_goes_on_when_the_service_dies() {
    let host = Host::new();
    let text = r#"
        [[steps]]
        command = "touch started; until test -e go; do sleep 0.05; done; echo one >> log"
        [[steps]]
        command = "echo two >> log"
        after = [0]
    "#;
    let file = write(&host, "plan.toml", text);
    let child = host.command(&["plan", "run", "--json", &file]).spawn().unwrap();
    until("the step runs", || fs::exists(host.file("started")).unwrap());
    host.kill_service();
    fs::write(host.file("go"), "").unwrap();
    let done = finish(child, "plan run");
    assert_eq!(done.code, Some(0), "{done:?}");
    let plan: Value = serde_json::from_str(&done.text()).unwrap();
    assert_eq!(statuses(&plan), ["completed", "completed"]);
    assert_eq!(lines(&host, "log"), ["one", "two"]);
}

#[test]
fn variables_directory_and_key_are_those_of_the_caller() {
    let host = Host::new();
    fs::create_dir_all(host.dir().join("work/sub")).unwrap();
    let text = r#"{"env": {"SHARED": "file", "MORE": "file"}, "working_dir": "sub", "steps": [
        {"name": "show", "command": "pwd; echo $SHARED $MORE $OWN $INHERITED", "env": {"OWN": "step"}},
        {"name": "bare", "command": "echo \"[$INHERITED]\"", "options": {"env": {"inherit": "nothing"}}}
    ]}"#;
    let file = write(&host, "plan.json", text);
    let run = |value: &str| {
        let mut command = host.command(&[
            "plan",
            "run",
            "--json",
            "--cwd",
            "work",
            "--env",
            "SHARED=line",
            "--key",
            "k",
            &file,
        ]);
        command.env("INHERITED", value);
        let done = finish(command.spawn().unwrap(), "plan run");
        assert_eq!(done.code, Some(0), "{done:?}");
        serde_json::from_str::<Value>(&done.text()).unwrap()
    };
    let plan = run("here");
    let logs = |step: usize| host.ok(&["logs", plan["steps"][step]["execution"].as_str().unwrap()]);
    let dir = host.dir().join("work/sub").canonicalize().unwrap();
    assert_eq!(logs(0), format!("{}\nline file step here", dir.display()));
    assert_eq!(logs(1), "[]");
    assert_eq!(run("other")["id"], plan["id"], "what is only inherited is no part of the key");
    let stdin = host.sh(&format!("exeng plan run --format json --detach - < {file}"));
    assert_ne!(stdin.ok(), plan["id"]);
}
