//! Verbs of clients: each in the words of a user.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

#[tokio::test]
async fn input_passes_through_run_and_through_input() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let mut run = fleet.command(&["run", "--", "wc", "-c"]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(&vec![b'x'; 300_000]).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(texts(&output).0.trim(), "300000");
    let id = fleet.told(&["submit", "--stdin", "pipe", "--", "cat"]);
    let id = id.trim();
    until("it takes input", || fleet.output(&["input", id, "hello"]).status.success());
    fleet.told(&["input", id, "there", "--eof"]);
    assert_eq!(fleet.told(&["logs", "--follow", id]), "hello\nthere\n");
}

#[tokio::test]
async fn executions_are_listed_shown_controlled_and_stopped() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let trap = "trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done";
    let id = fleet.told(&["submit", "--tag", "red", "--shell", trap]);
    let id = id.trim();
    until("it runs", || fleet.told(&["logs", id]) == "up\n");
    assert!(fleet.told(&["ls", "--tag", "red", "--status", "running"]).contains(&id[..8]));
    assert_eq!(fleet.told(&["ls", "--tag", "blue"]), "");
    fleet.told(&["pause", &id[..8]]);
    fleet.told(&["resume", "@last"]);
    let sent = fleet.told(&["signal", "USR1", id, "--json"]);
    assert!(sent.contains("processes"), "{sent}");
    until("it has got it", || fleet.told(&["logs", id]).contains("usr1"));
    fleet.told(&["stop", id]);
    assert_eq!(fleet.output(&["wait", id]).status.code(), Some(130));
    let shown = fleet.told(&["show", "--json", id]);
    for part in ["\"cancelled\"", "\"place\"", "\"fence\"", "\"bytes\""] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn a_running_execution_is_shown_with_its_place() {
    let fleet = Fleet::start().await;
    let mut worker = fleet.worker_that_waits(&["--name", "one"]);
    let (name, _) = worker_of(&worker.wait_for("is ready"));
    let id = fleet.told(&["submit", "--shell", "echo up; exec sleep 600"]);
    let id = id.trim();
    until("it runs", || fleet.told(&["logs", id]) == "up\n");
    let shown = fleet.told(&["show", id]);
    for part in ["started", "attempt      1", "fence", &name] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for words in
        [&["show", "--json", id][..], &["ls", "--json"], &["stop", "--dry-run", "--json", id]]
    {
        let told = fleet.told(words);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let of = told.get(0).unwrap_or(&told);
        assert_eq!(of["place"]["worker"], *name, "{words:?}: {told}");
        assert!(of["started_at"].is_string() && of["status"] == "running", "{words:?}: {told}");
    }
    assert!(fleet.told(&["ls"]).contains(&name));
    fleet.told(&["stop", "--firm", id]);
    assert_eq!(fleet.told(&["stop", "--dry-run", id]), "");
}

/// A shell says 127 of a program that is not there, and 126 of one that it may not run.
#[tokio::test]
async fn a_program_that_cannot_be_started_has_the_codes_of_a_shell() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let file = fleet.home.path().join("no-program");
    std::fs::write(&file, "no program").unwrap();
    let file = file.to_str().unwrap();
    let dir = fleet.home.path().to_str().unwrap();
    for (program, code) in
        [("no-such-program-anywhere", 127), ("/nowhere/at/all", 127), (file, 126), (dir, 126)]
    {
        let here = exeng(&["run", "--", program]).output().unwrap();
        assert_eq!(here.status.code(), Some(code), "{program}: {here:?}");
        let there = fleet.output(&["run", "--", program]);
        assert_eq!(there.status.code(), Some(code), "{program}: {there:?}");
        let id = fleet.told(&["submit", "--", program]);
        let waited = fleet.output(&["wait", id.trim()]);
        assert_eq!(waited.status.code(), Some(code), "{program}: {waited:?}");
    }
    // What is wrong is not the program.
    let dir = fleet.output(&["run", "--cwd", "/nowhere/at/all", "--", "true"]);
    assert_eq!(dir.status.code(), Some(125), "{dir:?}");
}

#[tokio::test]
async fn what_is_submitted_under_a_key_is_accepted_once() {
    let fleet = Fleet::start().await;
    let line = "echo once";
    let submit = |key: &str, line: &str| {
        let output = fleet.output(&["submit", "--key", key, "--env", "A=b", "--shell", line]);
        let (out, err) = texts(&output);
        (output.status.code(), out.trim().to_owned(), err)
    };
    let (code, id, _) = submit("k", line);
    assert_eq!(code, Some(0));
    // Before the start, while there is a ticket alone; then by the log.
    for is_over in [false, true] {
        assert_eq!(submit("k", line).1, id, "{is_over}");
        let (code, _, err) = submit("k", "echo other");
        assert!(code == Some(125) && err.contains("--key k") && err.contains(&id), "{err}");
        assert_ne!(submit(&format!("other {is_over}"), line).1, id);
        if !is_over {
            let _worker = fleet.worker(&[]);
            fleet.told(&["wait", &id]);
        }
    }
    assert_eq!(fleet.told(&["logs", &id]), "once\n");
    // Other tenants have keys of their own.
    fleet.told(&["fleet", "init", "--tenant", "blue", "--pool", "blue"]);
    let mut of_blue = fleet.command(&["submit", "--key", "k", "--shell", line]);
    let of_blue = of_blue.env("EXENG_TENANT", "blue").output().unwrap();
    assert!(of_blue.status.success() && texts(&of_blue).0.trim() != id, "{of_blue:?}");
}

#[tokio::test]
async fn many_submits_under_one_key_at_once_are_one_execution() {
    let fleet = Fleet::start().await;
    let submits: Vec<_> = (0..6)
        .map(|_| {
            fleet.command(&["submit", "--key", "k", "--", "true"]).stdout(Stdio::piped()).spawn()
        })
        .collect();
    let outputs = submits.into_iter().map(|child| child.unwrap().wait_with_output().unwrap());
    let ids: std::collections::BTreeSet<_> = outputs.map(|it| texts(&it).0).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(fleet.told(&["ls", "--json"]).lines().count(), 1);
}

/// The program takes no notice of the first signal, and its request gives it a long time.
#[tokio::test]
async fn a_firm_stop_waits_for_no_grace() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let line = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    for is_stopping in [false, true] {
        let id = fleet.told(&["submit", "--stop-grace", "1h", "--shell", line]);
        let id = id.trim();
        until("it runs", || fleet.told(&["logs", id]) == "up\n");
        if is_stopping {
            fleet.told(&["stop", "--no-wait", id]);
        }
        fleet.told(&["stop", "--firm", id]);
        assert_eq!(fleet.output(&["wait", id]).status.code(), Some(130));
    }
}

#[tokio::test]
async fn followers_tell_that_no_server_answers_and_that_one_does_again() {
    let mut fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let go = fleet.home.path().join("go");
    let line = format!("echo up; until [ -e {} ]; do sleep 0.05; done; exit 7", go.display());
    let mut run = Running::start(fleet.command(&["run", "--shell", &line]));
    until("it runs", || fleet.told(&["ls", "--json"]).contains("running"));
    fleet.servers.kill(0);
    run.wait_for("no server answers since");
    fleet.servers.start_again(&[0]).await;
    run.wait_for("the servers answer again");
    std::fs::write(&go, "").unwrap();
    assert_eq!(run.code().map(|code| code == 7 || code == 125), Some(true), "{:?}", run.seen);
    let told = run.seen.iter().filter(|line| line.contains("no server answers")).count();
    assert_eq!(told, 1, "{:?}", run.seen);
}

/// Returns a command as a terminal starts it: a shell starts what runs in the background with signals that are ignored, and
/// these tests may be such.
#[expect(clippy::disallowed_methods, reason = "the program under test is no execution")]
fn attended(command: &Command) -> Command {
    let mut attended = Command::new("env");
    attended.args(["--default-signal=HUP,INT,QUIT".as_ref(), command.get_program()]);
    attended.args(command.get_args());
    attended.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    attended
}

#[tokio::test]
async fn a_signal_to_run_stops_the_program() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let up = fleet.home.path().join(format!("up{}", signal.as_raw()));
        let line = format!(
            "trap 'echo stopped; exit 0' TERM; touch {}; while :; do sleep 0.05; done",
            up.display()
        );
        let mut run = attended(&fleet.command(&["run", "--shell", &line]));
        let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
        until("it runs", || up.exists());
        kill_process(Pid::from_child(&run), signal).unwrap();
        until("it has ended", || run.try_wait().unwrap().is_some());
        let output = run.wait_with_output().unwrap();
        let told = (output.status.code(), &*texts(&output).0);
        assert_eq!(told, (Some(130), "stopped\n"), "{signal:?}");
    }
}

#[tokio::test]
async fn the_times_of_what_no_worker_reported_are_those_of_the_records() {
    let fleet = Fleet::start().await;
    let shown = |id: &str| {
        let shown = fleet.told(&["show", "--json", id]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        ["created_at", "started_at", "completed_at", "duration"].map(|field| shown[field].clone())
    };
    // Never started.
    let id = fleet.told(&["submit", "--", "true"]);
    let id = id.trim();
    fleet.told(&["stop", id]);
    let first = shown(id);
    assert!(first[1].is_null() && first[2].is_string(), "{first:?}");
    assert!(!fleet.told(&["show", id]).contains("started"));
    assert_eq!(first, shown(id));
    // Its worker is lost while it is stopped.
    let mut worker = fleet.worker_that_waits(&["--slots", "1"]);
    let (_, proper) = worker_of(&worker.wait_for("is ready"));
    let id = fleet.told(&["submit", "--shell", "echo up; exec sleep 600"]);
    let id = id.trim();
    until("it runs", || fleet.told(&["logs", id]) == "up\n");
    let running = fleet.told(&["show", "--json", id]);
    let running: serde_json::Value = serde_json::from_str(&running).unwrap();
    kill_process(proper, Signal::STOP).unwrap();
    fleet.told(&["stop", "--no-wait", id]);
    // The one that its keeper starts finds that it is lost.
    assert_eq!(fleet.output(&["wait", id]).status.code(), Some(130));
    let first = shown(id);
    assert_eq!(first[1], running["started_at"], "{first:?}");
    assert!(first[2].as_str() > first[1].as_str(), "{first:?}");
    assert_eq!(first, shown(id));
}

#[tokio::test]
async fn inputs_in_each_others_place_are_refused_when_they_are_submitted() {
    let fleet = Fleet::start().await;
    let file = fleet.home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let input = |path: &str| format!("{}={path}", file.display());
    for (first, second) in [("a/b", "./a//b"), ("a/b", "a/b/c")] {
        let (first, second) = (input(first), input(second));
        let words = ["submit", "--input", &first, "--input", &second, "--", "true"];
        let refused = fleet.output(&words);
        let err = texts(&refused).1;
        assert_eq!(refused.status.code(), Some(125), "{err}");
        assert!(err.contains("--input: ") && err.contains("\"a/b\""), "{err}");
    }
    assert_eq!(fleet.told(&["ls"]), "");
}

#[tokio::test]
async fn profile_names_the_servers() {
    let fleet = Fleet::start().await;
    let config = fleet.home.path().join("config.toml");
    let servers = fleet.servers.urls();
    std::fs::write(&config, format!("[fleet.main]\nservers = {servers:?}\n")).unwrap();
    let with = |words: &[&str]| {
        let mut command = exeng(words);
        command.env("EXENG_STATE_DIR", fleet.home.path());
        let output = command.output().unwrap();
        (output.status.code(), texts(&output).1)
    };
    assert_eq!(with(&["--on", "main", "fleet", "status"]).0, Some(0));
    let (code, err) = with(&["--on", "other", "ls"]);
    assert!(code == Some(125) && err.contains("[fleet.other]"), "{err}");
    let (code, err) = with(&["--on", "main", "submit", "--group", "k", "--", "true"]);
    assert!(code == Some(125) && err.contains("--group"), "{err}");
    // Without a fleet, what is for one is refused.
    let (code, err) = with(&["run", "--max-attempts", "2", "--", "true"]);
    assert!(code == Some(125) && err.contains("--on"), "{err}");
}
