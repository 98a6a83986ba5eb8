//! Refusals of the system and hosts that misbehave: every execution has an ending, and the ending is
//! true.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{announce, engine_at, level_named, levels, name_of};
use test_support::lifeline::{Lifeline, holders, holding};
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "interpreter_without_execute_permission_is_a_failed_spawn";

/// Runs a role at each level in a host of its own, with a directory and a lifeline.
async fn at_each_level(part: &str) {
    for level in levels() {
        at_level(part, level).await;
    }
}

async fn at_level(part: &str, level: ContainmentLevel) {
    let home = TempDir::new().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let life = Lifeline::new(home.path());
    fs::set_permissions(home.path().join("life"), fs::Permissions::from_mode(0o666)).unwrap();
    let role = format!("{part} {} {}", name_of(level), home.path().display());
    let host = Host::start(HOST, &role);
    let heard = soon(part, tokio::task::spawn_blocking(move || (host.next_line(), host)));
    let (said, host) = heard.await.unwrap();
    assert_eq!(said, "all is well", "{part} at {level}");
    assert!(host.end().success());
    life.end_all().await;
}

/// Plays the host of a test.
fn play(words: &[String]) {
    let (level, home) = (level_named(&words[1]), PathBuf::from(&words[2]));
    match words[0].as_str() {
        "ignores_sigchld" => ignore_sigchld(),
        "waits_for_any" => wait_for_any(),
        "inherits_orphans" => inherit_orphans(),
        "too_many_processes" => host::become_user(NOBODY),
        "unprivileged" => {
            copy_that_gains_rights(&home);
            host::become_user(NOBODY);
        }
        "delegated" => {
            let list = Path::new(&words[3]).join("cgroup.procs");
            fs::write(list, std::process::id().to_string()).unwrap();
            host::become_user(NOBODY);
        }
        _ => {}
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = engine_at(level);
        match words[0].as_str() {
            "ignores_sigchld" | "waits_for_any" => status_taken(&engine, &home).await,
            "inherits_orphans" => orphans(engine, &home).await,
            "no_descriptors_to_start" => no_descriptors_to_start(&engine).await,
            "few_descriptors_for_logs" => few_descriptors_for_logs(level, &home).await,
            "no_descriptors_to_stop" => no_descriptors_to_stop(&engine, level, &home).await,
            "no_descriptors_to_look" => no_descriptors_to_look(engine, level, &home).await,
            "too_many_processes" => too_many_processes(&engine).await,
            "no_null_device" => no_null_device(&engine).await,
            "noexec_mount" => on_a_noexec_mount(&engine, &home).await,
            "no_capability" => without_a_capability(&engine, &home).await,
            "delegated" => delegated(&engine, &home).await,
            "unprivileged" => unprivileged(&engine, &home).await,
            part => panic!("no such part: {part}"),
        }
    });
    host::say("all is well");
}

/// Starts a family that holds the lifeline of a directory, and waits until it is ready.
async fn start_family(engine: &ExecutionEngine, home: &Path) -> Uuid {
    let line = holding(home, "sleep 300 & (sleep 300 &); echo ready >ready; sleep 300");
    let id = engine.execute(shell(line).working_dir(home)).await.unwrap();
    when_written(&home.join("ready")).await;
    fs::remove_file(home.join("ready")).unwrap();
    id
}

// ------------------------------------------------------------------------------------ spawn is refused

fn set_limit(resource: Resource, limit: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(limit), maximum }).unwrap();
}

/// Opens files until there are no descriptors left.
fn use_up_descriptors() -> Vec<File> {
    set_limit(Resource::Nofile, open_descriptors() as u64 + 20);
    let more = || File::open("/dev/null").ok();
    std::iter::from_fn(more).collect()
}

#[tokio::test]
async fn spawn_without_descriptors_names_the_limit() {
    at_each_level("no_descriptors_to_start").await;
}

async fn no_descriptors_to_start(engine: &ExecutionEngine) {
    engine.run(shell("true")).await.unwrap();
    let files = use_up_descriptors();
    let result = soon("it gives up", engine.run(shell("true"))).await.unwrap();
    let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(libc::EMFILE));
    assert!(reason.contains("limit of open files"), "{reason}");
    drop(files);
    let result = soon("it works again", engine.run(shell("true"))).await.unwrap();
    assert!(result.success, "{result:?}");
}

#[tokio::test]
async fn stopped_queue_opens_few_logs_at_a_time() {
    at_level("few_descriptors_for_logs", ContainmentLevel::ProcessGroup).await;
}

async fn few_descriptors_for_logs(level: ContainmentLevel, home: &Path) {
    const WAITING: usize = 1000;
    let config = ExecutionConfig {
        log_dir: Some(home.join("logs")),
        max_concurrent_executions: 1,
        enable_auto_cleanup: false,
        ..ExecutionConfig::default()
    };
    let builder = ExecutionEngine::builder().config(config).containment(level);
    let engine = builder.admission(Admission::Queue { max_waiting: WAITING }).build().unwrap();
    let _runs = engine.execute(shell("exec sleep 300")).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        waiting.push(engine.execute(shell("true")).await.unwrap());
    }
    set_limit(Resource::Nofile, open_descriptors() as u64 + 200);
    soon("the end of all", engine.shutdown(Duration::ZERO)).await;
    for id in waiting {
        let result = ended(&engine, id).await;
        let never_ran = Ending::NotRun { reason: SkipReason::EngineClosed };
        assert_eq!((result.ending, result.output_error), (never_ran, None));
        assert!(engine.read_logs(id).await.unwrap().contains("# ending"));
    }
}

#[tokio::test]
async fn host_without_descriptors_can_stop_executions() {
    at_each_level("no_descriptors_to_stop").await;
}

async fn no_descriptors_to_stop(engine: &ExecutionEngine, level: ContainmentLevel, home: &Path) {
    let id = start_scattered(engine, level, home).await;
    let files = use_up_descriptors();
    engine.cancel(id).await.unwrap();
    let result = ended(engine, id).await;
    drop(files);
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(nobody_holds(home) && result.containment.survivors.is_empty(), "{result:?}");
}

/// Starts a program and a child of it in a session of its own, where the level reaches that far.
async fn start_scattered(engine: &ExecutionEngine, level: ContainmentLevel, home: &Path) -> Uuid {
    let own = if level == ContainmentLevel::ProcessGroup { "" } else { "setsid" };
    let line = holding(home, &format!("{own} sleep 300 & echo ready >ready; sleep 300"));
    let id = engine.execute(shell(line).working_dir(home)).await.unwrap();
    when_written(&home.join("ready")).await;
    // The child has not left its session before it is `sleep`.
    until("all are there", || {
        holders(&home.join("life")).into_iter().filter(|pid| name(*pid) == "sleep").count() == 2
    })
    .await;
    id
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_string()
}

#[tokio::test]
async fn tree_that_cannot_be_examined_is_named_as_a_survivor() {
    at_each_level("no_descriptors_to_look").await;
}

async fn no_descriptors_to_look(engine: ExecutionEngine, level: ContainmentLevel, home: &Path) {
    let id = start_scattered(&engine, level, home).await;
    let pid = main_program();
    let before = getrlimit(Resource::Nofile).current.unwrap();
    set_limit(Resource::Nofile, 0);
    engine.cancel(id).await.unwrap();
    let result = ended(&engine, id).await;
    set_limit(Resource::Nofile, before);
    let receipt = &result.containment;
    assert!(!is_alive(pid) && !receipt.proven, "{receipt:?}");
    let named: Vec<_> = receipt.survivors.iter().map(|it| (it.pid, it.name.as_str())).collect();
    match level {
        // It is signalled, and gone, by its number.
        ContainmentLevel::ProcessGroup => assert_eq!(named, [], "{receipt:?}"),
        _ => assert_eq!(named, [(pid, "(process tree)")], "{receipt:?}"),
    }
    drop(engine);
    until("what is left is ended when there are descriptors again", || nobody_holds(home)).await;
}

fn nobody_holds(home: &Path) -> bool {
    holders(&home.join("life")).is_empty()
}

/// Returns the only child of this process.
fn main_program() -> u32 {
    let me = std::process::id();
    processes().into_iter().find(|pid| parent(*pid) == Some(me)).unwrap()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn spawn_beyond_the_process_limit_names_the_limit() {
    if !rustix::process::geteuid().is_root() {
        return announce("SKIPPED: only root can become a user of its own");
    }
    at_level("too_many_processes", ContainmentLevel::ProcessGroup).await;
}

#[tokio::test]
async fn missing_null_device_is_named() {
    let kinds = ["-m"];
    if !host::can_unshare(&kinds) {
        return announce("SKIPPED: a host without /dev, for nothing can be mounted here");
    }
    let home = TempDir::new().unwrap();
    let part = format!("no_null_device process_group {}", home.path().display());
    let host =
        Host::start_in(&kinds, "mount --bind \"$0\" /dev && exec \"$@\"", home.path(), HOST, &part);
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
}

async fn no_null_device(engine: &ExecutionEngine) {
    let result = soon("an ending", engine.run(shell("true"))).await.unwrap();
    let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(libc::ENOENT));
    assert!(reason.contains("/dev/null"), "{reason}");
}

#[tokio::test]
async fn program_on_a_noexec_mount_is_named_as_such() {
    let kinds = ["-m"];
    if !host::can_unshare(&kinds) {
        return announce("SKIPPED: a mount with noexec, for nothing can be mounted here");
    }
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("mount")).unwrap();
    let part = format!("noexec_mount process_group {}", home.path().display());
    let line = "mount -t tmpfs -o noexec,mode=755 none \"$0/mount\" && exec \"$@\"";
    let host = Host::start_in(&kinds, line, home.path(), HOST, &part);
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
}

async fn on_a_noexec_mount(engine: &ExecutionEngine, home: &Path) {
    const SAYS: &str = "is on a file system that is mounted with noexec";
    let tool = executable(home.join("mount/tool"), "#!/bin/sh\necho ran\n");
    let path = tool.parent().unwrap().to_str().unwrap();
    let plain = home.join("plain");
    fs::write(&plain, format!("#!{}\n", tool.display())).unwrap();
    for (field, request) in [
        ("program", exec(&tool)),
        ("program", exec("tool").env("PATH", path)),
        ("shell", shell("true").interpreter(text(&tool))),
        ("interpreter", ExecutionRequest::script(&plain).interpreter(text(&tool))),
        ("path", ExecutionRequest::script(&plain)),
    ] {
        let refused = engine.execute(request).await.unwrap_err();
        assert_eq!(refused.error_code(), "permission_denied", "{refused}");
        let shown = refused.to_string();
        assert!(shown.starts_with(field) && shown.contains(SAYS), "{shown}");
    }
    let script = executable(home.join("script"), format!("#!{}\n", tool.display()));
    let result = run(engine, exec(&script)).await;
    let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(libc::EACCES));
    assert!(reason.contains("names the interpreter") && reason.contains(SAYS), "{reason}");
    // Read by its interpreter, a script may be anywhere.
    let result = run(engine, ExecutionRequest::script(&tool)).await;
    assert_eq!(result.stdout, "ran\n", "{result:?}");
}

#[tokio::test]
async fn program_with_capabilities_out_of_reach_is_named_as_such() {
    let home = TempDir::new().unwrap();
    let program = home.path().join("program");
    fs::copy("/bin/true", &program).unwrap();
    // Version 2 and "effective"; permitted is CAP_NET_RAW.
    let attribute = [0x0200_0001_u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes).concat();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&program, "security.capability", &attribute, flags).is_err() {
        return announce("SKIPPED: file capabilities, for this user may not set them here");
    }
    let part = format!("no_capability process_group {}", home.path().display());
    let line = "exec setpriv --bounding-set=-net_raw \"$@\"";
    let host = Host::start_in(&[], line, home.path(), HOST, &part);
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
}

async fn without_a_capability(engine: &ExecutionEngine, home: &Path) {
    let result = run(engine, exec(home.join("program"))).await;
    let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(libc::EPERM));
    assert!(reason.contains("this process may not give it: NET_RAW"), "{reason}");
}

async fn too_many_processes(engine: &ExecutionEngine) {
    engine.run(shell("true")).await.unwrap();
    set_limit(Resource::Nproc, 1);
    let result = soon("it gives up", engine.run(shell("true"))).await.unwrap();
    let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(libc::EAGAIN));
    assert!(reason.contains("limit of processes"), "{reason}");
}

#[test]
fn interpreter_without_execute_permission_is_a_failed_spawn() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = TempDir::new().unwrap();
    let (interpreter, script) = (home.path().join("interpreter"), home.path().join("script"));
    fs::write(&interpreter, "").unwrap();
    fs::write(&script, format!("#!{}\n", interpreter.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for level in levels() {
        let request = ExecutionRequest::exec::<String>(script.to_str().unwrap(), []);
        let result = runtime.block_on(engine_at(level).run(request)).unwrap();
        let Ending::SpawnFailed { os_error, .. } = result.ending else { panic!("{result:?}") };
        assert_eq!(os_error, Some(libc::EACCES));
    }
}

// ------------------------------------------------------------------------------------- control groups

/// Returns the control group of a process; `None` if it is not known.
fn group_of(pid: u32) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(group))
}

fn offers_groups() -> bool {
    levels().contains(&ContainmentLevel::Cgroup)
}

async fn pid_of(recorder: &Recorder, id: Uuid) -> u32 {
    let started = |events: &[ExecutionEvent]| {
        events.iter().any(|event| matches!(event, ExecutionEvent::Started { .. }))
    };
    match recorder.when(id, started).await.first() {
        Some(ExecutionEvent::Started { pid, .. }) => *pid,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn removed_cgroup_is_no_proof() {
    if !offers_groups() {
        return;
    }
    let home = TempDir::new().unwrap();
    let life = Lifeline::new(home.path());
    let recorder = Recorder::new();
    let engine = engine_at(ContainmentLevel::Cgroup).with_event_handler(recorder.clone());
    let id = start_family(&engine, home.path()).await;
    let (group, host) =
        (group_of(pid_of(&recorder, id).await).unwrap(), group_of(std::process::id()).unwrap());
    // An administrator moves the processes out and removes the group.
    until("the group can be removed", || {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        for pid in members.lines() {
            let _ended = fs::write(host.join("cgroup.procs"), pid);
        }
        fs::remove_dir(&group).is_ok()
    })
    .await;
    engine.cancel(id).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(!result.containment.proven, "{:?}", result.containment);
    assert!(life.is_cut(), "its process group is ended nevertheless");
    assert!(engine.run(shell("true")).await.unwrap().success, "another group is made");
}

#[tokio::test]
async fn program_that_leaves_its_cgroup_is_found_in_its_process_group() {
    if !offers_groups() {
        return;
    }
    let home = TempDir::new().unwrap();
    let life = Lifeline::new(home.path());
    let host = group_of(std::process::id()).unwrap();
    let line = format!(
        "sleep 300 & for p in $! $$; do echo $p >{}/cgroup.procs || exit 1; done; echo ready; wait",
        host.display()
    );
    let engine = engine_at(ContainmentLevel::Cgroup);
    let id = engine.execute(shell(holding(home.path(), &line))).await.unwrap();
    let mut watch = engine.subscribe(id).await.unwrap();
    loop {
        let record = soon("it has moved", watch.next()).await.expect("it runs");
        if matches!(record.event, ExecutionEvent::Stdout { .. }) {
            break;
        }
    }
    engine.cancel(id).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.ending, Ending::Cancelled, "{result:?}");
    assert!(life.is_cut(), "{:?}", result.containment);
    assert!(result.containment.stopped >= 2, "{:?}", result.containment);
}

/// A user with a delegated group, as from systemd, gets the level without privileges.
#[tokio::test]
async fn unprivileged_host_uses_a_delegated_cgroup() {
    if !offers_groups() || !rustix::process::geteuid().is_root() {
        return announce("SKIPPED: only root can delegate a control group");
    }
    let own = group_of(std::process::id()).unwrap();
    let unit = own.join(format!("execution-engine-test-unit-{}", std::process::id()));
    fs::create_dir(&unit).unwrap();
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        std::os::unix::fs::chown(unit.join(file), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let home = TempDir::new().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let life = Lifeline::new(home.path());
    fs::set_permissions(home.path().join("life"), fs::Permissions::from_mode(0o666)).unwrap();
    let part = format!("delegated cgroup {} {}", home.path().display(), unit.display());
    let host = Host::start(HOST, &part);
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
    life.cut("the family of the unprivileged host").await;
    until("no group of the host is left", || fs::remove_dir(&unit).is_ok()).await;
}

// ------------------------------------------------------------------------------------------ bad hosts

fn ignore_sigchld() {
    // SAFETY: Ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

fn wait_for_any() {
    std::thread::spawn(|| {
        loop {
            // SAFETY: No status is written.
            if unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } < 0 {
                std::thread::yield_now();
            }
        }
    });
}

#[tokio::test]
async fn ignored_sigchld_gives_status_unknown() {
    at_each_level("ignores_sigchld").await;
}

#[tokio::test]
async fn stolen_exit_status_gives_status_unknown() {
    at_each_level("waits_for_any").await;
}

async fn status_taken(engine: &ExecutionEngine, home: &Path) {
    for _ in 0..20 {
        let result = soon("an ending", engine.run(shell("exit 3"))).await.unwrap();
        let expected = [Ending::Exited { code: 3 }, Ending::StatusUnknown];
        assert!(expected.contains(&result.ending), "{result:?}");
    }
    for _ in 0..3 {
        let id = start_family(engine, home).await;
        engine.cancel(id).await.unwrap();
        assert_eq!(ended(engine, id).await.ending, Ending::Cancelled);
        assert!(nobody_holds(home));
    }
    let timed = shell("sleep 300").timeout(Duration::from_millis(50));
    let result = soon("a timeout", engine.run(timed)).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Timeout);
}

fn inherit_orphans() {
    // SAFETY: The call takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }, 0);
}

#[tokio::test]
async fn subreaper_host_keeps_no_zombies() {
    at_each_level("inherits_orphans").await;
}

async fn orphans(engine: ExecutionEngine, home: &Path) {
    let line = "(sleep 300 &); (setsid sleep 300 &); setsid sh -c 'sleep 300 & sleep 300 &'; ";
    for end in ["exit 0", "sleep 300"] {
        let line = holding(home, &format!("{line} echo ready >ready; {end}"));
        let id = engine.execute(shell(line).working_dir(home)).await.unwrap();
        when_written(&home.join("ready")).await;
        fs::remove_file(home.join("ready")).unwrap();
        // It may have ended by itself.
        let _stopped = engine.cancel(id).await;
        ended(&engine, id).await;
    }
    let level = engine.run(shell("true")).await.unwrap().containment.level;
    if level == ContainmentLevel::ProcessGroup {
        // Processes in other sessions are out of reach; the host guard ends them.
        drop(engine);
        return until("all are gone", || nobody_holds(home)).await;
    }
    assert!(nobody_holds(home));
    until("no zombie is left but who is not known", || own_zombies() == 0).await;
    // A process that is left on purpose is reaped when it ends, and so is one that has ended before:
    // no call waits for `true`.
    for end in ["sleep 0.1 & exit 0", "true & exec sleep 0.1"] {
        let options = ExecutionOptions::default().leftovers(Leftovers::Leave);
        let line = holding(home, &format!("(sleep 300 &); {end}"));
        let id = engine.execute_with(shell(line), options).await.unwrap();
        let result = ended(&engine, id).await;
        let left = &result.containment.left_running;
        assert!(!left.is_empty(), "{result:?}");
        for survivor in left {
            let pid = rustix::process::Pid::from_raw(survivor.pid.cast_signed()).unwrap();
            // The short-lived one may have ended.
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        until("they are collected", || own_zombies() == 0).await;
    }
    drop(engine);
    until("nor is the host guard", || {
        let me = Some(std::process::id());
        !processes().into_iter().any(|pid| parent(pid) == me)
    })
    .await;
}

// ------------------------------------------------------------------------------- users without rights

const NOBODY: u32 = 65_534;

#[tokio::test]
async fn orphan_of_another_user_is_a_possible_survivor() {
    if !rustix::process::geteuid().is_root() {
        return announce("SKIPPED: only root can make a program that gains rights");
    }
    at_level("unprivileged", ContainmentLevel::ProcessTree).await;
}

fn copy_that_gains_rights(home: &Path) {
    let program = home.join("gains-rights");
    fs::copy("/bin/sleep", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
}

async fn unprivileged(engine: &ExecutionEngine, home: &Path) {
    // In its own session the test can wait for its exec; its environment is not readable.
    let line = "(setsid ./gains-rights 300 & echo $! >pid); \
                until ! cat /proc/$(cat pid)/environ 2>/dev/null; do sleep 0.01; done; exit 0";
    let result = engine.run(shell(holding(home, line)).working_dir(home)).await.unwrap();
    let receipt = &result.containment;
    assert!(!receipt.proven, "{result:?}");
    let named = receipt.survivors.iter().find(|survivor| survivor.name == "gains-rights");
    let survivor = named.unwrap_or_else(|| panic!("it is not named: {result:?}"));
    assert!(survivor.reason.contains("rights of another user"), "{survivor:?}");

    // Limits that need privileges are refused; the others work.
    let options = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        ExecutionOptions::default().limits(limits)
    };
    let below = engine.execute_with(shell("true"), options(|limits| limits.nice = Some(-5))).await;
    assert!(below.unwrap_err().to_string().contains("limits: nice"));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(4096) }).unwrap();
    let above = options(|limits| limits.core_bytes = Some(8192));
    let above = engine.execute_with(shell("true"), above).await.unwrap_err().to_string();
    assert!(above.contains("limits: core_bytes") && above.contains("4096"), "{above}");
    let few = options(|limits| limits.processes = Some(1));
    let line = "sleep 0.1 & wait $!";
    let id = engine.execute_with(shell(line), few).await.unwrap();
    let result = ended(engine, id).await;
    assert!(!result.success && result.stderr.contains("fork"), "{result:?}");
}

async fn delegated(engine: &ExecutionEngine, home: &Path) {
    let id = start_family(engine, home).await;
    engine.cancel(id).await.unwrap();
    let receipt = ended(engine, id).await.containment;
    assert_eq!((receipt.level, receipt.proven), (ContainmentLevel::Cgroup, true), "{receipt:?}");
    assert!(receipt.stopped >= 3, "{receipt:?}");
    // The host guard ends this one.
    start_family(engine, home).await;
}

// ---------------------------------------------------------------------------------------- unkillable

/// Returns a directory for groups that freeze their members. A frozen process does not die of SIGKILL
/// before it thaws, like a process that hangs in the kernel.
fn freezer() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let freezes = |line: &&str| {
        line.split_once(" - cgroup ")
            .is_some_and(|(_, options)| options.split([' ', ',']).any(|word| word == "freezer"))
    };
    let mount = mounts.lines().find(freezes)?.split(' ').nth(4)?;
    let group = Path::new(mount).join(format!("execution-engine-test-{}", Uuid::new_v4()));
    fs::create_dir(&group).ok()?;
    Some(group)
}

#[tokio::test]
async fn unkillable_process_is_reported_and_reaped_later() {
    for level in levels() {
        let Some(freezer) = freezer() else {
            return announce("SKIPPED: no version 1 freezer, so nothing can be made unkillable");
        };
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let recorder = Recorder::new();
        let engine = engine_at(level).with_event_handler(recorder.clone());
        let line = holding(home.path(), "echo ready >ready; exec sleep 300");
        let id = engine.execute(shell(line).working_dir(home.path())).await.unwrap();
        when_written(&home.path().join("ready")).await;
        let pid = pid_of(&recorder, id).await;
        let group = group_of(pid);
        fs::write(freezer.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(freezer.join("freezer.state"), "FROZEN").unwrap();
        until("it is frozen", || {
            fs::read_to_string(freezer.join("freezer.state")).unwrap() == "FROZEN\n"
        })
        .await;

        engine.cancel(id).await.unwrap();
        let result = ended(&engine, id).await;
        assert_eq!(result.ending, Ending::Cancelled);
        let survivors: Vec<_> =
            result.containment.survivors.iter().map(|survivor| survivor.pid).collect();
        assert_eq!(survivors, [pid], "{level}: {:?}", result.containment);
        assert!(!life.is_cut());
        assert!(engine.run(shell("true")).await.unwrap().success, "others are not held up");

        drop(engine);
        fs::write(freezer.join("freezer.state"), "THAWED").unwrap();
        life.cut("it was killed long ago").await;
        until("its zombie is collected", || state(pid).is_none()).await;
        if let (ContainmentLevel::Cgroup, Some(group)) = (level, group) {
            until("its group is removed", || !group.exists()).await;
        }
        until("the freezer can be removed", || fs::remove_dir(&freezer).is_ok()).await;
    }
}
