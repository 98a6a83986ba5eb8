//! A number that meant a program of ours means a stranger's later: on a busy machine they are given
//! anew within seconds. The stranger is left alone.

mod support;

use std::os::unix::process::CommandExt as _;

use execution_engine::*;
use support::host::{self, Host};
use support::levels::{announce, levels};
use support::lifeline::{Lifeline, holding};
use support::*;
use tempfile::TempDir;

/// The last number given in this process namespace; the next one is the first that is free after it.
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

/// The host gives the number of a main program that has ended to a program of its own, while what is
/// left of the tree lives on, and dies.
#[tokio::test]
async fn a_stranger_with_the_number_of_a_main_program_outlives_the_host() {
    // Nobody else takes numbers in a namespace of its own; all in it end with its first process.
    let kinds = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !levels().contains(&ContainmentLevel::ProcessTree) || !host::can_unshare(&kinds) {
        return announce("SKIPPED: numbers cannot be given at will here");
    }
    let (tree, stranger) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (left, strange) = (Lifeline::new(tree.path()), Lifeline::new(stranger.path()));
    let part = format!("{} {}", tree.path().display(), stranger.path().display());
    let mut host = Host::start_in(&kinds, "\"$@\"; echo host: it died; sleep 300", "init", &part);
    match host.says().as_str() {
        "no" => return announce("SKIPPED: numbers cannot be given at will here"),
        said => assert_eq!(said, "the number is taken"),
    }
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

/// The host of the test above.
#[test]
fn host() {
    let Some(homes) = host::part() else { return };
    let (tree, stranger) = (PathBuf::from(&homes[0]), PathBuf::from(&homes[1]));
    let builder = ExecutionEngine::builder().containment(ContainmentLevel::ProcessTree);
    // Nobody is killed for being deaf to a polite request.
    let engine = builder.stop_grace(Duration::from_secs(3600)).build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let line = "trap '' TERM; setsid sleep 300 & echo $$ >main";
    let number: u32 = runtime.block_on(async {
        engine.execute(shell(holding(&tree, line)).working_dir(&tree)).await.unwrap();
        told(&tree.join("main")).await.trim().parse().unwrap()
    });
    runtime.block_on(until("it is free", || !processes().contains(&number)));
    if std::fs::write(LAST, (number - 1).to_string()).is_err() {
        return host::say("no");
    }
    assert_eq!(lead_a_group(&stranger), number, "nobody else forks here");
    host::say("the number is taken");
    host::listen();
    std::process::abort();
}

#[expect(clippy::disallowed_methods, reason = "it is to be no child of an engine")]
fn lead_a_group(home: &std::path::Path) -> u32 {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &holding(home, "exec sleep 300")]).process_group(0);
    command.spawn().unwrap().id()
}
