//! Completions of ids and tags, by the shells themselves.

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
fn bash_completes_ids_and_tags() {
    let host = Host::new();
    let id = host.ok(&["submit", "--wait", "--tag", "nightly", "--", "true"]);
    let other = host.ok(&["submit", "--wait", "--tag", "gpu", "--", "echo", "other"]);
    for verb in ["show", "logs", "wait", "stop", "pause", "resume", "rerun", "pin", "rm"] {
        let offered = offered_by_bash(&host, &["exeng", verb, &id[..12]]);
        assert_eq!(offered, std::slice::from_ref(&id), "{verb}");
    }
    let all = offered_by_bash(&host, &["exeng", "show", ""]);
    assert!(all.contains(&id) && all.contains(&other) && all.contains(&"@last".into()), "{all:?}");
    assert_eq!(offered_by_bash(&host, &["exeng", "ls", "--tag", "ni"]), ["nightly"]);
    assert_eq!(offered_by_bash(&host, &["exeng", "submit", "--after", &other[..12]]), [other]);
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
    // The variables of whoever runs the tests could draw a prompt that hides the line.
    zsh.env("TERM", "dumb").env("PS1", "$ ").stdin(Stdio::piped());
    let mut child = match zsh.spawn() {
        Ok(child) => child,
        Err(error) => panic!("python3 cannot be run: {error}"),
    };
    let keys = format!(
        "autoload -U compinit; compinit -u -D; source <(exeng completions zsh)\nexeng show {}\t\nexit\n",
        &id[..12]
    );
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), keys.as_bytes()).unwrap();
    let screen = finish(child, "zsh").text();
    if screen.contains("No such file") {
        return println!("SKIPPED: there is no zsh here");
    }
    assert!(screen.contains(&format!("exeng show {id}")), "{screen}");
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
