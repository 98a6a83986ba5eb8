//! Completions of ids, tags and groups, by the shells themselves.

use std::process::{Command, Stdio};

use crate::support::{Done, Host, finish};

/// Runs a line of bash that has the completions, and returns what they offer for the last of the words.
fn offered_by_bash(host: &Host, words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let line = format!(
        "source <(exeng completions bash); COMP_WORDS=({}); COMP_CWORD={last}; COMP_TYPE=9; \
         _clap_complete_exeng exeng '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
        words[last],
        words[last - 1]
    );
    let done = in_shell(host, "bash", &["-c", &line]).ok();
    done.lines().map(|line| line.trim_end().to_string()).collect()
}

fn in_shell(host: &Host, shell: &str, args: &[&str]) -> Done {
    finish(with_exeng(host, shell, args).spawn().unwrap(), &format!("{shell} {args:?}"))
}

/// Returns a command line of a program that finds `exeng`.
fn with_exeng(host: &Host, program: &str, args: &[&str]) -> Command {
    let mut command = host.shell("exec \"$0\" \"$@\"");
    command.arg(program).args(args);
    command
}

#[test]
fn bash_completes_ids_tags_and_groups() {
    let host = Host::new();
    let id = host.ok(&["submit", "--wait", "--tag", "nightly", "--", "true"]);
    let other = host.ok(&["submit", "--wait", "--tag", "gpu", "--", "echo", "other"]);
    for verb in ["show", "logs", "wait", "rerun", "pin", "rm"] {
        assert_eq!(offered_by_bash(&host, &["exeng", verb, &id[..6]]), [&id[..8]], "{verb}");
        assert_eq!(offered_by_bash(&host, &["exeng", verb, &id[..12]]), [&*id], "{verb}");
        let all = offered_by_bash(&host, &["exeng", verb, ""]);
        let of = |word: &str| all.iter().position(|offered| offered == word).unwrap();
        assert!(of("@last") < of(&other[..8]) && of(&other[..8]) < of(&id[..8]), "{all:?}");
    }
    assert_eq!(offered_by_bash(&host, &["exeng", "ls", "--tag", "ni"]), ["nightly"]);
    // A shell would run what is in them.
    for tag in ["$(touch here)", "`x`", "a b", "a;b", "--force", "'"] {
        host.ok(&["submit", &format!("--tag={tag}"), "--", "true"]);
    }
    assert_eq!(offered_by_bash(&host, &["exeng", "ls", "--tag", ""]), ["gpu", "nightly"]);
    for option in ["--after", "--after-ok"] {
        let offered = offered_by_bash(&host, &["exeng", "submit", option, &other[..6]]);
        assert_eq!(offered, [&other[..8]], "{option}");
    }
    host.ok(&["group", "pause", "weekly"]);
    for words in [&["ls", "--group"][..], &["submit", "--group"], &["group", "rm"]] {
        let offered = offered_by_bash(&host, &[&["exeng"], words, &["wee"]].concat());
        assert_eq!(offered, ["weekly"], "{words:?}");
    }
}

#[test]
fn ids_fit_the_verb() {
    let host = Host::new();
    let ended = host.ok(&["submit", "--wait", "--", "true"]);
    let paused = host.ok(&["submit", "--at", "tomorrow", "--", "true"]);
    host.ok(&["pause", &paused]);
    let waits = host.ok(&["submit", "--at", "tomorrow", "--", "true"]);
    let [ended, paused, waits] = [&ended[..8], &paused[..8], &waits[..8]];
    let offered = |words: &[&str]| offered_by_bash(&host, &[&["exeng"], words, &[""]].concat());
    for verb in [&["stop"][..], &["signal", "TERM"], &["pause"], &["attach"], &["input"]] {
        let offered = offered(verb);
        for (id, fits) in [(waits, true), (paused, true), (ended, false), ("@last", true)] {
            assert_eq!(offered.iter().any(|word| word == id), fits, "{verb:?}: {offered:?}");
        }
    }
    let resumed = offered(&["resume"]);
    for (id, fits) in [(waits, false), (paused, true), (ended, false), ("@last", false)] {
        assert_eq!(resumed.iter().any(|word| word == id), fits, "{resumed:?}");
    }
    for verb in ["rm", "rerun"] {
        let offered = offered(&[verb]);
        for (id, fits) in [(waits, false), (paused, false), (ended, true), ("@last", false)] {
            assert_eq!(offered.iter().any(|word| word == id), fits, "{verb}: {offered:?}");
        }
    }
    host.ok(&["stop", waits, paused]);
}

#[test]
fn schedules_are_completed_by_their_names() {
    let host = Host::new();
    host.ok(&["submit", "--every", "@yearly", "--name", "backup", "--", "true"]);
    let id = host.ok(&["submit", "--every", "@yearly", "--", "true"]);
    for verb in ["show", "pause", "resume", "run", "rm"] {
        let offered = offered_by_bash(&host, &["exeng", "schedule", verb, "ba"]);
        assert_eq!(offered, ["backup"], "{verb}");
        let offered = offered_by_bash(&host, &["exeng", "schedule", verb, &id[..12]]);
        assert_eq!(offered, [&*id], "{verb}");
    }
    assert_eq!(offered_by_bash(&host, &["exeng", "ls", "--schedule", "ba"]), ["backup"]);
}

#[test]
fn words_are_those_that_a_place_takes() {
    let host = Host::new();
    std::fs::write(host.file("words.txt"), "").unwrap();
    for (words, expected) in [
        (&["ls", "--status", "fai"][..], "failed"),
        (&["ls", "--status", "lost,fai"], "lost,failed"),
        (&["man", "sche"], "schedule"),
        (&["man", "service", "unin"], "uninstall"),
        (&["submit", "--every", "1s", "--time-zone", "Europe/Berl"], "Europe/Berlin"),
        (&["submit", "--every", "1s", "--missed", "run-o"], "run-once"),
        (&["run", "--", "exen"], "exeng"),
        (&["run", "--", "cat", "word"], "words.txt"),
        (&["submit", "--tag", "t", "--", "cat", "word"], "words.txt"),
        (&["submit", "cat", "word"], "words.txt"),
    ] {
        let offered = offered_by_bash(&host, &[&["exeng"], words].concat());
        assert!(offered.iter().any(|word| word == expected), "{words:?}: {offered:?}");
    }
    assert_eq!(host.service(), None);
}

#[test]
fn completion_starts_no_service() {
    let host = Host::new();
    assert_eq!(offered_by_bash(&host, &["exeng", "show", ""]).first().unwrap(), "@last");
    assert_eq!(host.service(), None);
    assert_eq!(offered_by_bash(&host, &["exeng", "keep"]), ["keepers"]);
}

#[test]
fn zsh_completes_an_id() {
    let host = Host::new();
    let id = host.ok(&["submit", "--wait", "--", "true"]);
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/in_terminal.py");
    let mut zsh = with_exeng(&host, "python3", &[python, "zsh", "-f", "-i"]);
    // The variables of the user who runs the tests could draw a prompt that hides the line.
    zsh.env("TERM", "dumb").env("PS1", "$ ").stdin(Stdio::piped());
    let mut child = match zsh.spawn() {
        Ok(child) => child,
        Err(error) => panic!("python3 cannot be run: {error}"),
    };
    let keys = format!(
        "autoload -U compinit; compinit -u -D; source <(exeng completions zsh)\nexeng show {}\t\nexit\n",
        &id[..6]
    );
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), keys.as_bytes()).unwrap();
    let screen = finish(child, "zsh").text();
    if screen.contains("No such file") {
        return println!("SKIPPED: there is no zsh here");
    }
    assert!(screen.contains(&format!("exeng show {}", &id[..8])), "{screen}");
}

#[test]
fn scripts_pass_the_check_of_their_shells() {
    let host = Host::new();
    for shell in ["bash", "zsh", "fish"] {
        let file = host.file(shell);
        std::fs::write(&file, host.exeng(&["completions", shell]).out).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the shell is the judge")]
        match Command::new(shell).arg("-n").arg(&file).output() {
            Err(error) => println!("SKIPPED: {shell}: {error}"),
            Ok(output) => assert!(output.status.success(), "{output:?}"),
        }
    }
}
