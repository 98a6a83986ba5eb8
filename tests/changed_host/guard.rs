//! A host guard that is killed is made again: the executions of its host end with the host all the same.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::{self, Host, guards};
use test_support::levels::{announce, level_named, levels, name_of};
use test_support::lifeline::{Lifeline, holding};
use test_support::*;
use tokio::runtime::Runtime;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "guard::trees_end_with_a_host_whose_guard_was_killed_twice";

/// A grace that must not apply when a host dies.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Kills a host in a state that it has reached, and checks that nothing of it is left.
async fn dies(manner: &str, start: impl Fn(&str) -> Host) {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let mut host = start(&format!("{manner} {} {}", name_of(level), home.path().display()));
        assert_eq!(host.next_line(), "it has a guard", "{manner} at {level}");
        assert!(!life.is_cut());
        host.kill();
        life.cut(&format!("after {manner} at {level}")).await;
    }
}

#[tokio::test]
async fn trees_end_with_a_host_whose_guard_was_killed_twice() {
    if let Some(words) = host::role() {
        return std::thread::spawn(move || play(&words)).join().unwrap();
    }
    dies("twice", |role| Host::start(HOST, role)).await;
}

#[tokio::test]
async fn guard_that_is_killed_while_nothing_runs_is_made_again() {
    dies("while_nothing_runs", |role| Host::start(HOST, role)).await;
}

#[tokio::test]
async fn program_that_is_started_without_a_guard_gets_one() {
    dies("before_a_start", |role| Host::start(HOST, role)).await;
}

/// Guards that end at once are not started in a loop, and programs can be started all the same.
#[tokio::test]
async fn guards_that_end_at_once_are_started_less_and_less_often() {
    if !host::can_unshare(&["-m"]) {
        return announce("SKIPPED: guards that end, for /bin/sh cannot be exchanged here");
    }
    let start = |role: &str| Host::start_in(&["-m"], "exec \"$@\"", "sh", HOST, role);
    dies("at_once", start).await;
}

#[tokio::test]
async fn replaced_guard_ends_with_its_engine() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let role = format!("drops {} {}", name_of(level), home.path().display());
        let mut host = Host::start(HOST, &role);
        assert_eq!(host.next_line(), "it has a guard");
        host.resume();
        assert_eq!(host.next_line(), "it has none");
        life.cut(&format!("the engine has ended its trees at {level}")).await;
    }
}

/// Returns a program, a child in its group, one in another session and an orphan; all ignore SIGTERM.
fn family(home: &Path) -> ExecutionRequest {
    let line = "trap '' TERM; sleep 300 & setsid sleep 300 & (setsid sleep 300 &); \
                echo ready >ready; sleep 300";
    shell(holding(home, line)).working_dir(home)
}

fn start_family(engine: &ExecutionEngine, runtime: &Runtime, home: &Path) {
    runtime.block_on(async {
        engine.execute(family(home)).await.unwrap();
        when_written(&home.join("ready")).await;
    });
}

/// Kills the guard of this process and waits for the next one.
fn lose_guard(runtime: &Runtime) {
    let lost = guards();
    assert_eq!(lost.len(), 1, "{lost:?}");
    kill(lost[0]);
    runtime.block_on(until(
        "there is another guard",
        || matches!(guards()[..], [guard] if guard != lost[0]),
    ));
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let (level, home) = (level_named(&words[1]), PathBuf::from(&words[2]));
    let grace = if words[0] == "drops" { Duration::ZERO } else { ENDLESS };
    let engine = ExecutionEngine::builder().stop_grace(grace).containment(level).build().unwrap();
    let runtime = Runtime::new().unwrap();
    assert!(runtime.block_on(engine.run(exec("true"))).unwrap().success);
    match words[0].as_str() {
        "while_nothing_runs" => {
            lose_guard(&runtime);
            start_family(&engine, &runtime, &home);
        }
        "before_a_start" => {
            let lost = guards()[0];
            kill(lost);
            start_family(&engine, &runtime, &home);
            runtime.block_on(until(
                "there is another guard",
                || matches!(guards()[..], [guard] if guard != lost),
            ));
        }
        "at_once" => {
            guards_end_at_once(&engine, &runtime);
            start_family(&engine, &runtime, &home);
        }
        _ => {
            start_family(&engine, &runtime, &home);
            lose_guard(&runtime);
            lose_guard(&runtime);
        }
    }
    host::say("it has a guard");
    host::listen();
    runtime.block_on(async {
        drop(engine);
        until("the guard has ended", || guards().is_empty()).await;
    });
    host::say("it has none");
    host::listen();
}

/// Exchanges the shell for a program that ends at once, kills the guard, and gives the shell back.
fn guards_end_at_once(engine: &ExecutionEngine, runtime: &Runtime) {
    let traces = Traces::of_this_process();
    let made_again = || traces.so_far().iter().filter(|it| it.contains("made again")).count();
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    let shell = text(&shell);
    system("mount", &["--bind", "/bin/true", shell]);
    let begun = Instant::now();
    kill(guards()[0]);
    runtime.block_on(until("it was made again some times", || made_again() >= 5));
    let pauses = begun.elapsed();
    assert!(pauses >= Duration::from_millis(50 + 100 + 200 + 400), "{pauses:?}");
    let result = runtime.block_on(engine.run(exec("true"))).unwrap();
    assert!(result.success, "programs are started all the same: {result:?}");
    system("umount", &[shell]);
    runtime.block_on(until("a guard stays", || !guards().is_empty()));
}

#[expect(clippy::disallowed_methods, reason = "changes the machine as this host sees it")]
fn system(program: &str, arguments: &[&str]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program}");
}
