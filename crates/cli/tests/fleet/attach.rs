//! Attaching: the last lines, what follows, and input.

use std::fs::File;
use std::io::Write as _;
use std::process::{Output, Stdio};

use rustix::process::Signal;

use crate::support::*;

/// Attaches with this input, whose end closes that of the program, and waits for the end.
fn attach(fleet: &Fleet, words: &[&str], input: &str) -> Output {
    let mut command = fleet.command(&[&["attach"], words].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut attached = command.spawn().unwrap();
    attached.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    attached.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_last_lines_and_what_follows_are_shown_and_input_is_passed_on() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let line = "seq 20; while read word; do echo got $word; done; exit 5";
    let id = fleet.told(&["submit", "--stdin", "pipe", "--shell", line]);
    let id = id.trim();
    until("it runs", || fleet.told(&["logs", id]).ends_with("20\n"));
    assert_eq!(fleet.told(&["logs", "--tail", "2", id]), "19\n20\n");
    let output = attach(&fleet, &["--tail", "3", &id[..8]], "hello\nthere");
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), &*out), (Some(5), "18\n19\n20\ngot hello\n"), "{err}");
    assert!(err.contains(&format!("attached to {id}")), "{err}");
    // One that has ended.
    let output = attach(&fleet, &[id], "unread");
    let (out, err) = texts(&output);
    assert!(out.starts_with("12\n13\n") && out.ends_with("20\ngot hello\n"), "{out}");
    assert_eq!(output.status.code(), Some(5), "{err}");
    assert_eq!(fleet.told(&["logs", "--tail", "1", "--follow", id]), "got hello\n");
}

#[tokio::test]
async fn what_is_typed_before_the_start_comes_to_the_program() {
    let fleet = Fleet::start().await;
    let id = fleet.told(&["submit", "--stdin", "pipe", "--", "cat"]);
    let mut command = fleet.command(&["attach", id.trim()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut attached = command.spawn().unwrap();
    attached.stdin.take().unwrap().write_all(b"early\n").unwrap();
    let _worker = fleet.worker(&[]);
    let output = attached.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*texts(&output).0), (Some(0), "early\n"));
}

#[tokio::test]
async fn an_interrupt_leaves_the_program_alone() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&[]);
    let id = fleet.told(&["submit", "--shell", "echo up; exec sleep 600"]);
    let id = id.trim();
    let shown = fleet.home.path().join("shown");
    let mut command = fleet.command(&["attach", id]);
    // An input that does not end.
    command.stdin(Stdio::piped());
    let mut attached = Running::start_to(File::create(&shown).unwrap(), command);
    attached.wait_for("it has no input");
    until("it is shown", || std::fs::read_to_string(&shown).unwrap() == "up\n");
    attached.signal(Signal::INT);
    assert_eq!(attached.code(), Some(0), "{:?}", attached.seen);
    assert!(attached.seen.iter().any(|line| line.contains("goes on")), "{:?}", attached.seen);
    assert!(fleet.told(&["ls", "--status", "running"]).contains(&id[..8]));
}

#[tokio::test]
async fn what_is_not_there_or_not_of_a_fleet_is_refused() {
    let fleet = Fleet::start().await;
    let id = fleet.told(&["submit", "--", "true"]);
    for (words, part) in [
        (&["attach", "--json", id.trim()][..], "--json"),
        (&["attach", "00000000-0000-0000-0000-000000000000"], "00000000"),
    ] {
        let refused = fleet.output(words);
        assert_eq!(refused.status.code(), Some(125), "{words:?}");
        assert!(texts(&refused).1.contains(part), "{refused:?}");
    }
}
