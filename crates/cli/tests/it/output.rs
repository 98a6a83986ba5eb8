//! `exeng run` with options that need the output: it passes through, byte for byte and at once.

use std::fs;

use serde_json::Value;

use crate::support::{Live, run, shell, told};

#[test]
fn output_passes_byte_for_byte_through_pipes() {
    let line = "head -c 3000000 /dev/urandom | tee >(cksum >&2) | \
                \"$exeng\" run --idle-timeout 1h -- cat | cksum";
    let (_, passed, written) = told(&shell(line));
    assert_eq!(passed, written);
    let (code, stdout, stderr) =
        told(&run(&["--json", "/dev/null", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (3, "out\n", "err\n"));
}

#[test]
fn output_comes_at_once() {
    let mut prompting =
        Live::run(&["--prefix", "--", "sh", "-c", "printf 'name? '; read name; echo hello $name"]);
    prompting.until("stdout | name? ");
    prompting.send("world\n");
    prompting.until("hello world\n");
    assert_eq!(prompting.code(), 0);
}

#[test]
fn lines_are_marked() {
    let words = ["--prefix", "--", "sh", "-c", "echo one; printf 'two\nthree'; echo four >&2"];
    let (code, stdout, stderr) = told(&run(&words));
    assert_eq!(stdout, "stdout | one\nstdout | two\nstdout | three");
    assert_eq!((code, stderr.as_str()), (0, "stderr | four\n"));
    let (_, stdout, _) = told(&run(&["--prefix=time", "--", "echo", "one"]));
    let (time, line) = stdout.split_once(" | ").unwrap();
    assert_eq!((time.len(), line), ("2026-01-02T03:04:05.678Z".len(), "one\n"));
}

#[test]
fn silence_ends_a_program_and_output_puts_that_off() {
    let words = ["--idle-timeout", "300ms", "--", "sh", "-c"];
    let (code, stdout, stderr) = told(&run(&[&words[..], &["echo begun; sleep 300"]].concat()));
    assert_eq!((code, stdout.as_str()), (124, "begun\n"));
    assert!(stderr.contains("300 ms without output"), "{stderr}");
    let words = ["--idle-timeout", "3s", "--", "sh", "-c"];
    let line = "for i in 1 2 3 4 5 6 7 8; do sleep 0.5; echo $i; done; exit 5";
    assert_eq!(told(&run(&[&words[..], &[line]].concat())).0, 5);
}

#[test]
fn result_is_written_as_json() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("result.json");
    let path = file.to_str().unwrap();
    let result = |words: &[&str]| -> (i32, Value) {
        let (code, _, _) = told(&run(&[&["--json", path], words].concat()));
        (code, serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap())
    };
    let (code, ended) = result(&["--", "sh", "-c", "printf out; echo err >&2; exit 3"]);
    assert_eq!((code, &ended["exit_code"]), (3, &Value::from(3)));
    assert_eq!(ended["ending"], serde_json::json!({ "type": "exited", "code": 3 }));
    assert_eq!(ended["bytes"], serde_json::json!({ "stdout": 3, "stderr": 4 }));
    assert_eq!(ended["status"], "failed");
    assert!(ended["usage"]["user_ms"].is_u64() && ended["containment"]["level"].is_string());
    assert!(ended.get("stdout").is_none(), "{ended}");

    let (code, ended) = result(&["--timeout", "100ms", "--", "sleep", "300"]);
    assert_eq!((code, &ended["ending"]["type"]), (124, &Value::from("timed_out")));
    let (code, ended) = result(&["--idle-timeout", "100ms", "--", "sleep", "300"]);
    assert_eq!((code, &ended["ending"]["type"]), (124, &Value::from("idle_timed_out")));
    assert_eq!(ended["status"], "timeout");
}

#[test]
fn stdout_is_for_the_result_when_the_output_goes_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("output");
    let words = ["--json", "-", "--output", file.to_str().unwrap(), "--", "sh", "-c"];
    let (code, stdout, stderr) =
        told(&run(&[&words[..], &["echo out; echo err >&2; exit 4"]].concat()));
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &result["exit_code"]), (4, &Value::from(4)));
    assert_eq!(stderr, "");
    let mut lines: Vec<_> = fs::read_to_string(&file).unwrap().lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines, ["err", "out"]);

    let (code, stdout, stderr) = told(&run(&["--json", "-", "--", "echo", "mixed"]));
    assert_eq!((code, stdout.as_str()), (125, ""));
    assert!(stderr.contains("--json") && stderr.contains("--output"), "{stderr}");
}

#[test]
fn closed_reader_is_noticed_by_the_program() {
    let line = "\"$exeng\" run --json /dev/null -- yes | head -1; echo ${PIPESTATUS[0]}";
    assert_eq!(told(&shell(line)).1, "y\n141\n");
}

#[test]
fn process_that_was_left_out_of_reach_does_not_hold_the_output_up() {
    // Without a limit of time this would wait for the other process's end.
    let line =
        "\"$exeng\" run --json /dev/null -- sh -c 'echo out; setsid sleep 300 & exit 2'; echo $?";
    assert_eq!(told(&shell(line)).1, "out\n2\n");
}

#[test]
fn lost_output_is_a_failure() {
    let (code, stdout, stderr) = told(&run(&["--output", "/dev/full", "--", "echo", "lost"]));
    assert_eq!((code, stdout.as_str()), (125, ""));
    assert!(stderr.contains("output was lost"), "{stderr}");
    let (code, _, stderr) = told(&run(&["--output", "/no/such/dir/file", "--", "true"]));
    assert!(code == 125 && stderr.contains("--output"), "{stderr}");
    let (code, _, stderr) = told(&run(&["--json", "/no/such/dir/file", "--", "true"]));
    assert!(code == 125 && stderr.contains("--json"), "{stderr}");
}
