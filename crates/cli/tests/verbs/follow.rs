//! `logs` and `wait` while something runs, and across the death of the service.

use std::fs;
use std::io::Write as _;

use crate::support::{Host, finish, until, when_written};

/// A line that prints numbers, waits for a file in the middle, and exits with a code.
fn numbers(host: &Host, half: u32, code: i32) -> String {
    let (there, go) = (host.file("there"), host.file("go"));
    format!(
        "seq 1 {half}; echo there >'{there}'; until [ -e '{go}' ]; do sleep 0.01; done; \
         seq {} {}; exit {code}",
        half + 1,
        2 * half
    )
}

fn expected(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

#[test]
fn output_is_byte_exact_and_streams_are_apart() {
    let host = Host::new();
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number * 7 + number / 251) as u8).collect();
    let file = host.file("bytes");
    fs::File::create(&file).unwrap().write_all(&bytes).unwrap();
    let id = host.submit(&format!("cat '{file}'; printf 'err\\0' >&2"));
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    let logs = |args: &[&str]| host.exeng(&[&["logs", &id], args].concat()).out;
    assert_eq!(logs(&["--raw", "--stream", "stdout"]), bytes);
    assert_eq!(logs(&["--raw", "--stream", "stderr"]), b"err\0");
    assert_eq!(logs(&["--raw", "-f", "--stream", "stdout"]), bytes);
    let both = logs(&["--raw"]);
    assert_eq!(both.len(), bytes.len() + 4);
    // It is not read on a terminal.
    assert_eq!(logs(&[]), both);
}

#[test]
fn last_lines() {
    let host = Host::new();
    let id = host.submit("seq 1 100000; printf open");
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert_eq!(host.ok(&["logs", "--tail", "3", &id]), "99999\n100000\nopen");
    assert_eq!(host.ok(&["logs", "-f", "-n", "1", &id]), "open");
    assert_eq!(host.ok(&["logs", "--tail", "0", &id]), "");
    assert_eq!(host.ok(&["logs", "--tail", "1000000", &id]).lines().count(), 100_001);
}

#[test]
fn events_of_one_stream() {
    let host = Host::new();
    let id = host.submit("echo out; echo err >&2");
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    for args in [&["--json"][..], &["--json", "-f"]] {
        let all = host.ok(&[&["logs", &id], args].concat());
        let one = host.ok(&[&["logs", &id, "--stream", "stderr"], args].concat());
        let expected: Vec<_> = all.lines().filter(|line| !line.contains("\"stdout\",")).collect();
        assert_eq!(one.lines().collect::<Vec<_>>(), expected);
        assert_eq!(all.lines().count(), expected.len() + 1, "{all}");
        assert!(one.contains("\"err\\n\"") && one.contains("\"ended\""), "{one}");
    }
    let said = host.exeng(&["logs", &id, "--json", "--tail", "3"]).refused();
    assert!(said.contains("--tail") && said.contains("leave one of them out"), "{said}");
}

#[test]
fn follower_sees_each_byte_once_across_the_death_of_the_service() {
    let host = Host::new();
    let id = host.submit(&numbers(&host, 20_000, 0));
    when_written(&host.file("there"));
    let out = host.file("out");
    let follower = |args: &str| {
        let line = format!("exec exeng logs --raw -f {args} {id} >'{out}'");
        (host.shell(&line).spawn().unwrap(), line)
    };
    let (child, line) = follower("--stream stdout");
    until("the follower has the first half", || {
        fs::read_to_string(&out).is_ok_and(|text| text.ends_with("\n20000\n"))
    });
    host.kill_service();
    let _served = host.serve();
    fs::write(host.file("go"), "").unwrap();
    let done = finish(child, &line);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(fs::read_to_string(&out).unwrap() == expected(40_000), "bytes are lost or repeated");
    // The same afterwards, from the store.
    assert!(host.exeng(&["logs", "--raw", &id]).out == expected(40_000).into_bytes());
}

#[test]
fn tail_then_follow_has_no_gap() {
    let host = Host::new();
    let id = host.submit(&numbers(&host, 100, 0));
    when_written(&host.file("there"));
    let line = format!("exeng logs -f --tail 2 {id}");
    let child = host.shell(&line).spawn().unwrap();
    fs::write(host.file("go"), "").unwrap();
    let text = finish(child, &line).ok();
    let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    let first = numbers[0];
    assert!(first >= 99, "{first}");
    assert_eq!(numbers, (first..=200).collect::<Vec<_>>());
}

#[test]
fn wait_and_submit_survive_the_death_of_the_service() {
    let host = Host::new();
    let id = host.submit(&numbers(&host, 10, 42));
    when_written(&host.file("there"));
    let wait = host.command(&["wait", &id]).spawn().unwrap();
    host.kill_service();
    // The next verb starts the service again.
    assert_eq!(host.show(&id)["status"], "running");
    fs::write(host.file("go"), "").unwrap();
    assert_eq!(finish(wait, "wait").code, Some(42));
    assert_eq!(host.keepers().len(), 1, "the keeper is the same");
}

#[test]
fn submit_that_follows_is_like_the_command_itself() {
    let host = Host::new();
    let done = host.exeng(&["submit", "--follow", "--shell", "echo out; echo err >&2; exit 4"]);
    assert_eq!((done.code, done.text()), (Some(4), "out".to_string()));
    let (id, rest) = done.err.split_once('\n').unwrap();
    assert_eq!(host.show(id.strip_prefix("exeng: ").unwrap())["exit_code"], 4);
    assert_eq!(rest, "err\n");
}

#[test]
fn events_are_the_same_live_and_afterwards() {
    let host = Host::new();
    let line = "exeng submit --follow --json --retry 1 --retry-delay 0s --shell 'echo a; exit 1'";
    let done = host.sh(line);
    assert_eq!(done.code, Some(1), "{done:?}");
    let text = done.text();
    let (id, live) = text.split_once('\n').unwrap();
    let id: serde_json::Value = serde_json::from_str(id).unwrap();
    let id = id["id"].as_str().unwrap();
    assert_eq!(host.ok(&["logs", "--json", id]), live);
    assert_eq!(host.ok(&["logs", "--json", "-f", id]), live);
    let events: Vec<serde_json::Value> =
        live.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["started", "output", "retrying", "started", "output", "ended"]);
    assert_eq!(events[1]["text"], "a\n");
    assert_eq!(events[5]["execution"], host.show(id));
    let cursors: Vec<_> = events.iter().map(|event| event["cursor"].as_u64().unwrap()).collect();
    assert!(cursors.is_sorted_by(|one, other| one < other), "{cursors:?}");
}

#[test]
fn reader_that_has_seen_enough_gets_no_message() {
    let host = Host::new();
    let id = host.submit("seq 1 200000");
    let done = host.sh(&format!(
        "exeng wait {id}; exeng logs {id} | head -n 1; exeng logs -f {id} | head -n 1"
    ));
    assert_eq!((done.text().as_str(), done.err.as_str()), ("1\n1", ""));
}

#[test]
fn follower_of_a_quiet_program_ends_with_its_reader() {
    let host = Host::new();
    let quiet = "echo first; exec sleep 1000";
    let id = host.submit(quiet);
    for line in [
        format!("exeng logs -f {id}"),
        format!("exeng logs -f --json {id}"),
        format!("exeng submit --follow --shell '{quiet}'"),
    ] {
        // The shell ends after both, within the patience of the test.
        let done = host.sh(&format!("{{ {line}; echo $? >&2; }} | head -n 1"));
        assert_eq!(done.text().lines().count(), 1, "{done:?}");
        assert_eq!(done.err.lines().last(), Some("141"), "{done:?}");
    }
}
