//! `submit` and `wait`: what runs, with which environment, and the codes that scripts see.

use std::fs;

use crate::support::{Host, files_with};

#[test]
fn script_submits_waits_and_reads() {
    let host = Host::new();
    let done = host.sh(
        "id=$(exeng submit --tag nightly --label user=alice -- sh -c 'echo out; echo err >&2; exit 3')
         exeng wait \"$id\"
         echo \"code $?\"
         exeng logs --raw --stream stdout \"$id\"
         exeng logs --raw --stream stderr \"$id\"
         exeng ls --json --tag nightly --label user=alice | grep -c \"$id\"
         exeng ls --json --tag other",
    );
    assert_eq!(done.ok(), "code 3\nout\nerr\n1");
}

#[test]
fn json_forms_have_what_scripts_rely_on() {
    let host = Host::new();
    let accepted = host.ok(&["submit", "--json", "--tag", "a", "--shell", "printf hello; exit 7"]);
    let accepted: serde_json::Value = serde_json::from_str(&accepted).unwrap();
    let id = accepted["id"].as_str().unwrap();
    assert_eq!(accepted.as_object().unwrap().len(), 1, "{accepted}");
    assert_eq!(host.exeng(&["wait", id]).code, Some(7));
    let shown = host.show(id);
    assert_eq!(shown["id"], id);
    assert_eq!(shown["status"], "failed");
    assert_eq!(shown["exit_code"], 7);
    assert_eq!(shown["ending"], serde_json::json!({"type": "exited", "code": 7}));
    assert_eq!(shown["bytes"], serde_json::json!({"stdout": 5, "stderr": 0}));
    assert_eq!(shown["attempts"], 1);
    assert_eq!(shown["tags"], serde_json::json!(["a"]));
    assert!(shown["containment"]["level"].is_string(), "{shown}");
    let listed = host.ok(&["ls", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&listed).unwrap(), shown);
    let waited = host.exeng(&["wait", "--json", id]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&waited.text()).unwrap(), shown);
}

#[test]
fn codes_are_those_of_the_contract() {
    let host = Host::new();
    let code = |args: &[&str]| {
        let id = host.ok(&[&["submit"], args].concat());
        let done = host.exeng(&["wait", &id]);
        (done.code.unwrap(), done.err)
    };
    assert_eq!(code(&["--", "true"]), (0, String::new()));
    assert_eq!(code(&["--shell", "exit 255"]), (255, String::new()));
    assert_eq!(code(&["--shell", "kill -9 $$"]).0, 137);
    let (timeout, said) = code(&["--timeout", "100ms", "--", "sleep", "1000"]);
    assert!(timeout == 124 && said.contains("timed out"), "{timeout}: {said}");
    let (missing, said) = code(&["--", "no-such-program-here"]);
    assert!(missing == 127 && said.contains("no-such-program-here"), "{missing}: {said}");
    let plain = host.file("plain");
    fs::write(&plain, "no program").unwrap();
    assert_eq!(code(&["--", &plain]).0, 126);
}

#[test]
fn limit_has_the_code_of_the_signal_that_came() {
    let host = Host::new();
    let ignores = "trap '' XCPU; while :; do :; done";
    let dies = "while :; do :; done";
    for (line, code) in [(ignores, 137), (dies, 152)] {
        let args = ["--limit", "cpu=1s", "--limit", "core=0", "--shell", line];
        let id = host.ok(&[&["submit"], &args[..]].concat());
        let waited = host.exeng(&["wait", &id]);
        assert_eq!(waited.code, Some(code), "{waited:?}");
        assert_eq!(host.show(&id)["ending"]["type"], "resource_limit");
        assert_eq!(host.exeng(&[&["run"], &args[..]].concat()).code, Some(code), "{line}");
    }
}

#[test]
fn several_have_the_code_of_the_first_failure() {
    let host = Host::new();
    let ids = ["exit 0", "exit 5", "exit 6"].map(|line| host.submit(line));
    let wait = |order: [usize; 3]| {
        let ids = order.map(|index| ids[index].as_str());
        host.exeng(&[&["wait"], &ids[..]].concat()).code
    };
    assert_eq!(wait([0, 1, 2]), Some(5));
    assert_eq!(wait([2, 1, 0]), Some(6));
    assert_eq!(host.exeng(&["wait", &ids[0], &ids[0]]).code, Some(0));
}

#[test]
fn wait_gives_up_when_it_is_told_to() {
    let host = Host::new();
    let id = host.submit("sleep 1000");
    let done = host.exeng(&["wait", "--timeout", "50ms", &id]);
    assert_eq!(done.code, Some(124), "{done:?}");
    assert_eq!(host.show(&id)["exit_code"], serde_json::Value::Null, "it goes on");
}

#[test]
fn wait_tells_what_has_ended_however_short_its_time_is() {
    let host = Host::new();
    let id = host.submit("exit 5");
    assert_eq!(host.exeng(&["wait", &id]).code, Some(5));
    assert_eq!(host.exeng(&["wait", "--timeout", "0s", &id]).code, Some(5));
}

#[test]
fn program_has_directory_and_environment_of_the_caller_and_no_input() {
    let host = Host::new();
    let inner = host.dir().join("inner dir");
    fs::create_dir(&inner).unwrap();
    let mut submit = host.command(&["submit", "--wait", "--shell", "pwd; echo $FOREIGN; cat"]);
    submit.current_dir(&inner).env("FOREIGN", "from the caller");
    let done = crate::support::finish(submit.spawn().unwrap(), "submit --wait");
    let id = done.ok();
    let expected = format!("{}\nfrom the caller\n", inner.canonicalize().unwrap().display());
    assert_eq!(host.exeng(&["logs", "--raw", &id]).out, expected.as_bytes());
    // The service, which was started by another caller, adds nothing of its own.
    let mut bare = host.command(&["submit", "--clear-env", "--env", "A=1", "--", "/usr/bin/env"]);
    bare.env("FOREIGN", "not wanted");
    let id = crate::support::finish(bare.spawn().unwrap(), "submit --clear-env").ok();
    host.ok(&["wait", &id]);
    let variables = host.ok(&["logs", &id]);
    assert!(variables.contains("A=1") && !variables.contains("FOREIGN"), "{variables}");
    assert!(!variables.contains("EXENG_STATE_DIR"), "{variables}");
}

#[test]
fn values_of_variables_are_nowhere_afterwards() {
    let host = Host::new();
    let secret = format!("hunter2-{}", std::process::id());
    let go = host.file("go");
    let mut submit = host.command(&["submit", "--env", "TOKEN", "--shell"]);
    submit.arg(format!("test -n \"$TOKEN\" && until [ -e '{go}' ]; do sleep 0.01; done"));
    submit.env("TOKEN", &secret);
    let id = crate::support::finish(submit.spawn().unwrap(), "submit --env").ok();
    fs::write(&go, "").unwrap();
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    let shown = host.show(&id);
    assert!(shown["env_names"].as_array().unwrap().contains(&"TOKEN".into()), "{shown}");
    assert!(!shown.to_string().contains(&secret), "{shown}");
    assert_eq!(files_with(host.state(), secret.as_bytes()), Vec::<std::path::PathBuf>::new());
    let named = files_with(host.state(), id.as_bytes());
    assert!(!named.is_empty(), "the search finds what is there");
}

#[test]
fn dependents_start_after_their_success() {
    let host = Host::new();
    let (go, log) = (host.file("go"), host.file("log"));
    let first =
        host.submit(&format!("until [ -e '{go}' ]; do sleep 0.01; done; echo first >>'{log}'"));
    let then =
        host.ok(&["submit", "--after-ok", &first, "--shell", &format!("echo then >>'{log}'")]);
    assert_eq!(host.show(&then)["status"], "pending");
    fs::write(&go, "").unwrap();
    assert_eq!(host.exeng(&["wait", &then]).code, Some(0));
    assert_eq!(fs::read_to_string(&log).unwrap(), "first\nthen\n");

    let fails = host.submit("exit 9");
    let never =
        host.ok(&["submit", "--after-ok", &fails, "--shell", &format!("echo never >>'{log}'")]);
    let done = host.exeng(&["wait", &never]);
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.err.contains(&fails), "{done:?}");
    assert_eq!(fs::read_to_string(&log).unwrap(), "first\nthen\n");

    // However it was, these have ended, and one has succeeded.
    let all = ["submit", "--after", &fails, "--after", &never, "--after-ok", &then, "--", "true"];
    let cleans = host.ok(&all);
    assert_eq!(host.exeng(&["wait", &cleans]).code, Some(0));
    let view = host.show(&cleans);
    assert_eq!(view["after_ended"], serde_json::json!([fails, never]), "{view}");
    assert_eq!(view["after"], serde_json::json!([then]), "{view}");
    let shown = host.ok(&["show", &cleans]);
    assert!(shown.contains(&format!("after        {fails}")), "{shown}");
    assert!(shown.contains(&format!("after ok     {then}")), "{shown}");
    let mixed = host.ok(&["submit", "--after", &fails, "--after-ok", &fails, "--", "true"]);
    assert_eq!(host.exeng(&["wait", &mixed]).code, Some(125), "success is needed, too");
    for option in ["--after", "--after-ok"] {
        let nobody = "abcd0000-0000-4000-8000-000000000001";
        let said = host.exeng(&["submit", option, nobody, "--", "true"]).refused();
        assert!(said.contains(nobody), "{said}");
    }
}

#[test]
fn what_one_follows_outlives_the_service() {
    let host = Host::new();
    let go = host.file("go");
    let first = host.submit(&format!("until [ -e '{go}' ]; do sleep 0.01; done; exit 3"));
    let ends = host.ok(&["submit", "--after", &first, "--", "true"]);
    let succeeds = host.ok(&["submit", "--after-ok", &first, "--", "true"]);
    host.kill_service();
    assert_eq!(host.show(&ends)["status"], "pending");
    fs::write(&go, "").unwrap();
    assert_eq!(host.exeng(&["wait", &ends]).code, Some(0));
    assert_eq!(host.exeng(&["wait", &succeeds]).code, Some(125));
}

#[test]
fn same_fault_has_the_same_code_here_and_in_the_service() {
    let host = Host::new();
    let plain = host.file("plain");
    fs::write(&plain, "no program").unwrap();
    let loops = host.file("loop");
    std::os::unix::fs::symlink(&loops, &loops).unwrap();
    let state = host.state().to_str().unwrap();
    for (args, code) in [
        (&["--cwd", "/no/such/directory", "--", "true"][..], 125),
        (&["--cwd", &plain, "--", "true"], 125),
        (&["--stdin", "/no/such/file", "--", "true"], 125),
        (&["--stdin", state, "--", "true"], 125),
        // More than any kernel allows, also to root.
        (&["--limit", "open-files=4000000000000", "--", "true"], 125),
        (&["--", &plain], 126),
        (&["--", &loops], 126),
        (&["--script", state], 126),
        (&["--", "/no/such/program"], 127),
        (&["--script", "/no/such/script"], 127),
    ] {
        host.ok(&["ls"]);
        let here = host.exeng(&[&["run"], args].concat());
        let there = host.exeng(&[&["submit", "--wait"], args].concat());
        assert_eq!((here.code, there.code), (Some(code), Some(code)), "{here:?} {there:?}");
    }
    // What is known at once is refused at once, unless it may come to be.
    for (args, named) in [
        (&["--cwd", "/no/such/directory"][..], "--cwd: /no/such/directory"),
        (&["--stdin", "/no/such/file"], "--stdin: /no/such/file"),
    ] {
        let said = host.exeng(&[&["submit"], args, &["--", "true"]].concat()).refused();
        assert!(said.contains(named), "{said}");
    }
    let made = host.file("made");
    let first = host.submit(&format!("mkdir '{made}'"));
    let then = host.ok(&["submit", "--after", &first, "--cwd", &made, "--", "pwd"]);
    assert_eq!(host.exeng(&["wait", &then]).code, Some(0));
}

#[test]
fn wait_takes_conditions_and_exits_with_the_first_failure_in_the_order_of_acceptance() {
    let host = Host::new();
    let submit = |line: &str| host.ok(&["submit", "--tag", "t", "--shell", line]);
    let (first, second) = (submit("exit 0"), submit("exit 4"));
    let third = submit("exit 5");
    host.ok(&["submit", "--shell", "exit 6"]);
    let done = host.exeng(&["wait", "--tag", "t", "--json"]);
    assert_eq!(done.code, Some(4), "{done:?}");
    let ids: Vec<String> = done
        .text()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_string()
        })
        .collect();
    assert_eq!(ids, [&*first, &*second, &*third]);
    assert_eq!(host.exeng(&["wait", "--tag", "none"]).code, Some(0), "nothing has failed");
    for line in [&["wait"][..], &["wait", &first, "--tag", "t"]] {
        host.exeng(line).refused();
    }
}
