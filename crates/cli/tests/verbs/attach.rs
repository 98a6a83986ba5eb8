//! `attach`.

use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::control::refuses_names;
use crate::proxy::Proxy;
use crate::support::{Host, finish, send, until};

/// A line that prints numbers, and then what it reads.
const ECHO: &str = "seq 1 20; while read line; do echo got $line; done; exit 3";

/// Submits a line whose input is written to, and waits until it has printed something.
fn started(host: &Host, line: &str, last: &str) -> String {
    let id = host.ok(&["submit", "--stdin", "pipe", "--shell", line]);
    until("it has printed it", || host.ok(&["logs", &id]).ends_with(last));
    id
}

#[test]
fn last_lines_and_what_follows_are_shown_and_lines_passed_on() {
    let host = Host::new();
    let id = started(&host, ECHO, "20");
    let done = host.sh(&format!("printf 'a\\nb\\n' | exeng attach -n 2 {}", &id[..8]));
    assert_eq!((done.code, done.text().as_str()), (Some(3), "19\n20\ngot a\ngot b"), "{done:?}");
    assert!(done.err.contains("Ctrl-C") && done.err.contains("Ctrl-D"), "{done:?}");
    // One that has ended is shown as it was.
    let done = host.exeng(&["attach", "--tail", "1", "@last"]);
    assert_eq!((done.code, done.text().as_str()), (Some(3), "got b"), "{done:?}");
    refuses_names(&["attach"]);
}

#[test]
fn interrupt_leaves_the_program_and_its_input_alone() {
    let host = Host::new();
    let id = started(&host, ECHO, "20");
    let mut child = host.command(&["attach", &id]).stdin(Stdio::piped()).spawn().unwrap();
    // Its end would close the input.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    until("it is passed on", || host.ok(&["logs", &id]).ends_with("got one"));
    send(child.id(), Signal::INT);
    let done = finish(child, "attach");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.err.contains(&format!("{id} goes on")), "{done:?}");
    drop(input);
    // A user who only watches does not close it either.
    let watcher = host.command(&["attach", "--no-input", "-n", "0", &id]).spawn().unwrap();
    host.ok(&["input", &id, "two", "--eof"]);
    let done = finish(watcher, "attach --no-input");
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(host.ok(&["logs", &id]).ends_with("got one\ngot two"));
}

#[test]
fn one_in_the_queue_is_waited_for_and_then_reads() {
    let host = Host::new();
    host.configure("max_running = 1");
    let first = host.submit("exec sleep 1000");
    let id = host.ok(&["submit", "--stdin", "pipe", "--", "cat"]);
    let said = host.file("said");
    let line = format!("echo typed | exeng attach {id} 2>'{said}'");
    let attached = host.shell(&line).spawn().unwrap();
    let is_there = || std::fs::read_to_string(&said).is_ok_and(|said| said.contains("attached to"));
    until("it waits for the slot", is_there);
    host.ok(&["stop", "--firm", &first]);
    let done = finish(attached, &line);
    assert_eq!((done.code, done.text().as_str()), (Some(0), "typed"), "{done:?}");
}

#[test]
fn events_are_shown_and_a_program_without_input_is_followed() {
    let host = Host::new();
    let (go, seen) = (host.file("go"), host.file("seen"));
    let id = host.submit(&format!(
        "until [ -e '{go}' ]; do echo tick; sleep 0.01; done; echo after; exit 4"
    ));
    let line = format!("exeng attach --json {id} >'{seen}'");
    let json = host.shell(&line).spawn().unwrap();
    let text = host.command(&["attach", &id]).spawn().unwrap();
    let events = || std::fs::read_to_string(&seen).unwrap_or_default();
    until("events are shown", || events().contains('\n'));
    std::fs::write(&go, "").unwrap();
    let done = finish(text, "attach");
    assert_eq!(done.code, Some(4), "{done:?}");
    assert!(done.text().ends_with("after"), "{done:?}");
    let done = finish(json, &line);
    assert_eq!(done.code, Some(4), "{done:?}");
    let last: Value = serde_json::from_str(events().lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "ended", "{last}");
}

#[test]
fn start_between_the_questions_for_input_and_output_is_not_missed() {
    let host = Host::new();
    host.configure("max_running = 1");
    let first = host.submit("exec sleep 1000");
    let line = "echo ready; exec cat";
    let id = host.ok(&["submit", "--stdin", "pipe", "--shell", line]);
    let proxy = Proxy::holding(&host, format!("GET /v1/executions/{id}/output"));
    let mut child = proxy.command(&host, &["attach", &id]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    let output = proxy.held();
    // It is asked for beside, and there is none yet.
    proxy.answered(&format!("GET /v1/executions/{id}/input"));
    host.ok(&["stop", "--firm", &first]);
    until("it has printed something", || host.ok(&["logs", &id]) == "ready");
    drop(output);
    let done = finish(child, "attach");
    assert_eq!((done.code, done.text().as_str()), (Some(0), "ready\ntyped"), "{done:?}");
}

#[test]
fn what_was_typed_for_a_program_without_input_is_no_command_of_the_shell() {
    let host = Host::new();
    let id = host.submit("exec sleep 1000");
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/in_terminal.py");
    let (said, typed) = (host.file("said"), host.file("typed"));
    let mut terminal = host.shell("exec python3 \"$0\" bash --norc --noprofile -i");
    let mut terminal = terminal.arg(python).stdin(Stdio::piped()).spawn().unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    keys.write_all(format!("exeng attach {id} 2>'{said}'\n").as_bytes()).unwrap();
    let is_told = || std::fs::read_to_string(&said).is_ok_and(|said| said.contains("--stdin pipe"));
    until("it is told", is_told);
    keys.write_all(format!("echo >'{typed}'\n").as_bytes()).unwrap();
    host.ok(&["stop", &id]);
    // What is typed before the end is discarded, so it is typed again.
    until("the shell ends", || keys.write_all(b"exit\n").is_err());
    assert!(finish(terminal, "bash").code.is_some());
    assert!(!std::fs::exists(&typed).unwrap(), "the shell has run it");
}
