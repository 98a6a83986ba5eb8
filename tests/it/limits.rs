//! Resource limits: each is enforced, a limit that the host cannot enforce is refused, and an ending by
//! a limit names the limit.

use execution_engine::*;
use tempfile::TempDir;
use test_support::levels::{announce, engine_at, levels};
use test_support::*;

fn engines() -> impl Iterator<Item = ExecutionEngine> {
    levels().into_iter().map(engine_at)
}

fn limits(change: impl FnOnce(&mut Limits)) -> ExecutionOptions {
    let mut limits = Limits::default();
    change(&mut limits);
    ExecutionOptions::default().limits(limits)
}

fn python(line: &str) -> ExecutionRequest {
    ExecutionRequest::exec("python3", ["-c", line])
}

#[tokio::test]
async fn cpu_limit_ends_a_program() {
    for engine in engines() {
        let busy = shell("while :; do :; done");
        let result = run_with(&engine, busy, limits(|limits| limits.cpu_seconds = Some(1))).await;
        assert_eq!(result.ending, Ending::ResourceLimit { limit: ResourceLimit::CpuTime });
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert!(result.error.unwrap().contains("cpu_seconds"));
        let usage = result.usage.unwrap();
        // The limit is counted in ticks, the usage exactly.
        assert!(usage.user + usage.system >= Duration::from_millis(500), "{usage:?}");
    }
}

#[tokio::test]
async fn cpu_limit_kills_a_program_that_ignores_sigxcpu() {
    for engine in engines() {
        let deaf = shell("trap '' XCPU; while :; do :; done");
        let result = run_with(&engine, deaf, limits(|limits| limits.cpu_seconds = Some(1))).await;
        assert_eq!(result.ending, Ending::ResourceLimit { limit: ResourceLimit::CpuTime });
        assert_eq!(result.signal, Some(9));
        // A SIGKILL of another sender is not taken for the limit.
        let killed = shell("kill -KILL $$");
        let result = run_with(&engine, killed, limits(|limits| limits.cpu_seconds = Some(1))).await;
        assert_eq!(result.ending, Ending::Signaled { signal: 9, core_dumped: false });
    }
}

#[tokio::test]
async fn file_size_limit_ends_a_program() {
    for engine in engines() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("file");
        let write = |bytes: u32| {
            let of = format!("of={}", file.display());
            ExecutionRequest::exec("dd", ["if=/dev/zero", &of, "bs=1", &format!("count={bytes}")])
        };
        let limit = limits(|limits| limits.file_size_bytes = Some(1000));
        let result = run_with(&engine, write(1000), limit.clone()).await;
        assert!(result.success, "{result:?}");
        let result = run_with(&engine, write(1001), limit).await;
        assert_eq!(result.ending, Ending::ResourceLimit { limit: ResourceLimit::FileSize });
        assert!(result.error.unwrap().contains("file_size_bytes"));
        assert_eq!(file.metadata().unwrap().len(), 1000);
    }
}

#[tokio::test]
async fn address_space_limit_is_enforced() {
    for engine in engines() {
        let large = || python("x = bytearray(1 << 30)");
        let limit = limits(|limits| limits.address_space_bytes = Some(512 << 20));
        let result = run_with(&engine, large(), limit).await;
        assert!(!result.success && result.stderr.contains("MemoryError"), "{result:?}");
        let result = run_with(&engine, large(), limits(|_| {})).await;
        assert!(result.success, "{result:?}");
    }
}

#[tokio::test]
async fn open_files_limit_is_enforced() {
    for engine in engines() {
        let open = python(
            "import os\nn = 3\ntry:\n  while True: n = os.open('/dev/null', os.O_RDONLY) + 1\n\
             except OSError: print(n)",
        );
        let result = run_with(&engine, open, limits(|limits| limits.open_files = Some(17))).await;
        assert_eq!(result.stdout, "17\n", "{result:?}");
    }
}

#[tokio::test]
async fn core_size_nice_value_and_umask_are_applied() {
    for engine in engines() {
        let line = "ulimit -c; cut -d' ' -f19 /proc/$$/stat; umask; : >file; stat -c %a file";
        let home = TempDir::new().unwrap();
        let request = shell(line).working_dir(home.path());
        let options = limits(|limits| {
            limits.core_bytes = Some(0);
            limits.nice = Some(5);
            limits.umask = Some(0o137);
        });
        assert_eq!(run_with(&engine, request, options).await.stdout, "0\n5\n0137\n640\n");
    }
}

/// Returns the message if a limit is refused.
async fn refused(engine: &ExecutionEngine, change: fn(&mut Limits)) -> Option<String> {
    let home = TempDir::new().unwrap();
    let request = shell("true").output_log(home.path().join("log"));
    let error = engine.execute_with(request, limits(change)).await.err()?;
    assert!(matches!(error, ExecutionError::Validation(_)), "{error:?}");
    assert_eq!(home.path().read_dir().unwrap().count(), 0, "it leaves nothing behind");
    Some(error.to_string())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    for engine in engines() {
        for (name, change) in [
            ("nice", (|limits| limits.nice = Some(20)) as fn(&mut Limits)),
            ("nice", |limits| limits.nice = Some(-21)),
            ("umask", |limits| limits.umask = Some(0o1000)),
            ("cpu_seconds", |limits| limits.cpu_seconds = Some(0)),
            ("open_files", |limits| limits.open_files = Some(2)),
        ] {
            let said = refused(&engine, change).await.unwrap();
            assert!(said.contains(&format!("limits: {name}")), "{said}");
        }
    }
}

#[tokio::test]
async fn process_limit_of_root_is_refused() {
    if !rustix::process::getuid().is_root() {
        return announce(
            "SKIPPED: the user is not root, whose limit is in force (see tests/faults.rs)",
        );
    }
    for engine in engines() {
        let said = refused(&engine, |limits| limits.processes = Some(10)).await.unwrap();
        assert!(said.contains("limits: processes") && said.contains("tree_processes"), "{said}");
    }
}

/// Checks a limit of a whole tree: it is enforced where the host can do it, and refused elsewhere.
#[tokio::test]
async fn process_limit_is_enforced_or_refused() {
    for engine in engines() {
        match refused(&engine, |limits| limits.tree_processes = Some(4)).await {
            Some(said) => {
                assert!(said.contains("limits: tree_processes"), "{said}");
                assert!(said.contains("cgroup") || said.contains("controller"), "{said}");
            }
            None => {
                announce("tree_processes is tested as a limit in force");
                let fork = python(
                    "import os, time\nn = 1\ntry:\n  while n < 50:\n    \
                     if os.fork() == 0: time.sleep(300)\n    n += 1\n\
                     except OSError: print(n, flush=True)",
                );
                let limit = limits(|limits| limits.tree_processes = Some(4));
                assert_eq!(run_with(&engine, fork, limit).await.stdout, "4\n");
            }
        }
    }
}

#[tokio::test]
async fn memory_limit_is_enforced_or_refused() {
    for engine in engines() {
        match refused(&engine, |limits| limits.tree_memory_bytes = Some(64 << 20)).await {
            Some(said) => assert!(said.contains("limits: tree_memory_bytes"), "{said}"),
            None => {
                announce("tree_memory_bytes is tested as a limit in force");
                let large = python("x = bytearray(1 << 28)\nprint('more than allowed')");
                let limit = limits(|limits| limits.tree_memory_bytes = Some(64 << 20));
                let result = run_with(&engine, large, limit).await;
                let expected = Ending::ResourceLimit { limit: ResourceLimit::TreeMemory };
                assert_eq!(result.ending, expected, "{result:?}");
            }
        }
    }
}
