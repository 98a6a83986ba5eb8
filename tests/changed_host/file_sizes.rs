//! A host may lower its limit of file sizes, to nothing even: it is not killed by a write of the engine,
//! and its executions end with it as before.
//!
//! The limit is one of the whole process, so each test runs in hosts of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{announce, level_named, levels, name_of};
use test_support::lifeline::{Lifeline, holding};
use test_support::*;
use tokio::runtime::Runtime;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "file_sizes::trees_end_with_a_host_that_has_lowered_its_limit_of_file_sizes";

/// A user without rights.
const USER: u32 = 60_126;

/// Starts a host that lowers its limit in a manner, and kills it when its program runs.
async fn dies(manner: &str) {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        for (path, mode) in [(home.path().to_path_buf(), 0o777), (home.path().join("life"), 0o666)]
        {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let role = format!("{manner} {} {}", name_of(level), home.path().display());
        let mut host = Host::start(HOST, &role);
        assert_eq!(host.next_line(), "it runs", "{manner} at {level}");
        assert!(!life.is_cut());
        host.kill();
        life.cut(&format!("after {manner} at {level}")).await;
    }
}

#[tokio::test]
async fn trees_end_with_a_host_that_has_lowered_its_limit_of_file_sizes() {
    if let Some(words) = host::role() {
        return std::thread::spawn(move || play(&words)).join().unwrap();
    }
    dies("after_the_first_start").await;
}

#[tokio::test]
async fn limit_of_file_sizes_may_be_lowered_before_the_first_start() {
    dies("before_the_first_start").await;
}

/// Without rights only a soft limit can be raised again.
#[tokio::test]
async fn soft_limit_of_file_sizes_may_be_lowered_by_any_user() {
    if !rustix::process::geteuid().is_root() {
        return announce("SKIPPED: only root can become another user");
    }
    dies("without_rights").await;
}

/// A log or an overflow file that the limit cuts off is a log that cannot be completed.
#[test]
fn file_beyond_the_limit_is_reported_and_kills_no_host() {
    let home = TempDir::new().unwrap();
    for what in ["logs", "overflows"] {
        let level = name_of(levels()[0]);
        let host = Host::start(HOST, &format!("{what} {level} {}", home.path().display()));
        assert_eq!(host.next_line(), "all is well", "{what}");
        assert!(host.end().success());
    }
}

/// Returns a program that the host guard finds by its number alone: it has neither marker.
fn unmarked(home: &Path) -> ExecutionRequest {
    let python = "import resource, time\n\
                  resource.setrlimit(10, (resource.getrlimit(10)[1],) * 2) # RLIMIT_LOCKS\n\
                  open('ready', 'w')\n\
                  time.sleep(300)";
    let line = format!("exec env -i \"$(command -v python3)\" -c \"{python}\"");
    shell(holding(home, &line)).working_dir(home)
}

fn lower(soft: u64) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(soft), maximum }).unwrap();
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let (level, home) = (level_named(&words[1]), PathBuf::from(&words[2]));
    if words[0] == "without_rights" {
        host::become_user(USER);
    }
    let config = ExecutionConfig {
        log_dir: (words[0] != "overflows").then(|| home.join("logs")),
        max_output_size_bytes: if words[0] == "overflows" { 1000 } else { 1 << 20 },
        oversized_output_strategy: OversizedOutputStrategy::StreamToFile,
        ..ExecutionConfig::default()
    };
    let builder = ExecutionEngine::builder().config(config);
    let Ok(engine) = builder.containment(level).build() else {
        // A user without rights is not offered each level.
        let engine = ExecutionEngine::builder().build().unwrap();
        return run_until_killed(&engine, &home);
    };
    if words[0] != "before_the_first_start" {
        let runtime = Runtime::new().unwrap();
        assert!(runtime.block_on(engine.run(exec("true"))).unwrap().success);
    }
    match words[0].as_str() {
        "after_the_first_start" => {
            // For good.
            let none = Rlimit { current: Some(0), maximum: Some(0) };
            setrlimit(Resource::Fsize, none).unwrap();
            run_until_killed(&engine, &home);
        }
        "before_the_first_start" | "without_rights" => {
            lower(0);
            run_until_killed(&engine, &home);
        }
        what => {
            lower(4096);
            let result = Runtime::new().unwrap().block_on(run(&engine, shell("seq 1 20000")));
            let report = match result.ending {
                Ending::OutputLost { reason, .. } if what == "overflows" => reason,
                ending => {
                    assert!(what == "logs" && result.success, "{ending:?}");
                    result.output_error.unwrap()
                }
            };
            assert!(report.contains("too large"), "{report}");
            host::say("all is well");
        }
    }
}

fn run_until_killed(engine: &ExecutionEngine, home: &Path) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        engine.execute(unmarked(home)).await.unwrap();
        until("it runs", || home.join("ready").exists()).await;
        // The line of another one is used again.
        for _ in 0..3 {
            assert!(run(engine, exec("true")).await.success);
        }
    });
    host::say("it runs");
    host::listen();
}
