//! Systems and sandboxes that lack a system call: each call that the engine relies on is answered with
//! ENOSYS and with EPERM. Each execution has the right result or an error that names what failed;
//! nothing hangs, nothing is left, and the receipt is true.
//!
//! A filter of calls cannot be taken off a process, so each has a host of its own.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod calls;
mod executions;
mod links;

use std::os::fd::IntoRawFd as _;
use std::sync::Mutex;

use calls::{ERRORS, call};
use executions::LEVELS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{engine_at, levels, name_of};
use test_support::lifeline::Lifeline;
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "program_has_exactly_three_descriptors_without_close_range";

/// Hosts that run at a time. Most of their time they wait.
const AT_A_TIME: usize = 4;

#[test]
fn refused_call_gives_the_right_result_or_a_named_error() {
    let scenarios = Mutex::new(calls::scenarios().into_iter());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                let next = || scenarios.lock().unwrap().next();
                while let Some((refusal, error, when)) = next() {
                    let scenario = format!("{refusal} {error} {when}");
                    let found = std::panic::catch_unwind(|| examine(&scenario));
                    let found = found.unwrap_or_else(|_| vec!["it is stuck or dead".into()]);
                    let faulty = found.into_iter().map(|line| format!("{scenario}: {line}"));
                    faults.lock().unwrap().extend(faulty);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Returns what went wrong in a host for which a call is refused.
fn examine(scenario: &str) -> Vec<String> {
    let home = TempDir::new().unwrap();
    let lives = LEVELS.map(|level| {
        let home = home.path().join(name_of(level));
        std::fs::create_dir(&home).unwrap();
        Lifeline::new(&home)
    });
    let mut host = Host::start(HOST, &format!("{scenario} {}", home.path().display()));
    let pid: u32 = host.next_line().parse().unwrap();
    let mut faults: Vec<_> =
        std::iter::from_fn(|| Some(host.next_line()).filter(|line| line != "done")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // What its engines could not stop is named by a receipt, and was checked.
        for life in &lives {
            life.end_all().await;
        }
        until("no child is left", || children(pid).is_empty()).await;
        host.resume();
        if !host.end().success() {
            faults.push("the host did not end well".into());
        }
    });
    faults
}

/// Returns the children of a process, zombies included.
fn children(of: u32) -> Vec<u32> {
    let parent = |pid: &u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    processes().into_iter().filter(|pid| parent(pid) == Some(of)).collect()
}

/// Kernels before 5.9 do not have the call, and some sandboxes refuse it.
#[test]
fn program_has_exactly_three_descriptors_without_close_range() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    // Without a listing of /proc, each number is tried.
    for role in ["without_close_range", "without_a_listing"] {
        let host = Host::start(HOST, role);
        assert_eq!(host.next_line(), "all is well", "{role}");
        assert!(host.end().success());
    }
}

/// Without files in memory, the list of children is a file on a disk, which may be full.
#[test]
fn full_disk_does_not_end_a_host_without_files_in_memory() {
    if !host::can_unshare(&["-m"]) {
        return eprintln!("SKIPPED: there can be no mounts of a host's own here");
    }
    let disk = TempDir::new().unwrap();
    let line = "mount -t tmpfs -o size=64k none \"$0\" && head -c 64k /dev/zero >\"$0/full\" && \
                TMPDIR=$0 exec \"$@\"";
    let host = Host::start_in(&["-m"], line, disk.path(), HOST, "without_memory_files");
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
}

/// Kernels before 5.6 do not have the call that opens a path without links at once, and some sandboxes
/// refuse it.
#[test]
fn no_link_is_followed_without_openat2() {
    for (error, _) in ERRORS {
        let host = Host::start(HOST, &format!("links {error}"));
        assert_eq!(host.next_line(), "all is well", "{error}");
        assert!(host.end().success());
    }
}

/// Plays the host of a test.
fn play(words: &[String]) {
    match words[0].as_str() {
        "links" => links::refused_without_openat2(errno(&words[1])),
        "without_close_range" => descriptors(&[libc::SYS_close_range]),
        "without_memory_files" => on_a_full_disk(),
        "without_a_listing" => descriptors(&[libc::SYS_close_range, libc::SYS_getdents64]),
        name => {
            let refusal = calls::all().into_iter().find(|refusal| refusal.name == name).unwrap();
            let errno = errno(&words[1]);
            host::say(&std::process::id().to_string());
            let refuse = || seccomp::refuse(&refusal.calls, errno);
            executions::run_all(words[3].as_ref(), words[2] == "late", refuse);
            host::say("done");
            host::listen();
        }
    }
}

fn on_a_full_disk() {
    seccomp::refuse(&[call(libc::SYS_memfd_create)], libc::ENOSYS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Those without a control group have a list.
    for level in LEVELS.into_iter().skip(1) {
        let engine = engine_at(level);
        for _ in 0..3 {
            let result = runtime.block_on(run(&engine, shell("sleep 300 & exit 0")));
            assert!(result.success && result.containment.stopped == 1, "{result:?}");
        }
    }
    host::say("all is well");
}

fn errno(name: &str) -> i32 {
    ERRORS.into_iter().find(|(error, _)| *error == name).unwrap().1
}

fn descriptors(refused: &[libc::c_long]) {
    // A limit that is lowered later closes nothing above it.
    let high = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 900).unwrap();
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    assert!(high.into_raw_fd() >= 900);
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum }).unwrap();
    let engines: Vec<_> = levels().into_iter().map(engine_at).collect();
    seccomp::refuse(&refused.iter().map(|number| call(*number)).collect::<Vec<_>>(), libc::ENOSYS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in engines {
        let request = shell("ls /proc/self/fd | tr '\\n' ' '");
        let result = runtime.block_on(run(&engine, request));
        // The directory that ls reads is its fourth.
        assert_eq!(result.stdout, "0 1 2 3 ", "{result:?}");
    }
    host::say("all is well");
}
