//! `exeng run` without a terminal: exit codes, streams, options, signals to `exeng`.

use std::fs;

use crate::support::{Live, is_alive, run, shell, told, until};
use rustix::process::Signal;

#[test]
fn exit_codes_are_the_programs_or_say_what_happened() {
    let home = tempfile::tempdir().unwrap();
    let plain = home.path().join("plain");
    fs::write(&plain, "text").unwrap();
    let plain = plain.to_str().unwrap();
    for (words, code) in [
        (&["--", "true"][..], 0),
        (&["--", "sh", "-c", "exit 7"], 7),
        (&["--", "sh", "-c", "exit 255"], 255),
        (&["--", "sh", "-c", "kill -KILL $$"], 137),
        (&["--limit", "core=0", "--", "sh", "-c", "kill -SEGV $$"], 139),
        (&["--timeout", "100ms", "--", "sleep", "300"], 124),
        (&["--", plain], 126),
        (&["--", "/"], 126),
        (&["--", "no-such-program-here"], 127),
        (&["--", "/no/such/program"], 127),
        (&["--script", "/no/such/script"], 127),
        (&["--cwd", "/no/such/dir", "--", "true"], 125),
        (&["--stdin", "/no/such/input", "--", "true"], 125),
        (&["--env-file", "/no/such/file", "--", "true"], 125),
        (&["--timeout", "5", "--", "true"], 125),
        (&["--no-such-option", "--", "true"], 125),
        (&[], 125),
    ] {
        let (is, _, stderr) = told(&run(words));
        assert_eq!(is, code, "{words:?}: {stderr}");
        // A program that ended by itself has said what there is to say.
        let is_own = !(124..=127).contains(&code);
        assert_eq!(stderr.is_empty(), is_own, "{words:?}: {stderr}");
    }
}

#[test]
fn mistakes_name_the_option_and_the_fix() {
    for (words, parts) in [
        (&["--timeout", "5", "--", "true"][..], ["--timeout", "5s"]),
        (&["--limit", "ram=1G", "--", "true"], ["--limit", "memory"]),
        (&["--stop-signal", "NOPE", "--", "true"], ["--stop-signal", "INT"]),
        (&["--env", "=x", "--", "true"], ["--env", "NAME=VALUE"]),
        (&["--cwd", "/no/such", "--", "true"], ["/no/such", "create it"]),
        (&[], ["--shell", "--script"]),
    ] {
        let (_, stdout, stderr) = told(&run(words));
        assert!(parts.iter().all(|part| stderr.contains(part)), "{words:?}: {stderr}");
        assert_eq!(stdout, "");
    }
}

#[test]
fn streams_pass_byte_for_byte() {
    let output = shell(
        "head -c 3000000 /dev/zero | tr '\\0' '\\377' | \"$exeng\" run -- tee /dev/stderr | cksum; \
         head -c 3000000 /dev/zero | tr '\\0' '\\377' | cksum",
    );
    let (_, stdout, _) = told(&output);
    let sums: Vec<_> = stdout.lines().collect();
    assert_eq!(sums.len(), 2);
    assert_eq!(sums[0], sums[1]);
    assert!(output.stderr.windows(3_000_000).any(|part| part.iter().all(|byte| *byte == 0xff)));
}

#[test]
fn environment_and_directory_are_as_asked() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("variables");
    fs::write(&file, "A=file\nB=file\n").unwrap();
    let line = format!(
        "cd /; export OWN=1 KEPT=2; \"$exeng\" run --clear-env --env KEPT --env PATH --env-file '{}' \
         --env A=line --cwd '{}' -- sh -c 'echo $OWN,$KEPT,$A,$B; pwd -P'",
        file.display(),
        home.path().display()
    );
    let (code, stdout, stderr) = told(&shell(&line));
    let dir = home.path().canonicalize().unwrap();
    assert_eq!(stdout, format!(",2,line,file\n{}\n", dir.display()), "{stderr}");
    assert_eq!(code, 0);
}

#[test]
fn lines_scripts_and_input_are_run() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("script.py");
    fs::write(&script, "import sys\nprint(sys.argv[1:], sys.stdin.read())").unwrap();
    let input = home.path().join("input");
    fs::write(&input, "in").unwrap();
    let (script, input) = (script.to_str().unwrap(), input.to_str().unwrap());
    let words =
        ["--script", script, "--interpreter", "python3", "--stdin", input, "--", "-v", "--timeout"];
    assert_eq!(told(&run(&words)).1, "['-v', '--timeout'] in\n");
    assert_eq!(told(&run(&["--shell", "echo a | tr a b"])).1, "b\n");
    let piped = "echo piped | \"$exeng\" run --stdin null -- sh -c 'cat; echo end'";
    assert_eq!(told(&shell(piped)).1, "end\n");
}

#[test]
fn closed_streams_are_no_failure() {
    let line = "\"$exeng\" run -- sh -c 'read line; echo end:$line' <&-; echo $?";
    assert_eq!(told(&shell(line)).1, "end:\n0\n");
    let line = "\"$exeng\" run -- sh -c 'exit 3' >&- 2>&-; echo $?";
    assert_eq!(told(&shell(line)).1, "3\n");
    // The program notices that no process reads, as it would by itself.
    let line = "\"$exeng\" run -- yes | head -1; echo ${PIPESTATUS[0]}";
    assert_eq!(told(&shell(line)).1, "y\n141\n");
}

#[test]
fn it_runs_in_scripts_in_the_background_and_in_a_session_of_its_own() {
    let line = "\"$exeng\" run -- sh -c 'exit 4' & wait $!; echo $?";
    assert_eq!(told(&shell(line)).1, "4\n");
    let line = "setsid --wait \"$exeng\" run -- sh -c 'echo here; exit 5'; echo $?";
    assert_eq!(told(&shell(line)).1, "here\n5\n");
    let line = "echo a | \"$exeng\" run -- sed s/a/b/ | sed s/b/c/";
    assert_eq!(told(&shell(line)).1, "c\n");
}

#[test]
fn failed_program_is_run_again() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("runs");
    let line = format!("echo run >>'{0}'; [ $(wc -l <'{0}') = 3 ]", file.display());
    let words = ["--retry", "5", "--retry-delay", "1ms", "--", "sh", "-c", &line];
    assert_eq!(told(&run(&words)), (0, String::new(), String::new()));
    assert_eq!(fs::read_to_string(&file).unwrap(), "run\n".repeat(3));
    let words = ["--retry", "2", "--retry-delay", "1ms", "--", "sh", "-c", "echo run; exit 3"];
    assert_eq!(told(&run(&words)), (3, "run\n".repeat(3), String::new()));
}

#[test]
fn limits_hold() {
    let words = ["--limit", "open-files=17", "--limit", "umask=077", "--limit", "nice=19", "--"];
    let (code, stdout, stderr) =
        told(&run(&[&words[..], &["sh", "-c", "ulimit -n; umask; nice"]].concat()));
    assert_eq!((code, stdout), (0, "17\n0077\n19\n".to_string()), "{stderr}");
}

#[test]
fn descriptors_of_the_caller_are_passed_on() {
    let (code, stdout, stderr) = told(&shell("\"$exeng\" run -- cat <(echo substituted)"));
    assert_eq!((code, stdout), (0, "substituted\n".to_string()), "{stderr}");
    let line = "exec 9<<<'by number'; list='ls /proc/self/fd'
        [ \"$(sh -c \"$list\")\" = \"$(\"$exeng\" run -- sh -c \"$list\")\" ] && echo same
        \"$exeng\" run -- sh -c 'cat <&9'";
    let (code, stdout, stderr) = told(&shell(line));
    assert_eq!((code, stdout), (0, "same\nby number\n".to_string()), "{stderr}");
}

#[test]
fn signals_that_the_caller_ignores_stay_ignored_without_a_terminal() {
    let ignored = "trap '' HUP INT; setsid \"$exeng\" run -- grep SigIgn /proc/self/status";
    let (code, stdout, stderr) = told(&shell(ignored));
    assert_eq!((code, stdout.trim_end().ends_with("003")), (0, true), "{stdout}{stderr}");
}

#[test]
fn what_the_program_leaves_behind_is_stopped() {
    let (code, stdout, _) = told(&run(&["--", "sh", "-c", "setsid sleep 300 & echo $!; exit 6"]));
    assert_eq!(code, 6);
    until("the process that was left is gone", || !is_alive(stdout.trim()));
}

#[test]
fn signal_stops_the_tree_politely_and_a_second_one_at_once() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let line = "trap 'echo bye; exit 1' TERM; echo ready; sleep 300 & wait";
        let mut polite = Live::run(&["--", "sh", "-c", line]);
        polite.until("ready");
        polite.signal(signal);
        polite.until("bye");
        assert_eq!(polite.code(), 130, "{signal:?}");
    }
    let line = "trap 'echo not yet' TERM; echo ready; while :; do sleep 0.1; done";
    let mut stubborn = Live::run(&["--stop-grace", "1h", "--", "sh", "-c", line]);
    stubborn.until("ready");
    stubborn.signal(Signal::TERM);
    stubborn.until("not yet");
    stubborn.signal(Signal::TERM);
    assert_eq!(stubborn.code(), 130);
}

#[test]
fn stop_is_as_asked() {
    let line = "trap 'echo got INT' INT; trap 'echo got TERM' TERM; echo ready; while :; do sleep 0.1; done";
    let words = ["--stop-signal", "INT", "--stop-grace", "300ms", "--timeout", "1s", "--", "sh"];
    let mut stopped = Live::run(&[&words[..], &["-c", line]].concat());
    stopped.until("ready");
    let (status, rest) = stopped.end();
    assert_eq!(rest.trim(), "got INT");
    assert_eq!(status.code(), Some(124));
}

#[test]
fn user_signals_are_passed_on() {
    let line = "trap 'echo one' USR1; trap 'echo two; exit 8' USR2; echo ready; while :; do sleep 0.1; done";
    let mut handling = Live::run(&["--", "sh", "-c", line]);
    handling.until("ready");
    handling.signal(Signal::USR1);
    handling.until("one");
    handling.signal(Signal::USR2);
    handling.until("two");
    assert_eq!(handling.code(), 8);
}

#[test]
fn killed_exeng_leaves_no_process() {
    let line = "setsid sleep 300 & echo $! $$; sleep 300 & wait";
    let mut killed = Live::run(&["--", "sh", "-c", line]);
    let pids = killed.until("\n");
    killed.signal(Signal::KILL);
    for pid in pids.split(' ') {
        until(&format!("process {pid} is gone"), || !is_alive(pid));
    }
}

#[test]
fn exeng_that_is_killed_at_once_leaves_no_process() {
    // Its host guard may be being started.
    for _ in 0..20 {
        let mut killed = Live::run(&["--", "sh", "-c", "echo $$; exec sleep 300"]);
        let pid = killed.until("\n");
        killed.signal(Signal::KILL);
        until(&format!("process {pid} is gone"), || !is_alive(&pid));
    }
}
