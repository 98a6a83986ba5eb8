//! `input`.

use std::fs;

use serde_json::{Value, json};

use crate::control::refuses_names;
use crate::support::{Host, Reply, finish, until};

/// Submits a line of a shell whose input is written to.
fn reader(host: &Host, line: &str) -> String {
    host.ok(&["submit", "--stdin", "pipe", "--shell", line])
}

/// Sends a request about the input of an execution.
fn http(host: &Host, line: &str, headers: &str, body: &str) -> Reply {
    host.http(&format!(
        "{line} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

const BYTES: &str = "Content-Type: application/octet-stream\r\n";

#[test]
fn what_is_written_reaches_the_program_until_the_end() {
    let host = Host::new();
    let id = reader(&host, "cat; echo end");
    until("it runs", || host.show(&id)["status"] == "running");
    host.ok(&["input", &id, "yes"]);
    until("it has read it", || host.ok(&["logs", &id]) == "yes");
    host.sh(&format!("printf 'a\\nb' | exeng input {}", &id[..8])).ok();
    host.ok(&["input", "@last", "-n", "c"]);
    let file = host.file("lines");
    fs::write(&file, "\nd\n").unwrap();
    let written: Value =
        serde_json::from_str(&host.ok(&["input", &id, "--file", &file, "--json"])).unwrap();
    assert_eq!(written, json!({"id": id, "offset": 11}));
    // The input of this test is empty.
    host.ok(&["input", &id, "--eof"]);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert_eq!(host.ok(&["logs", &id]), "yes\na\nbc\nd\nend");
}

#[test]
fn all_of_it_comes_once_at_the_pace_of_the_program_across_the_death_of_the_service() {
    let host = Host::new();
    let (go, file) = (host.file("go"), host.file("numbers"));
    let numbers: String = (0..800_000).map(|number| format!("{number}\n")).collect();
    fs::write(&file, &numbers).unwrap();
    let id = reader(&host, &format!("until [ -e '{go}' ]; do sleep 0.01; done; exec cat"));
    until("it runs", || host.show(&id)["status"] == "running");
    let line = format!("exeng input {id} --eof <'{file}'");
    let writer = host.shell(&line).spawn().unwrap();
    let end =
        || http(&host, &format!("GET /v1/executions/{id}/input"), "", "").json()["offset"].clone();
    until("some of it waits", || end().as_u64() >= Some(65_536));
    host.kill_service();
    let _served = host.serve();
    until("it is told", || end().is_u64());
    // A pipe holds a megabyte at most.
    let waiting = end().as_u64().unwrap();
    assert!(waiting <= 1 << 21, "{waiting} bytes of {} wait for the program", numbers.len());
    fs::write(&go, "").unwrap();
    finish(writer, &line).ok();
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    let output = host.exeng(&["logs", "--raw", &id]).out;
    assert!(output == numbers.into_bytes(), "bytes are lost or repeated");
}

#[test]
fn of_many_that_write_at_once_nothing_is_lost() {
    let host = Host::new();
    let id = reader(&host, "cat");
    until("it runs", || host.show(&id)["status"] == "running");
    let words: Vec<String> = (0..8).map(|number| format!("word {number}")).collect();
    let start = |word: &String| host.command(&["input", &id, word]).spawn().unwrap();
    let writers: Vec<_> = words.iter().map(start).collect();
    writers.into_iter().for_each(|writer| drop(finish(writer, "input").ok()));
    host.ok(&["input", &id, "--eof"]);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    let output = host.ok(&["logs", &id]);
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, words);
}

#[test]
fn of_two_that_write_much_each_byte_comes_once_and_pieces_stay_whole() {
    /// What is written as a whole.
    const PIECE: usize = 64 * 1024;
    let host = Host::new();
    let slowly = "for part in $(seq 60); do head -c 32768; sleep 0.01; done; exec cat";
    let id = reader(&host, slowly);
    until("it runs", || host.show(&id)["status"] == "running");
    // Each line is another one, and 16 bytes long.
    let text = |name: &str| -> String {
        (0..16 * PIECE / 16).map(|number| format!("{name} {number:013}\n")).collect()
    };
    let written = ["a", "b"].map(|name| {
        let (file, text) = (host.file(name), text(name));
        fs::write(&file, &text).unwrap();
        (host.command(&["input", &id, "--file", &file]).spawn().unwrap(), text)
    });
    let [a, b] = written.map(|(writer, text)| {
        finish(writer, "input").ok();
        text
    });
    host.ok(&["input", &id, "--eof"]);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    let output = host.exeng(&["logs", "--raw", &id]).out;
    let (of_a, of_b): (Vec<_>, Vec<_>) =
        output.chunks(PIECE).partition(|piece| piece.starts_with(b"a"));
    assert!(of_a.concat() == a.as_bytes(), "bytes of the first are lost, repeated or torn");
    assert!(of_b.concat() == b.as_bytes(), "bytes of the second are lost, repeated or torn");
}

#[test]
fn input_is_refused_where_nothing_reads_it() {
    refuses_names(&["input"]);
    let host = Host::new();
    host.configure("max_running = 2");
    let other = host.submit("exec sleep 1000");
    until("it runs", || host.show(&other)["status"] == "running");
    let said = host.exeng(&["input", &other, "x"]).refused();
    assert!(said.contains("no input") && said.contains("--stdin pipe"), "{said}");
    let id = reader(&host, "exec <&-; exec sleep 1000");
    let queued = reader(&host, "cat");
    assert!(host.exeng(&["input", &queued, "x"]).refused().contains("waits in the queue"));
    until("it reads no more", || host.exeng(&["input", &id, "x"]).err.contains("reads no more"));
    host.ok(&["stop", "--firm", &id]);
    assert!(host.exeng(&["input", &id, "x"]).refused().contains("ended already"));
    let missing = host.file("missing");
    let said = host.exeng(&["input", &queued, "--file", &missing]).refused();
    assert!(said.contains(&missing) && said.contains("check the path"), "{said}");
    let again = host.exeng(&["submit", "--stdin", "pipe", "--retry", "1", "--", "cat"]).refused();
    assert!(again.contains("leave retry out"), "{again}");
    let here = host.exeng(&["run", "--stdin", "pipe", "--", "cat"]).refused();
    assert!(here.contains("exeng submit"), "{here}");
}

#[test]
fn route_writes_a_piece_that_comes_in_parts_as_a_whole_or_not_at_all() {
    let host = Host::new();
    let _served = host.serve();
    let id = reader(&host, "cat");
    until("it runs", || host.show(&id)["status"] == "running");
    let head = |key: &str, offset: u64| {
        format!(
            "POST /v1/executions/{id}/input HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\
             Content-Length: 8\r\n{BYTES}Idempotency-Key: {key}\r\nUpload-Offset: {offset}\r\n\r\n"
        )
    };
    // Others come between its parts, also when the service has read the first.
    for round in 0..20 {
        let begin = round * 16;
        let half = host.begin_http(&(head("a", begin) + "aaaa"));
        let other = host.http(&(head("b", begin) + "bbbbbbb\n"));
        assert_eq!(other.json(), json!({"offset": begin + 8}), "{other:?}");
        let moved = half.end("aaa\n");
        assert_eq!((moved.status, &moved.json()["code"]), (409, &json!("input_moved")));
        let again = host.http(&(head("a", begin + 8) + "aaaaaaa\n"));
        assert_eq!(again.json(), json!({"offset": begin + 16}), "{again:?}");
    }
    host.ok(&["input", &id, "--eof"]);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert_eq!(host.ok(&["logs", &id]) + "\n", "bbbbbbb\naaaaaaa\n".repeat(20));
}

#[test]
fn route_does_not_write_a_repeated_offset_twice() {
    let host = Host::new();
    let _served = host.serve();
    let id = reader(&host, "cat");
    until("it runs", || host.show(&id)["status"] == "running");
    let path = format!("/v1/executions/{id}/input");
    let post = |query: &str, offset: &str, body: &str| {
        let headers = match offset {
            "" => BYTES.to_string(),
            offset => format!("{BYTES}Upload-Offset: {offset}\r\n"),
        };
        http(&host, &format!("POST {path}{query}"), &headers, body)
    };
    let ends = |reply: Reply, offset: u64| {
        assert_eq!((reply.status, reply.json()), (200, json!({"offset": offset})), "{reply:?}");
    };
    ends(post("", "0", "one\n"), 4);
    ends(post("", "0", "one\n"), 4);
    ends(post("", "4", "two\n"), 8);
    ends(post("", "", "three\n"), 14);
    let refused = |reply: Reply, status: u16, code: &str| {
        assert_eq!((reply.status, &reply.json()["code"]), (status, &json!(code)), "{reply:?}");
        reply.json()
    };
    let moved = refused(post("", "20", "x"), 409, "input_moved");
    assert!(moved["detail"].as_str().unwrap().contains("ends at 14"), "{moved}");
    assert_eq!(moved["field"], "Upload-Offset");
    assert_eq!(refused(post("", "x", "x"), 400, "invalid_request")["field"], "Upload-Offset");
    assert_eq!(refused(post("?eof=maybe", "14", "x"), 400, "invalid_request")["field"], "eof");
    refused(http(&host, &format!("POST {path}"), "", "x"), 415, "unsupported_media_type");
    let end = || http(&host, &format!("GET {path}"), "", "").json();
    assert_eq!(end(), json!({"offset": 14}));
    for key in 10..30 {
        let headers = format!("{BYTES}Upload-Offset: {}\r\nIdempotency-Key: {key}\r\n", key + 4);
        ends(http(&host, &format!("POST {path}"), &headers, "\n"), key + 5);
    }
    // It is known of the last 16 writers what they have written.
    assert_eq!(end(), json!({"offset": 34, "forgotten": 18}));
    ends(post("?eof=true", "34", "four\n"), 39);
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert_eq!(host.ok(&["logs", &id]), format!("one\ntwo\nthree{}\nfour", "\n".repeat(20)));
    refused(post("", "39", "x"), 409, "already_ended");
}
