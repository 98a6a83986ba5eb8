//! A number that meant a program of ours means a stranger's later: on a busy machine they are given
//! anew within seconds. The stranger is left alone.

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

/// The last number given in this process namespace; the next one is the first that is free after it.
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

/// A tree, a stranger, and a host that can give numbers at will.
struct Scene {
    left: Lifeline,
    strange: Lifeline,
    host: Host,
    _homes: [TempDir; 2],
}

/// The scene when its host, started by a shell line, has said this. None where numbers cannot be given.
fn scene(part: &str, line: &str, says: &str) -> Option<Scene> {
    // Nobody else takes numbers in a namespace of its own; all in it end with its first process.
    let kinds = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !levels().contains(&ContainmentLevel::ProcessTree) || !host::can_unshare(&kinds) {
        announce("SKIPPED: numbers cannot be given at will here");
        return None;
    }
    let homes = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [left, strange] = homes.each_ref().map(|home| Lifeline::new(home.path()));
    let [tree, stranger] = homes.each_ref().map(|home| home.path().display());
    let host = Host::start_in(&kinds, line, "init", HOST, &format!("{part} {tree} {stranger}"));
    let said = host.says();
    if said == "no" {
        announce("SKIPPED: numbers cannot be given at will here");
        return None;
    }
    assert_eq!(said, says);
    Some(Scene { left, strange, host, _homes: homes })
}

/// The host gives the number of a main program that has ended to a program of its own, while what is
/// left of the tree lives on, and dies. It ignores SIGCHLD, since otherwise the number would stay taken
/// for as long.
#[tokio::test]
async fn unrelated_process_with_a_recycled_pid_outlives_the_host() {
    let line = "\"$@\"; echo host: it died; sleep 300";
    let Some(mut scene) = scene("dies", line, "the number is taken") else { return };
    let Scene { left, strange, host, .. } = &mut scene;
    until("the stranger is there", || !strange.holders().is_empty()).await;
    assert!(!left.is_cut());
    host.tell();
    assert_eq!(host.says(), "it died");
    left.cut("the tree of a host that has died").await;
    // The sentinel has looked around once more since, when it is gone.
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let of_stranger = strange.holders().first().and_then(|pid| namespace(*pid));
    assert!(of_stranger.is_some(), "the stranger is alive");
    let is_sentinel = |pid: u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("execution-sentinel") && namespace(pid) == of_stranger
    };
    until("the sentinel is done", || !processes().into_iter().any(is_sentinel)).await;
    assert!(!strange.is_cut(), "the stranger is alive");
}

/// What is left of the tree lives on for a grace, and meanwhile the number is wanted for a daemon: its
/// leader ends, and so nobody has the number as his own, but a group and a session have it.
#[test]
fn unrelated_daemon_with_a_recycled_pid_outlives_the_tree() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    let Some(scene) = scene("stops", "\"$@\"; sleep 300", "the tree is gone") else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(scene.left.cut("the tree"));
    assert!(!scene.strange.holders().is_empty(), "the stranger is alive");
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let (tree, stranger) = (Path::new(&words[1]), Path::new(&words[2]));
    match words[0].as_str() {
        "dies" => host_that_dies(tree, stranger),
        _ => host_that_stops_a_tree(tree, stranger),
    }
}

/// Starts a program that ends and leaves somebody who is deaf and forks no more. Says its number when it
/// has ended and the other was asked to.
async fn ended_program(engine: &ExecutionEngine, tree: &Path) -> (Uuid, u32) {
    let deaf =
        "(trap '' TERM; exec sleep 300) & trap 'echo asked >asked' TERM; : >ready; wait; wait";
    let line =
        format!("setsid sh -c \"{deaf}\" & {}; echo $$ >main", wait_for(&tree.join("ready")));
    let id = engine.execute(shell(holding(tree, &line)).working_dir(tree)).await.unwrap();
    let number: u32 = told(&tree.join("main")).await.trim().parse().unwrap();
    told(&tree.join("asked")).await;
    assert!(!is_alive(number));
    (id, number)
}

/// Nobody is killed for being deaf to a polite request.
fn patient_engine() -> ExecutionEngine {
    let builder = ExecutionEngine::builder().containment(ContainmentLevel::ProcessTree);
    builder.stop_grace(Duration::from_secs(3600)).build().unwrap()
}

/// Whether the next process can be told to have this number.
fn is_next(number: u32) -> bool {
    std::fs::write(LAST, (number - 1).to_string()).is_ok()
}

fn host_that_stops_a_tree(tree: &Path, stranger: &Path) {
    let engine = patient_engine();
    // Threads take numbers, too, so this runtime starts none.
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

/// The first process has ended when this returns, and been reaped.
#[expect(clippy::disallowed_methods, reason = "it is to be no child of an engine")]
fn become_a_daemon(home: &Path) {
    let mut command = std::process::Command::new("setsid");
    command.args(["sh", "-c", &holding(home, "sleep 300 & exit 0")]);
    command.status().unwrap();
}

fn host_that_dies(tree: &Path, stranger: &Path) {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let engine = patient_engine();
    // Threads take numbers, too, so this runtime starts none.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_, number) = runtime.block_on(ended_program(&engine, tree));
    assert!(!processes().contains(&number), "it is free");
    if !is_next(number) {
        return host::say("no");
    }
    assert_eq!(lead_a_group(stranger), number, "no other process or thread is started here");
    host::say("the number is taken");
    host::listen();
    std::process::abort();
}

#[expect(clippy::disallowed_methods, reason = "it is to be no child of an engine")]
fn lead_a_group(home: &Path) -> u32 {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &holding(home, "exec sleep 300")]).process_group(0);
    command.spawn().unwrap().id()
}
