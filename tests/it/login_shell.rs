//! The environment of a login shell, with startup files of all kinds.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Longer than any shell takes on a very busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a home directory with these files.
fn home(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

fn login_shell(program: impl Into<PathBuf>, home: &Path) -> LoginShell {
    let shell = LoginShell::new().program(program).timeout(PATIENCE);
    // Startup files elsewhere would be those of the user who runs the test.
    shell.env("HOME", home).env("ZDOTDIR", home).env("XDG_CONFIG_HOME", home)
}

/// Returns the path of a shell, if this machine has it.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.exists());
    if found.is_none() {
        println!("SKIPPED: {name} is not installed");
    }
    found
}

/// Writes a program that stands in for a shell.
fn stand_in(dir: &TempDir, script: &str) -> PathBuf {
    let path = dir.path().join("shell");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Checks what a shell passes on, with a startup file in its own words.
async fn check(name: &str, startup_file: &str, text: &str) {
    let Some(shell) = installed(name) else { return };
    let home = home(&[(startup_file, text)]);
    let env = login_shell(shell, home.path()).environment().await.unwrap();
    assert!(env.get("PATH").unwrap().to_str().unwrap().starts_with("/from/startup:"), "{name}");
    assert_eq!(env.get("TEXT").unwrap(), "one\ntwo = 2", "{name}");
    let not_utf8 = OsString::from_vec(b"\xff\xfe".to_vec());
    assert_eq!(env.get("NOT_UTF8"), Some(&*not_utf8), "{name}");
    assert_eq!(env.get("SEEN").unwrap(), "1", "{name}: startup files know what they are read for");
    for own in ["SHLVL", "PWD", "OLDPWD", "_", "DISABLE_AUTO_UPDATE", "EXECUTION_ENGINE_TREE"] {
        assert_eq!(env.get(own).map(Into::into), std::env::var_os(own), "{name}: {own}");
    }
    assert_eq!(env.get("EXECUTION_ENGINE_LOGIN_SHELL"), None, "{name}");
}

/// In the words of sh, bash and zsh, with noise on both streams.
const STARTUP: &str = r#"
echo welcome; printf 'A=1\0B=2\0'; echo trouble >&2
export PATH=/from/startup:$PATH
export TEXT='one
two = 2'
export NOT_UTF8=$(printf '\377\376')
export SEEN=$EXECUTION_ENGINE_LOGIN_SHELL
"#;

#[tokio::test]
async fn each_shell_reads_its_startup_files() {
    check("bash", ".bash_profile", STARTUP).await;
    check("dash", ".profile", STARTUP).await;
    check("zsh", ".zshrc", STARTUP).await;
    let fish = r"
        echo welcome
        set -gx PATH /from/startup $PATH
        set -gx TEXT one\ntwo\ =\ 2
        set -gx NOT_UTF8 \xff\xfe
        set -gx SEEN $EXECUTION_ENGINE_LOGIN_SHELL
    ";
    check("fish", "fish/config.fish", fish).await;
}

#[tokio::test]
async fn what_a_shell_prints_before_each_command_does_no_harm() {
    let text = format!("exec 2>&1; set -xv\n{STARTUP}");
    check("bash", ".bash_profile", &text).await;
    check("zsh", ".zshrc", &text).await;
}

#[tokio::test]
async fn a_broken_startup_file_does_no_harm() {
    let Some(bash) = installed("bash") else { return };
    let text = format!("{STARTUP}\nno-such-command\nif then )\n");
    let home = home(&[(".bash_profile", &text)]);
    let env = login_shell(bash, home.path()).environment().await.unwrap();
    assert!(env.get("PATH").is_some());
}

#[tokio::test]
async fn a_shell_that_hands_over_is_asked_again_without_being_interactive() {
    let Some(bash) = installed("bash") else { return };
    let text = format!("{STARTUP}\ncase $- in *i*) exec cat;; esac\n");
    let home = home(&[(".bash_profile", &text)]);
    let env = login_shell(bash, home.path()).environment().await.unwrap();
    assert_eq!(env.get("SEEN").unwrap(), "1");
}

#[tokio::test]
async fn a_startup_file_that_hangs_reaches_the_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let shell = stand_in(&dir, "trap '' TERM HUP INT; sleep 1000; sleep 1000");
    let timeout = Duration::from_millis(200);
    let error = LoginShell::new().program(&shell).timeout(timeout).environment().await.unwrap_err();
    assert!(matches!(error, LoginShellError::TimedOut { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(shell.to_str().unwrap()) && message.contains("200ms"), "{message}");
}

#[tokio::test]
async fn who_stops_waiting_stops_the_shell_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = format!(
        "trap '' TERM HUP INT; sleep 1000 & echo $$ $! >{0}.new; mv {0}.new {0}; wait; wait",
        pids.display()
    );
    let shell = LoginShell::new().program(stand_in(&dir, &script)).timeout(PATIENCE);
    let asked = tokio::spawn(async move { shell.environment().await });
    until("the shell has started", || pids.exists()).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    for pid in fs::read_to_string(pids).unwrap().split_whitespace() {
        let pid = pid.parse().unwrap();
        until(&format!("{pid} has ended"), || !is_alive(pid)).await;
    }
}

#[tokio::test]
async fn a_shell_without_an_answer_is_reported_with_its_ending() {
    let dir = tempfile::tempdir().unwrap();
    let shell = stand_in(&dir, "echo hunter2; exit 7");
    let error =
        LoginShell::new().program(&shell).timeout(PATIENCE).environment().await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("exit code 7") && !message.contains("hunter2"), "{message}");
    let missing = LoginShell::new().program(dir.path().join("none")).environment().await;
    assert!(matches!(missing, Err(LoginShellError::Failed { .. })), "{missing:?}");
}

#[tokio::test]
async fn processes_that_a_startup_file_leaves_behind_live_on() {
    let Some(bash) = installed("bash") else { return };
    let text = format!("{STARTUP}\nsleep 1000 >/dev/null 2>&1 </dev/null & export AGENT=$!\n");
    let home = home(&[(".bash_profile", &text)]);
    let env = login_shell(bash, home.path()).environment().await.unwrap();
    let agent: u32 = env.get("AGENT").unwrap().to_str().unwrap().parse().unwrap();
    assert!(is_alive(agent));
    let killed = ExecutionRequest::program("kill").args(["-KILL", &agent.to_string()]);
    assert!(engine().run(killed).await.unwrap().success);
}

#[tokio::test]
async fn programs_inherit_the_environment_of_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("tool-of-the-user");
    fs::write(&tool, "#!/bin/sh\necho \"$GREETING, $NAME\"\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut env = EnvVars::default();
    env.insert("PATH", dir.path());
    env.insert("GREETING", "hello");
    env.insert("NAME", "nobody");
    let engine = ExecutionEngine::builder().base_env(env).build().unwrap();
    let tool = || ExecutionRequest::program("tool-of-the-user");
    let result = engine.run(tool().env("NAME", "you")).await.unwrap();
    assert_eq!(result.stdout, "hello, you\n", "the program is found in that PATH");
    let options = ExecutionOptions::default().env_only(["PATH", "NAME"]);
    assert_eq!(engine.run_with(tool(), options).await.unwrap().stdout, ", nobody\n");
    let result = engine.run(ExecutionRequest::exec("/usr/bin/env", ["-0"])).await.unwrap();
    let names: Vec<_> =
        result.stdout.split_terminator('\0').map(|pair| pair.split_once('=').unwrap().0).collect();
    let expected = ["EXECUTION_ENGINE_TREE", "GREETING", "NAME", "PATH", "PWD"];
    assert!(names.iter().all(|name| expected.contains(name)), "{names:?}");
}
