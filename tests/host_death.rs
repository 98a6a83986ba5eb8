//! The executions of a host end with it, whatever ends the host.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{announce, level_named, levels, name_of};
use test_support::lifeline::{Lifeline, holding};
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "living_host_keeps_its_children_and_signals";

/// A grace that must not apply when a host dies.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Returns the time after which nothing may be alive: 2 s on an idle machine, and longer in proportion
/// to the load.
fn patience() -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    Duration::from_secs(2).mul_f64((load / cores).max(1.0))
}

const SOMEBODY: u32 = 60_125;

/// Returns a program, a child in its group, one in another session and an orphan; all ignore SIGTERM.
fn family(home: &Path) -> ExecutionRequest {
    let line = "trap '' TERM; sleep 300 & setsid sleep 300 & (setsid sleep 300 &); \
                echo ready >ready; sleep 300";
    shell(holding(home, line)).working_dir(home)
}

/// Returns a program that writes all the time, with a child that has cleared its environment and is in a
/// session of its own.
fn chatterer(home: &Path) -> ExecutionRequest {
    let line = "env -i setsid sh -c 'echo >child; exec sleep 300' & until [ -e child ]; do :; done; \
                echo $$ >ready; exec yes";
    shell(holding(home, line)).working_dir(home)
}

async fn dies(manner: &str, ends_with: impl Fn(&mut Host)) {
    dies_if(|role| Host::start(HOST, role), manner, ends_with).await;
}

async fn dies_if(start: impl Fn(&str) -> Host, manner: &str, ends_with: impl Fn(&mut Host)) {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let (level, place) = (name_of(level), home.path().display());
        let mut host = start(&format!("{manner} {level} {place}"));
        assert_eq!(host.next_line(), "it runs");
        assert!(!life.is_cut());
        let begun = Instant::now();
        ends_with(&mut host);
        life.cut(&format!("after {manner} at {level}")).await;
        let took = begun.elapsed();
        assert!(took < patience(), "{manner} at {level}: {took:?}");
    }
}

#[tokio::test]
async fn sigkill_of_the_host_ends_its_trees() {
    dies("waits", Host::kill).await;
}

#[tokio::test]
async fn exit_of_the_host_ends_its_trees() {
    dies("exits", Host::resume).await;
}

#[tokio::test]
async fn abort_of_the_host_ends_its_trees() {
    dies("aborts", Host::resume).await;
}

#[tokio::test]
async fn panic_of_the_host_ends_its_trees() {
    dies("panics", Host::resume).await;
}

/// A program that writes dies of SIGPIPE as soon as its host is dead, before the host guard can look at
/// its children.
#[tokio::test]
async fn child_of_a_program_that_dies_with_its_host_is_ended() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let role = format!("chatters {} {}", name_of(level), home.path().display());
        let mut host = Host::start(HOST, &role);
        assert_eq!(host.next_line(), "it runs");
        host.resume();
        let guard: i32 = host.next_line().parse().unwrap();
        let guard = rustix::process::Pid::from_raw(guard).unwrap();
        let program: u32 = host.next_line().parse().unwrap();
        rustix::process::kill_process(guard, rustix::process::Signal::STOP).unwrap();
        host.kill();
        until("the program is gone", || !is_alive(program)).await;
        // The groups of dead hosts are also removed by each engine that starts meanwhile.
        assert!(level == ContainmentLevel::Cgroup || !life.is_cut(), "its child lives on");
        rustix::process::kill_process(guard, rustix::process::Signal::CONT).unwrap();
        life.cut(&format!("after a program that died with its host at {level}")).await;
    }
}

/// Here and in the next test the host lives on without its engine.
#[tokio::test]
async fn dropped_engine_ends_its_trees() {
    dies("drops", Host::resume).await;
}

#[tokio::test]
async fn dropped_runtime_ends_its_trees() {
    dies("ends_its_runtime", Host::resume).await;
}

/// The host guard is a script for any `/bin/sh`.
#[tokio::test]
async fn host_guard_works_with_other_shells() {
    if !host::can_unshare(&["-m"]) {
        return announce("SKIPPED: other shells, for /bin/sh cannot be exchanged here");
    }
    for shell in ["dash", "bash", "busybox"] {
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::split_paths(&path).map(|dir| dir.join(shell)).find(|it| it.is_file());
        let Some(path) = path else {
            announce(&format!("SKIPPED: {shell} is not installed"));
            continue;
        };
        let line = "mount --bind \"$0\" \"$(readlink -f /bin/sh)\" && exec \"$@\"";
        let start = |part: &str| Host::start_in(&["-m"], line, &path, HOST, part);
        dies_if(start, "waits", Host::kill).await;
    }
}

/// A small container may have a shell and few other programs.
#[tokio::test]
async fn host_guard_works_without_cat_and_grep() {
    let tools = ["cat", "grep"].map(|tool| Path::new("/usr/bin").join(tool));
    if !host::can_unshare(&["-m"]) || !tools.iter().all(|tool| tool.is_file() && !tool.is_symlink())
    {
        return announce("SKIPPED: cat and grep cannot be taken away here");
    }
    let home = TempDir::new().unwrap();
    let nothing = home.path().join("nothing");
    std::fs::write(&nothing, "").unwrap();
    let line =
        "mount --bind \"$0\" /usr/bin/cat && mount --bind \"$0\" /usr/bin/grep && exec \"$@\"";
    let start = |part: &str| Host::start_in(&["-m"], line, &nothing, HOST, part);
    dies_if(start, "waits", Host::kill).await;
}

/// A tree may have used up the process limit of its user, so that the host guard cannot fork.
#[tokio::test]
async fn host_guard_works_without_forking() {
    if !rustix::process::geteuid().is_root() || !levels().contains(&ContainmentLevel::ProcessTree) {
        return announce("SKIPPED: only root can become a user of its own");
    }
    let home = TempDir::new().unwrap();
    let life = Lifeline::new(home.path());
    for (path, mode) in [(home.path().to_path_buf(), 0o777), (home.path().join("life"), 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut host = Host::start(HOST, &format!("is_poor process_tree {}", home.path().display()));
    assert_eq!(host.next_line(), "it runs");
    host.resume();
    assert_eq!(host.next_line(), "its guard cannot fork");
    host.kill();
    life.cut("after a guard that could not fork").await;
}

/// Containers show an uptime of their own (lxcfs), or none (`ProcSubset=pid` of systemd), and processes
/// that started long after it.
#[tokio::test]
async fn host_guard_works_with_another_uptime() {
    if !host::can_unshare(&["-m"]) {
        return announce("SKIPPED: another uptime, for /proc/uptime cannot be exchanged here");
    }
    let home = TempDir::new().unwrap();
    for (name, text) in [("uptime", "5.00 5.00\n"), ("none", "")] {
        let uptime = home.path().join(name);
        std::fs::write(&uptime, text).unwrap();
        let line = "mount --bind \"$0\" /proc/uptime && exec \"$@\"";
        let start = |part: &str| Host::start_in(&["-m"], line, &uptime, HOST, part);
        dies_if(start, "waits", Host::kill).await;
    }
}

/// A host and its guard that are killed together leave processes and a group. The next engine
/// removes both.
#[tokio::test]
async fn next_engine_sweeps_what_a_dead_host_guard_left() {
    if !levels().contains(&ContainmentLevel::Cgroup) {
        return;
    }
    let home = TempDir::new().unwrap();
    let life = Lifeline::new(home.path());
    let mut host = Host::start(HOST, &format!("tells_its_guard cgroup {}", home.path().display()));
    assert_eq!(host.next_line(), "it runs");
    host.resume();
    let guard: i32 = host.next_line().parse().unwrap();
    let guard = rustix::process::Pid::from_raw(guard).unwrap();
    // A host that runs would start another guard.
    host.stop();
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).unwrap();
    host.kill();
    assert!(!life.is_cut(), "no guard was left to end them");
    let engine = ExecutionEngine::builder().containment(ContainmentLevel::Cgroup).build().unwrap();
    assert!(engine.run(shell("true")).await.unwrap().success);
    life.cut("what was swept").await;
}

/// The engine does not touch other children, signal handlers and descriptors of the host.
#[test]
fn living_host_keeps_its_children_and_signals() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    for level in levels() {
        let home = TempDir::new().unwrap();
        let _life = Lifeline::new(home.path());
        let mut host =
            Host::start(HOST, &format!("looks {} {}", name_of(level), home.path().display()));
        assert_eq!(host.next_line(), "it runs");
        host.resume();
        assert_eq!(host.next_line(), "all is well", "{level}");
    }
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let home = PathBuf::from(&words[2]);
    let level = level_named(&words[1]);
    let signals = signals();
    if words[0] == "is_poor" {
        host::become_user(SOMEBODY);
    }
    let engine = ExecutionEngine::builder().stop_grace(ENDLESS).containment(level).build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let request = if words[0] == "chatters" { chatterer(&home) } else { family(&home) };
        engine.execute(request).await.unwrap();
        when_written(&home.join("ready")).await;
    });
    host::say("it runs");
    host::listen();
    match words[0].as_str() {
        "exits" => std::process::exit(3),
        "aborts" => std::process::abort(),
        "panics" => panic!("with an engine in scope"),
        "tells_its_guard" => host::say(&guard().to_string()),
        "chatters" => {
            host::say(&guard().to_string());
            host::say(std::fs::read_to_string(home.join("ready")).unwrap().trim());
        }
        "is_poor" => {
            let guard = rustix::process::Pid::from_raw(guard().cast_signed());
            let one = rustix::process::Rlimit { current: Some(1), maximum: Some(1) };
            rustix::process::prlimit(guard, rustix::process::Resource::Nproc, one).unwrap();
            host::say("its guard cannot fork");
        }
        "drops" => drop(engine),
        "ends_its_runtime" => {
            runtime.spawn(async move {
                let _engine = engine;
                std::future::pending::<()>().await;
            });
            drop(runtime);
        }
        "looks" => {
            look(&engine, &runtime, &signals);
            drop(engine);
            host::say("all is well");
        }
        _ => {}
    }
    host::listen();
}

/// Returns the signals that this process handles, ignores and blocks.
fn signals() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let is_set =
        |line: &&str| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|set| line.starts_with(set));
    status.lines().filter(is_set).map(str::to_string).collect()
}

#[expect(clippy::disallowed_methods, reason = "a child of the host's own")]
fn look(engine: &ExecutionEngine, runtime: &tokio::runtime::Runtime, before: &[String]) {
    let leak = std::fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let mut own = std::process::Command::new("sh");
    own.args(["-c", "read x; exit 7"]).stdin(std::process::Stdio::piped());
    let mut own = own.spawn().unwrap();

    let guard = guard();
    let stat = stat(guard);
    assert_ne!(stat[3], self::stat(std::process::id())[3], "a session of its own");
    assert_ne!(stat[1], std::process::id().to_string(), "no child of the host");
    runtime.block_on(until("it has gone to sleep", || !work_of(guard)[0].ends_with("\t0")));
    let work = work_of(guard);
    for number in 0..20 {
        let result = runtime.block_on(engine.run(shell(format!("exit {number}")))).unwrap();
        assert_eq!(result.exit_code, number, "{result:?}");
    }
    assert_eq!(work_of(guard), work, "it sleeps while executions come and go");
    assert_eq!(self::guard(), guard, "one for all of them");
    let files = std::fs::read_dir(format!("/proc/{guard}/fd")).unwrap().flatten();
    for file in files {
        let to = std::fs::read_link(file.path()).unwrap();
        let to = to.to_str().unwrap();
        let known = ["/dev/null", "pipe:", "/memfd:execution-pid-list"];
        assert!(known.iter().any(|known| to.starts_with(known)), "{to} is the host's");
    }

    assert_eq!(own.try_wait().unwrap(), None, "it was not waited for");
    drop(own.stdin.take());
    assert_eq!(own.wait().unwrap().code(), Some(7), "its status is the host's");
    assert_eq!(signals(), before);
}

/// Returns the one host guard of this process.
fn guard() -> u32 {
    let found = host::guards();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// Returns state, parent, group, session and the fields after them.
fn stat(pid: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_string).collect()
}

/// Returns how often a process was scheduled.
fn work_of(pid: u32) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(str::to_string).collect()
}
