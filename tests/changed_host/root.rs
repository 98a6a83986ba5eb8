//! A host may change its root directory after it has made an engine: its programs run in the new one, and
//! they end as before, whether they were started before or after the change.
//!
//! The directory has a shell and its tools, and neither `/proc` nor control groups. Only root can change
//! it.

use std::os::unix::fs::chroot;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{announce, level_named, levels, name_of};
use test_support::lifeline::Lifeline;
use test_support::*;
use tokio::runtime::Runtime;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "root::trees_can_be_stopped_after_a_change_of_the_root_directory";

/// New root directory of a host, with one FIFO that all its programs hold.
struct Jail {
    dir: TempDir,
    life: Lifeline,
}

impl Jail {
    /// Returns `None` with a notice where the root directory cannot be changed.
    fn new() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap();
        let mut dirs = std::env::split_paths(&path);
        let busybox = dirs.find_map(|dir| Some(dir.join("busybox")).filter(|it| it.is_file()));
        let (true, Some(busybox)) = (rustix::process::geteuid().is_root(), busybox) else {
            announce("SKIPPED: only root can change the root directory, and busybox must be there");
            return None;
        };
        let dir = TempDir::new().unwrap();
        let bin = dir.path().join("bin");
        for name in ["bin", "dev"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        // A shell in the background reads it.
        std::fs::write(dir.path().join("dev/null"), "").unwrap();
        std::fs::copy(busybox, bin.join("busybox")).unwrap();
        for tool in ["sh", "sleep", "setsid", "true", "rmdir", "grep", "env"] {
            std::os::unix::fs::symlink("busybox", bin.join(tool)).unwrap();
        }
        let life = Lifeline::new(dir.path());
        Some(Self { dir, life })
    }

    fn start(&self, manner: &str, level: ContainmentLevel) -> Host {
        let role = format!("{manner} {} {}", name_of(level), self.dir.path().display());
        let host = Host::start(HOST, &role);
        assert_eq!(host.next_line(), "it runs", "{manner} at {level}");
        assert!(!self.life.is_cut());
        host
    }
}

/// The host stops what it has started.
#[tokio::test]
async fn trees_can_be_stopped_after_a_change_of_the_root_directory() {
    if let Some(words) = host::role() {
        return std::thread::spawn(move || play(&words)).join().unwrap();
    }
    for level in levels() {
        let Some(jail) = Jail::new() else { return };
        let mut host = jail.start("stops", level);
        host.resume();
        assert_eq!(host.next_line(), "all is well", "{level}");
        jail.life.cut(&format!("what was stopped at {level}")).await;
    }
}

#[tokio::test]
async fn trees_end_with_an_engine_after_a_change_of_the_root_directory() {
    for level in levels() {
        let Some(jail) = Jail::new() else { return };
        let mut host = jail.start("drops", level);
        host.resume();
        jail.life.cut(&format!("the engine is dropped at {level}")).await;
    }
}

#[tokio::test]
async fn trees_end_with_a_host_that_has_changed_its_root_directory() {
    for level in levels() {
        for when in ["waits", "changes_before_the_first_start"] {
            let Some(jail) = Jail::new() else { return };
            let mut host = jail.start(when, level);
            host.kill();
            jail.life.cut(&format!("the host is killed at {level}")).await;
        }
    }
}

/// The guard that is made again has the new root directory, and finds what it ends all the same.
#[tokio::test]
async fn guard_is_made_again_after_a_change_of_the_root_directory() {
    for level in levels() {
        let Some(jail) = Jail::new() else { return };
        let mut host = jail.start("waits", level);
        let lost = host.guards();
        assert_eq!(lost.len(), 1, "{lost:?}");
        kill(lost[0]);
        until("there is another guard", || matches!(host.guards()[..], [it] if it != lost[0]))
            .await;
        host.kill();
        jail.life.cut(&format!("the host is killed at {level}")).await;
    }
}

/// Returns a program with children, all of which ignore SIGTERM. At each level it has those which that
/// level contains.
fn family(level: ContainmentLevel, home: &Path, ready: &str) -> ExecutionRequest {
    let others = match level {
        ContainmentLevel::ProcessGroup => "",
        _ => "setsid sleep 300 & (setsid sleep 300 &);",
    };
    let line = format!("trap '' TERM; sleep 300 & {others} : >{ready}; sleep 300");
    shell(format!("exec 9>life; {line}")).working_dir(home)
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let (level, jail) = (level_named(&words[1]), PathBuf::from(&words[2]));
    let grace = Duration::from_millis(100);
    let engine = ExecutionEngine::builder().stop_grace(grace).containment(level).build().unwrap();
    let runtime = Runtime::new().unwrap();
    let mut ids = Vec::new();
    if words[0] != "changes_before_the_first_start" {
        let request = family(level, &jail, "before");
        ids.push(runtime.block_on(engine.execute(request)).unwrap());
        runtime.block_on(until("it runs", || jail.join("before").exists()));
    }
    chroot(&jail).unwrap();
    std::env::set_current_dir("/").unwrap();
    let request = family(level, Path::new("/"), "after");
    ids.push(runtime.block_on(engine.execute(request)).unwrap());
    runtime.block_on(until("it runs", || Path::new("/after").exists()));
    host::say("it runs");
    host::listen();
    match words[0].as_str() {
        "stops" => {
            runtime.block_on(stop(&engine, level, &ids));
            host::say("all is well");
        }
        "drops" => drop(engine),
        _ => {}
    }
    host::listen();
}

async fn stop(engine: &ExecutionEngine, level: ContainmentLevel, ids: &[Uuid]) {
    let brief = family(level, Path::new("/"), "brief").timeout(Duration::from_millis(500));
    let result = run(engine, brief).await;
    assert!(matches!(result.ending, Ending::TimedOut { .. }), "{:?}", result.ending);
    assert_contained(&result, level);
    for id in ids {
        engine.cancel(*id).await.unwrap();
        assert_contained(&ended(engine, *id).await, level);
    }
    let result = run(engine, exec("true")).await;
    assert!(result.success, "{result:?}");
    assert_contained(&result, level);
}

fn assert_contained(result: &ExecutionResult, level: ContainmentLevel) {
    let receipt = &result.containment;
    assert_eq!(receipt.level, level, "{receipt:?}");
    assert!(receipt.survivors.is_empty(), "{receipt:?}");
    assert_eq!(receipt.proven, level == ContainmentLevel::Cgroup, "{receipt:?}");
}
