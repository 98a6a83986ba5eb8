//! What is special about the portable backend: other tests are those of all levels.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use execution_engine_process::{
    Containment, Exit, Launch, Leftovers, Level, Limits, PipeReader, Signal, SpawnStage, Spawned,
    Tree, UserIds,
};
use rustix::process::Resource;

use crate::support::*;

fn groups() -> Containment {
    Containment::at(Level::ProcessGroup).unwrap()
}

/// Reads the first lines of what is written.
fn lines<const N: usize>(pipe: &PipeReader) -> [String; N] {
    std::array::from_fn(|_| first_line(pipe))
}

#[test]
fn other_levels_are_refused_with_a_reason() {
    assert_eq!(Containment::strongest().level(), Level::ProcessGroup);
    for level in [Level::ProcessTree, Level::Cgroup] {
        let refused = Containment::at(level).unwrap_err();
        assert!(refused.reason.contains("Linux"), "{refused}");
    }
}

#[test]
fn child_leads_a_group_and_has_default_signals_and_nothing_but_its_streams() {
    let leak = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    let line = "ls /proc/self/fd | tr '\\n' ' '; cut -d' ' -f1,5 /proc/$$/stat; \
                grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let Spawned { mut child, stdout, .. } = groups().spawn(&shell(line)).unwrap();
    let [first, blocked, ignored] = lines(stdout.as_ref().unwrap());
    // The directory that ls reads is its fourth.
    assert_eq!(first, format!("0 1 2 3 {0} {0}", child.id()));
    // This process ignores SIGPIPE, as Rust programs do. GNU's posix_spawn lets a child ignore the
    // two signals that it keeps for itself.
    const OF_LIBC: u64 = 0b11 << 31;
    for line in [blocked, ignored] {
        let (_, set) = line.split_once('\t').unwrap();
        let set = u64::from_str_radix(set, 16).unwrap();
        assert_eq!(set & !OF_LIBC, 0, "{line}");
    }
    assert_eq!(wait_for_exit(&mut child), Exit::Code(0));
    assert_eq!(child.reap().unwrap().unwrap().exit, Exit::Code(0));
    drop(leak.unwrap());
}

#[test]
fn exit_is_observed_before_the_child_is_reaped() {
    let mut child = groups().spawn(&shell("kill -USR1 $$")).unwrap().child;
    let signaled = Exit::Signaled { signal: libc::SIGUSR1, core_dumped: false };
    assert_eq!(wait_for_exit(&mut child), signaled);
    let exists = || Path::new(&format!("/proc/{}", child.id())).exists();
    assert!(exists(), "it was reaped by asking");
    let pid = child.id();
    let reaped = child.reap().unwrap().unwrap();
    assert_eq!(reaped.exit, signaled);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(child.reap().unwrap(), Some(reaped), "always the same");
}

#[test]
fn one_member_stands_for_what_is_left_of_a_group() {
    let line = "sleep 60 >/dev/null 2>&1 & echo $!";
    let Spawned { mut child, stdout, .. } = groups().spawn(&shell(line)).unwrap();
    let [left] = lines(stdout.as_ref().unwrap());
    assert_eq!(wait_for_exit(&mut child), Exit::Code(0));
    let tree = child.tree().unwrap();
    assert!(!tree.is_empty() && !tree.proven);
    let [others] = &tree.members[..] else { panic!("{tree:?}") };
    assert_eq!((others.pid, others.name.as_str()), (child.id(), "(process group)"));
    assert_eq!(child.signal(Signal::Kill).unwrap(), 1);
    until("the group is gone", || child.tree().unwrap().is_empty());
    assert!(!is_alive(left.parse().unwrap()));
    assert_eq!(child.signal(Signal::Kill).unwrap(), 0, "its number may belong to another group");
    assert!(!child.tree().unwrap().proven, "one could have left the group");
}

#[test]
fn main_program_has_the_name_of_its_file() {
    let mut child = groups().spawn(&shell("sleep 60")).unwrap().child;
    let Tree { members, .. } = child.tree().unwrap();
    assert_eq!((members[0].pid, members[0].name.as_str()), (child.id(), "sh"));
}

#[test]
fn each_limit_is_refused_by_its_name() {
    let none = Limits::default();
    let asked = [
        ("cpu_seconds", none.cpu_seconds(9)),
        ("address_space_bytes", none.address_space_bytes(9)),
        ("open_files", none.open_files(9)),
        ("file_size_bytes", none.file_size_bytes(9)),
        ("processes", none.processes(9)),
        ("core_bytes", none.core_bytes(0)),
        ("nice", none.nice(0)),
        ("umask", none.umask(0o022)),
        ("tree_memory_bytes", none.tree_memory_bytes(9)),
        ("tree_processes", none.tree_processes(9)),
    ];
    let containment = groups();
    containment.check(&none).unwrap();
    for (field, limits) in asked {
        let mut launch = shell("true");
        launch.limits = limits;
        assert_eq!(containment.check(&launch.limits).unwrap_err().field, field);
        // Also without a check before.
        assert_eq!(containment.spawn(&launch).unwrap_err().stage, SpawnStage::Limits, "{field}");
    }
}

/// The file into which a host writes the processes it has started.
const FILE: &str = "PORTABLE_HOST_FILE";

#[test]
fn groups_end_with_a_host_that_is_killed() {
    if let Some(host) = host_of(|| be_the_host(|_| {})) {
        is_killed_with_its_groups(host);
    }
}

#[test]
fn groups_end_with_a_host_whose_guard_was_killed() {
    let loses_guard = |listed: [u32; 2]| {
        let lost = guard_of(std::process::id()).unwrap();
        kill(lost);
        // A line for each group. The forked shell has read nothing else.
        let length: usize = listed.iter().map(|group| format!("+{group}\n").len()).sum();
        until("there is another, which knows all groups", || {
            guard_of(std::process::id())
                .is_some_and(|guard| guard != lost && bytes_read_by(guard) >= length)
        });
    };
    if let Some(host) = host_of(|| be_the_host(loses_guard)) {
        is_killed_with_its_groups(host);
    }
}

fn is_killed_with_its_groups(mut host: Command) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pids");
    let mut host = host.env(FILE, &file).stdout(Stdio::null()).spawn().unwrap();
    until("all run", || std::fs::read_to_string(&file).is_ok_and(|output| output.ends_with('\n')));
    let output = std::fs::read_to_string(&file).unwrap();
    let pids: Vec<u32> = output.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let [running, left_behind, ended, left] = pids[..] else { panic!("{output}") };
    assert!(is_alive(running) && is_alive(left_behind) && is_alive(left));
    // The host alone: its children are in groups of their own.
    host.kill().unwrap();
    assert_eq!(host.wait().unwrap().signal(), Some(9));
    until("all are gone", || ![running, left_behind, ended].into_iter().any(is_alive));
    assert!(is_alive(left), "it was given up on purpose");
    kill(left);
}

/// Starts a program that runs, one that has left a process in its group, one that has ended, and
/// one that was given up; writes their ids, and waits to be killed.
fn be_the_host(then: impl FnOnce([u32; 2])) {
    let containment = groups();
    let mut running = containment.spawn(&shell("trap '' TERM HUP; sleep 300; :")).unwrap();
    let leaves = containment.spawn(&shell("sleep 300 & echo $!; exit 0")).unwrap();
    let mut ended = containment.spawn(&shell("exit 0")).unwrap().child;
    wait_for_exit(&mut ended);
    assert!(ended.tree().unwrap().is_empty());
    let mut given_up = shell("sleep 300 >/dev/null 2>&1 & echo $!");
    given_up.leftovers = Leftovers::Leave;
    let mut given_up = containment.spawn(&given_up).unwrap();
    wait_for_exit(&mut given_up.child);
    given_up.child.leave().unwrap();
    let [left] = lines(given_up.stdout.as_ref().unwrap());
    drop(given_up.child);
    let [left_behind] = lines(leaves.stdout.as_ref().unwrap());
    let output = format!("{} {left_behind} {} {left}\n", running.child.id(), ended.id());
    then([running.child.id(), leaves.child.id()]);
    std::fs::write(std::env::var_os(FILE).unwrap(), output).unwrap();
    // It is killed here.
    wait_for_exit(&mut running.child);
}

#[test]
fn host_survives_the_end_of_its_guard() {
    in_own_process(|| {
        // SAFETY: this process is for this alone.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let containment = groups();
        drop(containment.spawn(&shell("true")).unwrap());
        let guard = guard_of(std::process::id()).unwrap();
        kill(guard);
        until("it is gone", || !is_alive(guard));
        let mut child = containment.spawn(&shell("exit 7")).unwrap().child;
        assert_eq!(wait_for_exit(&mut child), Exit::Code(7));
    });
}

fn bytes_read_by(pid: u32) -> usize {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.map_or(0, |read| read.parse().unwrap())
}

/// Finds the shell that reads from the same pipe as this process could.
fn guard_of(host: u32) -> Option<u32> {
    let pipes = |pid: u32| -> Vec<PathBuf> {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let aims = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        aims.filter(|aim| aim.to_string_lossy().starts_with("pipe:")).collect()
    };
    let own = pipes(host);
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // The shell that starts a guard, and exits, is a child of its host.
    let of_host = format!("PPid:\t{host}\n");
    let is_guard = |pid: &u32| {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        let lifeline = std::fs::read_link(format!("/proc/{pid}/fd/3"));
        read("cmdline").is_ok_and(|line| line.contains("execution-host-guard"))
            && lifeline.is_ok_and(|pipe| own.contains(&pipe))
            && read("status").is_ok_and(|status| !status.contains(&of_host))
    };
    pids.find(is_guard)
}

#[test]
fn no_zombie_thread_or_descriptor_is_left() {
    // In a process of its own, where no other test makes any.
    in_own_process(|| {
        let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
        let mine = || (count("/proc/self/fd"), count("/proc/self/task"));
        let containment = groups();
        // What stays for good comes with the first.
        wait_for_exit(&mut containment.spawn(&shell("true")).unwrap().child);
        // This thread, the main one, and the one that watches the host guard.
        until("its thread is done", || count("/proc/self/task") == 3);
        let before = mine();
        let mut main = Vec::new();
        for round in 0..200 {
            let line = ["exit 0", "sleep 60 & exit 0", "sleep 60", "trap '' TERM; sleep 60; :"];
            let mut child = containment.spawn(&shell(line[round % 4])).unwrap().child;
            main.push(child.id());
            if round % 3 == 0 && round % 4 < 2 {
                wait_for_exit(&mut child);
            }
        }
        assert!(containment.spawn(&Launch::new("/no/such/program")).is_err());
        until("all is as before", || mine() == before);
        until("no zombie is left", || !main.iter().any(|pid| exists(*pid)));
    });
}

#[test]
fn program_is_not_started_without_a_thread_to_wait_for_it() {
    in_own_process(|| {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("it-ran");
        let containment = groups();
        // While it lives its thread leaves no stack for the next.
        let first = containment.spawn(&shell("exec sleep 60")).unwrap();
        let launch = shell(&format!(": >'{}'", file.display()));
        // Room for what posix_spawn needs, and not for the stack of a thread.
        limit(Resource::As, Some(address_space_in_use() + 48 * 1024));
        let refused = containment.spawn(&launch);
        limit(Resource::As, None);
        let error = refused.unwrap_err();
        let failed = (error.stage, error.source.raw_os_error());
        assert_eq!(failed, (SpawnStage::Process, Some(libc::EAGAIN)));
        assert!(error.is_transient());
        // By the end of another program it would have run.
        let line = format!("sleep 0.3; [ -e '{}' ]", file.display());
        let mut other = containment.spawn(&shell(&line)).expect("there is memory again").child;
        until("it is reaped", || other.reap().unwrap().is_some());
        assert_eq!(other.exit().unwrap(), Some(Exit::Code(1)), "it ran all the same");
        drop(first);
    });
}

#[test]
fn another_user_is_refused_with_a_reason() {
    let mut launch = shell("true");
    launch.user = Some(UserIds::new(1, 1));
    let refused = groups().spawn(&launch).unwrap_err();
    assert_eq!(refused.stage, SpawnStage::User);
    assert!(refused.to_string().contains("only Linux"), "{refused}");
}
