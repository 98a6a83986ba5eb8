//! `logs` of several executions, and `--quiet`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::{Host, finish, until};

/// Submits a line of a shell with a tag, runs it to its end, and returns its id.
fn ended(host: &Host, tag: &str, line: &str) -> String {
    let printed = host.exeng(&["submit", "--wait", "--json", "--tag", tag, "--shell", line]);
    let value: Value = serde_json::from_slice(&printed.out).unwrap();
    value["id"].as_str().unwrap().to_string()
}

#[test]
fn several_are_printed_one_after_the_other_and_marked_if_that_is_wanted() {
    let host = Host::new();
    let ids = [
        ended(&host, "build", "echo one; echo two"),
        ended(&host, "deploy", "echo three; printf four"),
        ended(&host, "build", "echo five; echo six >&2"),
    ];
    let [one, two, three] = ids.each_ref().map(|id| &id[..]);
    assert_eq!(host.ok(&["logs", one, two, &one[..8], three]), "one\ntwo\nthree\nfourfive\nsix");
    // A tag that two of them have says nothing.
    let (first, third) = (&one[..8], &three[..8]);
    let expected = format!(
        "{first} | one\n{first} | two\ndeploy   | three\ndeploy   | four\n{third} | five\n{third} | six"
    );
    assert_eq!(host.ok(&["logs", "--prefix", one, two, three]), expected);
    assert_eq!(host.ok(&["logs", "-f", "--prefix", two, one, "--tail", "1"]).lines().count(), 2);
    assert_eq!(host.ok(&["logs", "--prefix", three, "--stream", "stdout"]), "build | five");

    let events = host.ok(&["logs", "--json", one, two]);
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(of.starts_with(&[one]) && of.ends_with(&[two]) && of.is_sorted_by_key(|id| *id == two));
    assert!(events.iter().all(|event| event["cursor"].is_u64()));
    let single = host.ok(&["logs", "--json", one]);
    assert!(single.lines().all(|line| line.starts_with("{\"cursor\":")), "{single}");

    // What is not there keeps nothing from the others.
    let done = host.exeng(&["logs", one, "ffffffff", two]);
    assert_eq!((done.code, done.text()), (Some(125), "one\ntwo\nthree\nfour".to_string()));
    assert!(done.err.contains("ffffffff"), "{done:?}");
    let refused = host.exeng(&["logs", "-f", one, two]).refused();
    assert!(refused.contains("add --prefix"), "{refused}");
    for options in [["--prefix", "--raw"], ["--prefix", "--json"]] {
        let done = host.exeng(&[&["logs", one], &options[..]].concat());
        assert!(done.code == Some(125) && done.err.contains("cannot be used with"), "{done:?}");
    }
}

#[test]
fn lines_of_several_that_are_followed_stay_whole() {
    let host = Host::new();
    let go = host.file("go");
    // Lines in pieces, and some that are longer than what is held back, which are broken.
    let line = |word: &str| {
        format!(
            "until [ -e '{go}' ]; do sleep 0.01; done; for n in $(seq 200); do printf '{word}-'; printf \"$n\\n\"; done; \
             for n in 1 2; do head -c 1500000 /dev/zero | tr '\\0' {word}; echo; done; printf last"
        )
    };
    let submit = |tag: &str, word: &str| host.ok(&["submit", "--tag", tag, "--shell", &line(word)]);
    let ids = [submit("first", "a"), submit("second", "b"), submit("third", "c")];
    let follow =
        host.command(&["logs", "-f", "--prefix", &ids[0], &ids[1], &ids[2]]).spawn().unwrap();
    fs::write(&go, "").unwrap();
    let text = finish(follow, "logs -f --prefix").ok();
    for (tag, word) in [("first", "a"), ("second", "b"), ("third", "c")] {
        let mark = format!("{tag:<6} | ");
        let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&mark)).collect();
        let numbers: Vec<_> = (1..=200).map(|number| format!("{word}-{number}")).collect();
        assert_eq!(lines[..200], numbers, "{tag}");
        let long = word.repeat(1_500_000);
        let (piece, rest) = long.split_at(1 << 20);
        let lengths: Vec<_> = lines[200..].iter().map(|line| line.len()).collect();
        assert!(lines[200..204] == [piece, rest, piece, rest], "{tag}: {lengths:?}");
        assert_eq!(lines[204..], ["last"], "{tag}");
    }
    assert_eq!(text.lines().count(), 3 * 205);
}

#[test]
fn a_line_without_an_end_keeps_no_other_from_being_printed() {
    let host = Host::new();
    let go = host.file("go");
    let endless = host.ok(&[
        "submit",
        "--tag",
        "endless",
        "--shell",
        &format!(
            "head -c 1500000 /dev/zero | tr '\\0' x; until [ -e '{go}' ]; do sleep 0.01; done"
        ),
    ]);
    // It goes on when the follower has printed a part of that line.
    let printed = host.file("printed");
    let other = host.ok(&[
        "submit",
        "--tag",
        "other",
        "--shell",
        &format!("until [ -s '{printed}' ]; do sleep 0.01; done; echo some; until [ -e '{go}' ]; do sleep 0.01; done"),
    ]);
    let mut follow =
        host.shell(&format!("exec exeng logs -f --prefix {endless} {other} > '{printed}'"));
    let follow = follow.spawn().unwrap();
    until("the line of the other one", || {
        fs::read_to_string(&printed).unwrap_or_default().contains("\nother   | some\n")
    });
    fs::write(&go, "").unwrap();
    finish(follow, "logs -f --prefix").ok();
}

#[test]
fn no_more_are_followed_than_may_be() {
    let host = Host::new();
    let ids: Vec<_> = (0..101).map(|_| host.submit("true")).collect();
    let ids: Vec<_> = ids.iter().map(|id| &id[..]).collect();
    let follow = |ids: &[&str]| host.exeng(&[&["logs", "-f", "--prefix"], ids].concat());
    let refused = follow(&ids).refused();
    assert!(refused.contains("101 executions") && refused.contains("leave -f out"), "{refused}");
    assert_eq!(follow(&[&ids[..100], &ids[..1]].concat()).code, Some(0), "one is named twice");
}

#[test]
fn following_several_survives_the_service_and_ends_with_its_reader() {
    let host = Host::new();
    let go = host.file("go");
    let line = format!(
        "echo begun | tee -a '{go}-begun'; until [ -e '{go}' ]; do sleep 0.01; done; echo done"
    );
    let ids = [host.submit(&line), host.submit(&line)];
    until("both run", || {
        fs::read_to_string(format!("{go}-begun")).unwrap_or_default().lines().count() == 2
    });
    let args = ["logs", "-f", "--json", &ids[0], &ids[1]];
    let follow = host.command(&args).spawn().unwrap();
    // One that follows them in a pipe whose reader has seen enough, while they write nothing.
    let piped = host.sh(&format!(
        "{{ exeng logs -f --prefix {} {}; echo $? >&2; }} | head -n 2 >/dev/null",
        ids[0], ids[1]
    ));
    assert_eq!(piped.err, "141\n");
    host.kill_service();
    let _served = host.serve();
    fs::write(&go, "").unwrap();
    let text = finish(follow, "logs -f --json").ok();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for id in &ids {
        let mut of_one = events.iter().filter(|event| event["id"] == **id);
        let texts: String = of_one.clone().filter_map(|event| event["text"].as_str()).collect();
        assert_eq!(texts, "begun\ndone\n");
        assert_eq!(of_one.next_back().unwrap()["type"], "ended");
    }
    let cursors: BTreeSet<_> =
        events.iter().map(|event| (event["id"].as_str(), event["cursor"].as_u64())).collect();
    assert_eq!(cursors.len(), events.len(), "each event once");
}

#[test]
fn quiet_leaves_out_what_is_no_failure() {
    let host = Host::new();
    let id = host.ok(&["submit", "--wait", "--json", "--", "true"]);
    let id = serde_json::from_str::<Value>(&id).unwrap()["id"].as_str().unwrap().to_string();
    let file = host.file("all.tar");
    for (args, code) in [
        (&["ls", "-n", "0"][..], 0),
        (&["stop", &id], 0),
        (&["gc"], 0),
        (&["export", "--output", &file], 0),
        (&["import", &file], 0),
        (&["submit", "--follow", "--", "true"], 0),
        (&["submit", "--at", "1h", "--", "true"], 0),
        (&["man"], 0),
    ] {
        let loud = host.exeng(args);
        assert_eq!(loud.code, Some(code), "{loud:?}");
        let force: &[&str] = if args[0] == "export" { &["--force"] } else { &[] };
        for quiet in ["-q", "--quiet"] {
            let done = host.exeng(&[&[quiet], args, force].concat());
            assert_eq!((done.code, &*done.err), (Some(code), ""), "{args:?}");
        }
    }
    assert!(host.exeng(&["submit", "--follow", "--", "true"]).err.starts_with("exeng: "));
    // The id is data, and a failure is told.
    assert_eq!(host.ok(&["submit", "-q", "--", "true"]).len(), 36);
    assert!(host.exeng(&["show", "-q", "ffffffff"]).refused().contains("there is no execution"));
    assert!(
        host.exeng(&["wait", "-q", "--timeout", "1ms", &host.submit("sleep 1000")])
            .err
            .contains("ended in this time")
    );
    let stopped = host.exeng(&["run", "-q", "--timeout", "10ms", "--", "sleep", "1000"]);
    assert!(stopped.code == Some(124) && stopped.err.starts_with("exeng: "), "{stopped:?}");
}
