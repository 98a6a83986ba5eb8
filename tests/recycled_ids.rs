//! A busy machine reuses process ids within seconds: an unrelated process with the id of an ended
//! program is not touched.

use std::os::unix::process::CommandExt as _;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{announce, levels};
use test_support::lifeline::{Lifeline, holding};
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "unrelated_daemon_with_a_recycled_pid_outlives_the_tree";

/// Last id given in this process namespace; the next one is the first free id after it.
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

/// A tree, an unrelated process, and a host that can choose process ids.
struct Setup {
    left: Lifeline,
    strange: Lifeline,
    host: Host,
    _homes: [TempDir; 2],
}

/// Starts a host through a shell line and waits for its report; `None` where ids cannot be chosen.
fn setup(part: &str, line: &str, says: &str) -> Option<Setup> {
    // In its own namespace no other process takes ids, and all end with the first process.
    let kinds = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !levels().contains(&ContainmentLevel::ProcessTree) || !host::can_unshare(&kinds) {
        announce("SKIPPED: numbers cannot be given at will here");
        return None;
    }
    let homes = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [left, strange] = homes.each_ref().map(|home| Lifeline::new(home.path()));
    let [tree, stranger] = homes.each_ref().map(|home| home.path().display());
    let host = Host::start_in(&kinds, line, "init", HOST, &format!("{part} {tree} {stranger}"));
    let said = host.next_line();
    if said == "no" {
        announce("SKIPPED: numbers cannot be given at will here");
        return None;
    }
    assert_eq!(said, says);
    Some(Setup { left, strange, host, _homes: homes })
}

/// The host gives the id of an ended main program to an unrelated one while the rest of the tree lives,
/// and dies. It ignores SIGCHLD: otherwise the id would stay taken for as long.
#[tokio::test]
async fn unrelated_process_with_a_recycled_pid_outlives_the_host() {
    let line = "\"$@\"; echo host: it died; sleep 300";
    let Some(mut setup) = setup("dies", line, "the number is taken") else { return };
    let Setup { left, strange, host, .. } = &mut setup;
    until("the stranger is there", || !strange.holders().is_empty()).await;
    assert!(!left.is_cut());
    host.resume();
    assert_eq!(host.next_line(), "it died");
    left.cut("the tree of a host that has died").await;
    // Once the host guard has exited, it has looked around once more.
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let of_stranger = strange.holders().first().and_then(|pid| namespace(*pid));
    assert!(of_stranger.is_some(), "the stranger is alive");
    let is_guard = |pid: u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("execution-host-guard") && namespace(pid) == of_stranger
    };
    until("the host guard is done", || !processes().into_iter().any(is_guard)).await;
    assert!(!strange.is_cut(), "the stranger is alive");
}

/// The rest of the tree lives for a grace, and meanwhile a daemon wants the id: its leader exits, so
/// that no process has the id, but a group and a session have it.
#[test]
fn unrelated_daemon_with_a_recycled_pid_outlives_the_tree() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    let Some(setup) = setup("stops", "\"$@\"; sleep 300", "the tree is gone") else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(setup.left.cut("the tree"));
    assert!(!setup.strange.holders().is_empty(), "the stranger is alive");
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let (tree, stranger) = (Path::new(&words[1]), Path::new(&words[2]));
    match words[0].as_str() {
        "dies" => host_that_dies(tree, stranger),
        _ => host_that_stops_a_tree(tree, stranger),
    }
}

/// Starts a program that ends and leaves a process which ignores SIGTERM and does not fork. Returns its
/// id once it has ended and the process got the signal.
async fn ended_program(engine: &ExecutionEngine, tree: &Path) -> (Uuid, u32) {
    // Ready only when the subshell ignores the signal, which comes as soon as the program has ended.
    let deaf =
        "trap 'echo asked >asked' TERM; (trap '' TERM; : >ready; exec sleep 300) & wait; wait";
    let line =
        format!("setsid sh -c \"{deaf}\" & {}; echo $$ >main", wait_for(&tree.join("ready")));
    let id = engine.execute(shell(holding(tree, &line)).working_dir(tree)).await.unwrap();
    let number: u32 = when_written(&tree.join("main")).await.trim().parse().unwrap();
    when_written(&tree.join("asked")).await;
    assert!(!is_alive(number));
    (id, number)
}

/// Creates an engine whose grace never ends.
fn patient_engine() -> ExecutionEngine {
    let builder = ExecutionEngine::builder().containment(ContainmentLevel::ProcessTree);
    builder.stop_grace(Duration::from_secs(3600)).build().unwrap()
}

/// Chooses the id of the next process; returns `false` if that is not allowed.
fn is_next(number: u32) -> bool {
    std::fs::write(LAST, (number - 1).to_string()).is_ok()
}

fn host_that_stops_a_tree(tree: &Path, stranger: &Path) {
    let engine = patient_engine();
    // Threads take ids, too, so this runtime starts none.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (id, number) = ended_program(&engine, tree).await;
        if !is_next(number) {
            return host::say("no");
        }
        become_a_daemon(stranger);
        engine.shutdown(Duration::ZERO).await;
        engine.wait_for_completion(id).await.unwrap();
        host::say("the tree is gone");
    });
    host::listen();
}

/// Starts a daemon; its first process has ended and been reaped by the time this returns.
#[expect(clippy::disallowed_methods, reason = "it is to be no child of an engine")]
fn become_a_daemon(home: &Path) {
    let mut command = std::process::Command::new("setsid");
    command.args(["sh", "-c", &holding(home, "sleep 300 & exit 0")]);
    command.status().unwrap();
}

#[expect(clippy::zombie_processes, reason = "SIGCHLD is ignored, so the kernel reaps the stranger")]
fn host_that_dies(tree: &Path, stranger: &Path) {
    // SAFETY: Ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let engine = patient_engine();
    // Threads take ids, too, so this runtime starts none.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_, number) = runtime.block_on(ended_program(&engine, tree));
    assert!(!processes().contains(&number), "it is free");
    loop {
        if !is_next(number) {
            return host::say("no");
        }
        let mut stranger = lead_a_group(stranger);
        if stranger.id() == number {
            break;
        }
        // A thread of the engine or the host guard has taken the id first.
        stranger.kill().unwrap();
    }
    host::say("the number is taken");
    host::listen();
    std::process::abort();
}

#[expect(clippy::disallowed_methods, reason = "it is to be no child of an engine")]
fn lead_a_group(home: &Path) -> std::process::Child {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &holding(home, "exec sleep 300")]).process_group(0);
    command.spawn().unwrap()
}
