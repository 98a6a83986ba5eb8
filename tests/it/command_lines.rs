//! A command as it is shown can be pasted into a shell: real shells run the same program with the
//! same arguments.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use execution_engine::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use test_support::*;

/// Prints the name by which it was found and its arguments, in numbers, so that nothing is lost.
const SHOW: &str =
    "#!/bin/sh\nprintf '%s\\0' \"${0##*/}\" \"$@\" | od -An -v -tx1 | tr -d ' \\n'\n";

/// Directory with one program that has many names.
struct Programs {
    dir: TempDir,
    path: String,
}

impl Programs {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = format!("{}:/usr/bin:/bin", text(dir.path()));
        executable(dir.path().join("show"), SHOW);
        Self { dir, path }
    }

    /// Gives the program one more name, unless it has that.
    fn name(&self, name: &str) {
        let exists = symlink("show", self.dir.path().join(name));
        assert!(exists.is_ok() || self.dir.path().join(name).exists(), "{name:?}");
    }

    /// Runs a line as a shell reads it from its input, with the history of an interactive one.
    async fn pasted(&self, engine: &ExecutionEngine, shell: &str, line: &str) -> String {
        let history = if shell == "bash" { "set -o history -o histexpand\n" } else { "" };
        let options =
            ExecutionOptions::default().stdin(StdinSource::bytes(format!("{history}{line}\n")));
        let request = ExecutionRequest::exec(shell, ["-s"]).env("PATH", &self.path);
        let result = run_with(engine, request.working_dir(self.dir.path()), options).await;
        assert!(result.success, "{shell} {line:?}: {result:?}");
        result.stdout
    }

    /// Checks that shells run a command as the engine does.
    async fn check(
        &self,
        engine: &ExecutionEngine,
        command: &Command,
    ) -> Result<(), TestCaseError> {
        let argv = command.argv();
        let name = argv[0].rsplit('/').next().unwrap();
        let words = [name].into_iter().chain(argv[1..].iter().map(String::as_str));
        let bytes = words.flat_map(|word| word.bytes().chain([0]));
        let expected: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        for shell in ["sh", "bash"] {
            let printed = self.pasted(engine, shell, &command.to_string()).await;
            prop_assert_eq!(&printed, &expected, "{} shown as {}", shell, command);
        }
        Ok(())
    }
}

fn command(program: &str, args: &[&str]) -> Command {
    ExecutionRequest::exec(program, args.iter().copied()).command
}

fn any_word() -> impl Strategy<Value = String> {
    let odd = "aZ09-_./:=@%+,~!#$&*()[]{}|\\;<>?'\"` \t\n\r\u{1b}\u{7f}é\u{a0}\u{202e}\u{200b}🦀^";
    let odd: Vec<char> = odd.chars().collect();
    let words =
        ["if", "-n", "--", "!!", "!$", "a=b", "$HOME", "$(id)", "~root", "%1", "{a,b}", "\n\n"];
    prop_oneof![
        6 => proptest::collection::vec(prop::sample::select(odd), 0..8)
            .prop_map(|chars| chars.into_iter().collect()),
        2 => prop::sample::select(words.to_vec()).prop_map(str::to_string),
    ]
}

#[test]
fn shown_command_is_run_by_shells_as_by_the_engine() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (programs, engine) = (Programs::new(), engine());
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases / 2,
        failure_persistence: None,
        ..Config::default()
    });
    // What a shell does by itself has a test below.
    let name = any_word().prop_filter("the name of a file", |name| {
        !["", ".", ":", "..", "["].contains(&name.as_str()) && !name.contains('/')
    });
    let args = proptest::collection::vec(any_word(), 0..4);
    let checked = runner.run(&(name, args), |(name, args)| {
        programs.name(&name);
        let command = Command::Exec { program: name, args };
        runtime.block_on(programs.check(&engine, &command))
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn shown_program_is_no_word_of_the_shell() {
    let (programs, engine) = (Programs::new(), engine());
    let names = [
        "if", "while", "for", "done", "time", "function", "select", "coproc", "in", "!", "{", "}",
        "[[", "exec", "exit", "eval", "export", "set", "cd", "read", "wait", "type", "source",
        "declare", ":", "a=b", "PATH=x", "-x", "+x", "%1", "%a=b", "~", "#x", "local", "alias",
        "umask", "trap",
    ];
    for name in names {
        programs.name(name);
        let checked = programs.check(&engine, &command(name, &["x=y", "3"])).await;
        checked.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test]
async fn shown_echo_prints_what_the_program_prints() {
    let (programs, engine) = (Programs::new(), engine());
    for args in [&["-e", "a"][..], &["-n"], &[r"a\tb\c"], &["plain", "'words'"]] {
        let command = command("echo", args);
        let by_engine = run(&engine, ExecutionRequest::new(command.clone())).await.stdout;
        for shell in ["sh", "bash"] {
            let pasted = programs.pasted(&engine, shell, &command.to_string()).await;
            assert_eq!(pasted, by_engine, "{command}");
        }
    }
}

#[tokio::test]
async fn shown_script_is_found_by_its_path() {
    let (programs, engine) = (Programs::new(), engine());
    for name in [&b"job"[..], b"-job", b"my job\n", b"not \xff\xfe utf-8\x1b"] {
        let name = Path::new(OsStr::from_bytes(name));
        let place = executable(programs.dir.path().join(name), "#!/bin/sh\necho \"$0\"\n");
        for script in [name, &place] {
            for interpreter in [None, Some("sh")] {
                let request = ExecutionRequest::script(script);
                let request = interpreter.into_iter().fold(request, ExecutionRequest::interpreter);
                let shown = request.command.to_string();
                let pasted = programs.pasted(&engine, "sh", &shown).await;
                let by_engine = run(&engine, request.working_dir(programs.dir.path())).await;
                let is_name = interpreter.is_none() && script == name;
                let of_shell = pasted.strip_prefix("./").filter(|_| is_name).unwrap_or(&pasted);
                let of_engine = by_engine.stdout.trim_start_matches("./");
                let of_engine = if is_name { of_engine } else { &by_engine.stdout };
                assert_eq!(of_shell, of_engine, "{shown:?}");
                assert!(!shown.contains(['\x1b', '\u{fffd}']), "{shown:?}");
            }
        }
        fs::remove_file(place).unwrap();
    }
}

#[tokio::test]
async fn line_for_another_shell_is_shown_with_that_shell() {
    let line = "for i in {1..2}; do echo \"$i's\"; done";
    let request = shell(line).interpreter("bash");
    assert_eq!(request.command.to_string(), format!("bash -c '{}'", line.replace('\'', r"'\''")));
    let (programs, engine) = (Programs::new(), engine());
    let shown = request.command.to_string();
    assert_eq!(programs.pasted(&engine, "sh", &shown).await, run(&engine, request).await.stdout);
    assert_eq!(shell(line).command.to_string(), line, "the shell of the platform is left out");
}
