//! The backend of other Unix systems, tested on Linux: `--cfg execution_engine_portable` builds it
//! there. What it promises like the other backend, `levels.rs` tests; this is what is its own.
#![cfg(execution_engine_portable)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;

use execution_engine_process::{
    Containment, Exit, Launch, Leftovers, Level, Limits, Signal, SpawnStage, Spawned, Tree,
};
use rustix::event::PollFlags;
use support::*;

fn groups() -> Containment {
    Containment::at(Level::ProcessGroup).unwrap()
}

/// The first lines of what is written.
fn lines<const N: usize>(pipe: impl Into<OwnedFd>) -> [String; N] {
    let pipe = pipe.into();
    rustix::io::ioctl_fionbio(&pipe, false).unwrap();
    let mut lines = BufReader::new(std::fs::File::from(pipe)).lines();
    std::array::from_fn(|_| lines.next().expect("a line").unwrap())
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn there_is_one_level_and_it_is_said_why_there_are_no_others() {
    assert_eq!(Containment::strongest().level(), Level::ProcessGroup);
    for level in [Level::ProcessTree, Level::Cgroup] {
        let refused = Containment::at(level).unwrap_err();
        assert!(refused.reason.contains("Linux"), "{refused}");
    }
}

#[test]
fn a_program_leads_a_group_with_default_signals_and_nothing_but_its_streams() {
    let leak = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    let line = "ls /proc/self/fd | tr '\\n' ' '; cut -d' ' -f1,5 /proc/$$/stat; \
                grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let Spawned { mut child, stdout, .. } = groups().spawn(&shell(line)).unwrap();
    let [first, blocked, ignored] = lines(stdout);
    // The directory that ls reads is its fourth.
    assert_eq!(first, format!("0 1 2 3 {0} {0}", child.id()));
    // This process ignores SIGPIPE, as Rust programs do. GNU's posix_spawn lets a child ignore the two
    // signals that it keeps for itself.
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
fn the_end_is_seen_without_reaping_and_then_reaped() {
    let mut child = groups().spawn(&shell("kill -USR1 $$")).unwrap().child;
    let signaled = Exit::Signaled { signal: libc::SIGUSR1, core_dumped: false };
    assert_eq!(wait_for_exit(&mut child), signaled);
    let exists = || std::path::Path::new(&format!("/proc/{}", child.id())).exists();
    assert!(exists(), "it was reaped by asking");
    let pid = child.id();
    let reaped = child.reap().unwrap().unwrap();
    assert_eq!(reaped.exit, signaled);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(child.reap().unwrap(), Some(reaped), "always the same");
}

#[test]
fn one_entry_stands_for_what_is_left_of_a_group() {
    let line = "sleep 60 >/dev/null 2>&1 & echo $!";
    let Spawned { mut child, stdout, .. } = groups().spawn(&shell(line)).unwrap();
    let [left] = lines(stdout);
    assert_eq!(wait_for_exit(&mut child), Exit::Code(0));
    let tree = child.tree().unwrap();
    assert!(!tree.is_empty() && !tree.proven);
    let [others] = &tree.members[..] else { panic!("{tree:?}") };
    assert_eq!((others.pid, others.name.as_str()), (child.id(), "(process group)"));
    assert_eq!(child.signal(Signal::Kill).unwrap(), 1);
    until("the group is gone", || child.tree().unwrap().is_empty());
    assert!(!is_alive(left.parse().unwrap()));
    assert_eq!(child.signal(Signal::Kill).unwrap(), 0, "its number may be somebody else's");
    assert!(!child.tree().unwrap().proven, "one could have left the group");
}

#[test]
fn the_main_program_has_the_name_of_its_file() {
    let mut child = groups().spawn(&shell("sleep 60")).unwrap().child;
    let Tree { members, .. } = child.tree().unwrap();
    assert_eq!((members[0].pid, members[0].name.as_str()), (child.id(), "sh"));
}

type Ask = (&'static str, fn(&mut Limits));

#[test]
fn each_limit_is_refused_by_its_name() {
    let asked: [Ask; 10] = [
        ("cpu_seconds", |limits| limits.cpu_seconds = Some(9)),
        ("address_space_bytes", |limits| limits.address_space_bytes = Some(9)),
        ("open_files", |limits| limits.open_files = Some(9)),
        ("file_size_bytes", |limits| limits.file_size_bytes = Some(9)),
        ("processes", |limits| limits.processes = Some(9)),
        ("core_bytes", |limits| limits.core_bytes = Some(0)),
        ("nice", |limits| limits.nice = Some(0)),
        ("umask", |limits| limits.umask = Some(0o022)),
        ("tree_memory_bytes", |limits| limits.tree_memory_bytes = Some(9)),
        ("tree_processes", |limits| limits.tree_processes = Some(9)),
    ];
    let containment = groups();
    containment.check(&Limits::default()).unwrap();
    for (field, ask) in asked {
        let mut launch = shell("true");
        ask(&mut launch.limits);
        assert_eq!(containment.check(&launch.limits).unwrap_err().field, field);
        // Also for one who does not ask first.
        assert_eq!(containment.spawn(&launch).unwrap_err().stage, SpawnStage::Limits, "{field}");
    }
}

/// Says that this is the host to be killed, and where it is to write who runs.
const HOST: &str = "PORTABLE_HOST_TELLS";

#[test]
fn a_host_that_is_killed_takes_its_groups_along() {
    if let Some(file) = std::env::var_os(HOST) {
        return be_the_host(file.as_ref());
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pids");
    let mut launch = Launch::new(std::env::current_exe().unwrap());
    let test = "a_host_that_is_killed_takes_its_groups_along";
    launch.args.extend(["--exact", test].map(Into::into));
    launch.env = vec![(HOST.into(), file.clone().into())];
    let mut host = groups().spawn(&launch).unwrap();
    until("all run", || std::fs::read_to_string(&file).is_ok_and(|told| told.ends_with('\n')));
    let told = std::fs::read_to_string(&file).unwrap();
    let pids: Vec<u32> = told.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let [running, left_behind, ended, left] = pids[..] else { panic!("{told}") };
    assert!(is_alive(running) && is_alive(left_behind) && is_alive(left));
    // The host alone: its children are in groups of their own.
    host.child.signal(Signal::Kill).unwrap();
    assert_eq!(wait_for_exit(&mut host.child), Exit::Signaled { signal: 9, core_dumped: false });
    until("all are gone", || ![running, left_behind, ended].into_iter().any(is_alive));
    assert!(is_alive(left), "it was given up on purpose");
    let left = rustix::process::Pid::from_raw(left.cast_signed()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

/// One runs, one has left somebody in its group, one has ended, and one was given up.
fn be_the_host(file: &std::path::Path) {
    let containment = groups();
    let running = containment.spawn(&shell("trap '' TERM HUP; sleep 300; :")).unwrap();
    let leaves = containment.spawn(&shell("sleep 300 & echo $!; exit 0")).unwrap();
    let mut ended = containment.spawn(&shell("exit 0")).unwrap().child;
    wait_for_exit(&mut ended);
    assert!(ended.tree().unwrap().is_empty());
    let mut given_up = shell("sleep 300 >/dev/null 2>&1 & echo $!");
    given_up.leftovers = Leftovers::Leave;
    let mut given_up = containment.spawn(&given_up).unwrap();
    wait_for_exit(&mut given_up.child);
    given_up.child.leave().unwrap();
    let [left] = lines(given_up.stdout);
    drop(given_up.child);
    let [left_behind] = lines(leaves.stdout);
    let told = format!("{} {left_behind} {} {left}\n", running.child.id(), ended.id());
    std::fs::write(file, told).unwrap();
    // It is killed here.
    wait_for(&running.child.exit_fd(), PollFlags::IN);
}

#[test]
fn a_sentinel_that_was_killed_does_not_break_its_host() {
    if let Some(file) = std::env::var_os(HOST) {
        // SAFETY: this process is for this alone.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let containment = groups();
        drop(containment.spawn(&shell("true")).unwrap());
        let sentinel = sentinel_of(std::process::id());
        let pid = rustix::process::Pid::from_raw(sentinel.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        until("it is gone", || !is_alive(sentinel));
        let mut child = containment.spawn(&shell("exit 7")).unwrap().child;
        assert_eq!(wait_for_exit(&mut child), Exit::Code(7));
        return std::fs::write(file, "it lives").unwrap();
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("told");
    let mut launch = Launch::new(std::env::current_exe().unwrap());
    let test = "a_sentinel_that_was_killed_does_not_break_its_host";
    launch.args.extend(["--exact", test].map(Into::into));
    launch.env = vec![(HOST.into(), file.clone().into())];
    let mut host = groups().spawn(&launch).unwrap();
    assert_eq!(wait_for_exit(&mut host.child), Exit::Code(0));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "it lives");
}

/// The shell that reads from the same pipe as this process could.
fn sentinel_of(host: u32) -> u32 {
    let pipes = |pid: u32| -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let aims = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        aims.filter(|aim| aim.to_string_lossy().starts_with("pipe:")).collect()
    };
    let own = pipes(host);
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_sentinel = |pid: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let lifeline = std::fs::read_link(format!("/proc/{pid}/fd/3"));
        line.contains("execution-sentinel") && lifeline.is_ok_and(|pipe| own.contains(&pipe))
    };
    pids.into_iter().find(is_sentinel).expect("it is there")
}

#[test]
fn no_zombie_thread_or_descriptor_is_left() {
    if std::env::var_os(HOST).is_none() {
        // In a process of its own, where no other test makes any.
        let mut launch = Launch::new(std::env::current_exe().unwrap());
        let test = "no_zombie_thread_or_descriptor_is_left";
        launch.args.extend(["--exact", test].map(Into::into));
        launch.env = vec![(HOST.into(), "-".into())];
        let mut host = groups().spawn(&launch).unwrap();
        let exit = wait_for_exit(&mut host.child);
        assert_eq!(exit, Exit::Code(0));
        return;
    }
    let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
    let mine = || (count("/proc/self/fd"), count("/proc/self/task"));
    let containment = groups();
    // What is there for good comes with the first.
    drop(containment.spawn(&shell("true")).unwrap());
    until("its thread is done", || count("/proc/self/task") == 2);
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
    let exists = |pid: &u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    until("no zombie is left", || !main.iter().any(exists));
}
