//! Children at each level, without the engine above: what the crate itself promises.

mod support;

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use execution_engine_process::{
    Child, Containment, Exit, Launch, Leftovers, Level, Limits, Signal, SpawnStage, Spawned, Stdin,
    Tree,
};
use rustix::event::PollFlags;
use support::*;

fn levels() -> impl Iterator<Item = Containment> {
    Level::ALL.into_iter().filter_map(|level| match Containment::at(level) {
        Ok(containment) => Some(containment),
        Err(unavailable) => {
            eprintln!("SKIPPED: {unavailable}");
            None
        }
    })
}

/// Reads all that is written until nobody holds the pipe any more.
fn output(spawned: &Spawned) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        wait_for(&spawned.stdout, PollFlags::IN);
        match rustix::io::read(&spawned.stdout, &mut buffer) {
            Ok(0) => return String::from_utf8(text).unwrap(),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads the first line.
fn first_line(spawned: &Spawned) -> String {
    let mut text = String::new();
    while !text.ends_with('\n') {
        wait_for(&spawned.stdout, PollFlags::IN);
        let mut byte = [0; 1];
        if rustix::io::read(&spawned.stdout, &mut byte) == Ok(1) {
            text.push(char::from(byte[0]));
        }
    }
    text.trim().to_string()
}

/// Looks at the tree until it is as it should be.
fn tree_when(child: &mut Child, what: &str, is_so: impl Fn(&Tree) -> bool) -> Tree {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tree = child.tree().unwrap();
        if is_so(&tree) {
            return tree;
        }
        assert!(Instant::now() < deadline, "{what}: {tree:?}");
        std::thread::yield_now();
    }
}

fn kill_all(child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    while !child.tree().unwrap().is_empty() {
        child.signal(Signal::Kill).unwrap();
        assert!(Instant::now() < deadline, "somebody survives");
        std::thread::yield_now();
    }
}

/// As the kernel lists it: 0 in a container where nobody of the session's own beginning is seen.
fn session_of_ours() -> u32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(3).unwrap().parse().unwrap()
}

#[test]
#[cfg_attr(
    execution_engine_portable,
    ignore = "it is in the session of its host there; see portable.rs"
)]
fn a_program_is_set_apart_with_nothing_but_its_streams() {
    // What a child takes can be told once it is more than what its host takes.
    let host = std::hint::black_box(vec![1_u8; 32 << 20]);
    for containment in levels() {
        let line = "ls /proc/self/fd | tr '\\n' ' '; cut -d' ' -f1,5,6 /proc/$$/stat; \
                    grep -E 'Sig(Blk|Ign)' /proc/self/status";
        let mut spawned = containment.spawn(&shell(line)).unwrap();
        let output = output(&spawned);
        let pid = spawned.child.id();
        let mut lines = output.lines();
        let session = if containment.level() == Level::Cgroup { session_of_ours() } else { pid };
        // The directory that ls reads is its fourth.
        let expected = format!("0 1 2 3 {pid} {pid} {session}");
        assert_eq!(lines.next(), Some(expected.as_str()), "{containment:?}");
        for line in lines {
            assert!(line.ends_with("0000000000000000"), "{line}");
        }
        assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0));
        let tree = tree_when(&mut spawned.child, "gone", Tree::is_empty);
        assert_eq!(tree.proven, containment.level() == Level::Cgroup);
        let usage = spawned.child.reap().unwrap().unwrap().usage;
        assert_eq!(usage.peak_memory_bytes, None, "a shell takes less than this test");
    }
    drop(host);
}

#[test]
#[cfg_attr(execution_engine_portable, ignore = "members cannot be listed there; see portable.rs")]
fn those_that_leave_the_group_are_seen_and_killed_where_the_level_can() {
    for containment in levels() {
        let mut spawned = containment.spawn(&shell("setsid sleep 60 & echo $!; sleep 60")).unwrap();
        first_line(&spawned);
        let wanted = if containment.level() == Level::ProcessGroup { 2 } else { 3 };
        let is_whole = |tree: &Tree| {
            let sleeps = tree.members.iter().filter(|member| member.name == "sleep").count();
            sleeps + 1 == wanted && tree.members.len() == wanted
        };
        tree_when(&mut spawned.child, "all are seen", is_whole);
        kill_all(&mut spawned.child);
        assert_eq!(
            wait_for_exit(&mut spawned.child),
            Exit::Signaled { signal: 9, core_dumped: false }
        );
    }
}

#[test]
fn a_paused_tree_stands_still_and_goes_on() {
    for containment in levels() {
        let mut launch = shell("while read line; do echo $line; done");
        launch.stdin = Stdin::Piped;
        let mut spawned = containment.spawn(&launch).unwrap();
        let input = spawned.stdin.take().unwrap();
        let pid = spawned.child.id();
        spawned.child.pause().unwrap();
        until("it stands still", || stands_still(pid));
        rustix::io::write(&input, b"went on\n").unwrap();
        spawned.child.resume().unwrap();
        assert_eq!(first_line(&spawned), "went on");
        drop(input);
        assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0), "{containment:?}");
    }
}

/// Stopped by a signal, or in a frozen group.
fn stands_still(pid: u32) -> bool {
    let read = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let group = read("cgroup");
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let events = std::fs::read_to_string(below_mount(group).join("cgroup.events"));
    let is_frozen = events.unwrap_or_default().contains("frozen 1");
    is_frozen || read("stat").rsplit_once(") ").unwrap().1.starts_with('T')
}

#[test]
fn what_is_left_on_purpose_lives_on_after_its_child_and_its_containment() {
    for containment in levels() {
        let level = containment.level();
        let mut launch = shell("sleep 60 >/dev/null 2>&1 & echo $!");
        launch.leftovers = Leftovers::Leave;
        let mut spawned = containment.spawn(&launch).unwrap();
        let pid: u32 = first_line(&spawned).parse().unwrap();
        wait_for_exit(&mut spawned.child);
        spawned.child.leave().unwrap();
        drop(spawned);
        drop(containment);
        assert!(is_alive(pid), "{level}");
        kill(pid);
    }
}

/// Giving much memory back takes a process a while, in which it is neither alive nor gone.
#[test]
#[cfg_attr(execution_engine_portable, ignore = "members are not listed there; see portable.rs")]
fn one_that_is_ending_just_then_does_not_hinder_those_that_are_left_on_purpose() {
    for containment in levels() {
        let level = containment.level();
        let line = "sleep 60 >/dev/null 2>&1 & echo $!; \
                    dd if=/dev/zero bs=300M 2>/dev/null & read -r _; exit 0";
        let mut launch = shell(line);
        launch.leftovers = Leftovers::Leave;
        launch.stdin = Stdin::Piped;
        let mut spawned = containment.spawn(&launch).unwrap();
        let pid: u32 = first_line(&spawned).parse().unwrap();
        let mut large = 0;
        until("one has much memory", || {
            large = spawned
                .child
                .tree()
                .unwrap()
                .members
                .iter()
                .map(|it| it.pid)
                .find(has_much)
                .unwrap_or(0);
            large > 0
        });
        kill(large);
        drop(spawned.stdin.take());
        wait_for_exit(&mut spawned.child);
        let left = spawned.child.leave();
        drop(spawned);
        assert!(left.is_ok() && is_alive(pid), "{level}: {left:?}");
        kill(pid);
    }
}

fn has_much(pid: &u32) -> bool {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.is_some_and(|pages| pages > 290 * 1024 * 1024 / rustix::param::page_size())
}

#[test]
fn dropping_a_child_kills_its_tree() {
    for containment in levels() {
        let spawned = containment.spawn(&shell("sleep 60 & echo $!; wait")).unwrap();
        let pid: u32 = first_line(&spawned).parse().unwrap();
        let main = spawned.child.id();
        drop(spawned);
        until("both are gone", || !is_alive(pid) && !exists(main));
    }
}

#[test]
fn the_children_after_one_that_was_killed_live() {
    for containment in levels() {
        for _ in 0..3 {
            let mut victim = containment.spawn(&shell("sleep 60 & wait")).unwrap();
            kill_all(&mut victim.child);
            wait_for_exit(&mut victim.child);
            drop(victim);
            let mut next = containment.spawn(&shell("exit 7")).unwrap();
            assert_eq!(wait_for_exit(&mut next.child), Exit::Code(7), "{containment:?}");
        }
    }
}

/// Whether children start, live and are killed where the host is in a control group of its own with this
/// file written. The host is this very binary.
fn children_do_well_where_the_hosts_group_has(file: &str, value: &str) {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let dir = below_mount(own).join(format!("test-of-a-host.{file}.{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join(file), value).unwrap();

    let itself = std::env::current_exe().unwrap();
    let test = "the_children_after_one_that_was_killed_live";
    let line = format!(
        "echo 0 >'{}/cgroup.procs' && exec '{}' --exact {test} 2>&1",
        dir.display(),
        itself.display()
    );
    let mut spawned = Containment::at(Level::ProcessGroup).unwrap().spawn(&shell(&line)).unwrap();
    let output = output(&spawned);
    assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0), "{output}");
    assert!(output.contains("1 passed"), "{output}");
    until("the group can be removed", || std::fs::remove_dir(&dir).is_ok());
}

#[test]
fn a_host_in_a_group_that_was_killed_once_starts_children_that_live() {
    match Containment::at(Level::Cgroup) {
        Ok(_) => children_do_well_where_the_hosts_group_has("cgroup.kill", "1"),
        Err(unavailable) => eprintln!("SKIPPED: {unavailable}"),
    }
}

#[test]
fn a_host_whose_group_may_hold_too_few_others_is_offered_another_level() {
    if let Err(unavailable) = Containment::at(Level::Cgroup) {
        return eprintln!("SKIPPED: {unavailable}");
    }
    for depth in ["0", "1", "2", "3"] {
        children_do_well_where_the_hosts_group_has("cgroup.max.depth", depth);
    }
    children_do_well_where_the_hosts_group_has("cgroup.max.descendants", "2");
}

#[test]
#[cfg_attr(execution_engine_portable, ignore = "there are none there; see portable.rs")]
fn limits_are_in_force_and_what_cannot_be_enforced_is_refused() {
    for containment in levels() {
        let mut limits = Limits::default();
        limits.open_files = Some(20);
        limits.core_bytes = Some(0);
        limits.nice = Some(7);
        limits.umask = Some(0o027);
        containment.check(&limits).unwrap();
        let mut launch = shell("ulimit -n; ulimit -c; umask; cut -d' ' -f19 /proc/self/stat");
        launch.limits = limits;
        let spawned = containment.spawn(&launch).unwrap();
        assert_eq!(output(&spawned), "20\n0\n0027\n7\n");

        let refused = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            containment.check(&limits).unwrap_err().field
        };
        assert_eq!(refused(|limits| limits.nice = Some(20)), "nice");
        assert_eq!(refused(|limits| limits.umask = Some(0o1000)), "umask");
        assert_eq!(refused(|limits| limits.open_files = Some(2)), "open_files");
        if containment.level() != Level::Cgroup {
            assert_eq!(refused(|limits| limits.tree_processes = Some(9)), "tree_processes");
            assert_eq!(refused(|limits| limits.tree_memory_bytes = Some(9)), "tree_memory_bytes");
        }
    }
}

#[test]
fn a_program_that_cannot_run_says_where_it_failed() {
    for containment in levels() {
        let missing = containment.spawn(&Launch::new("/no/such/program")).unwrap_err();
        assert_eq!(missing.stage, SpawnStage::Exec, "{missing}");
        let mut launch = shell("true");
        launch.working_dir = Some("/no/such/directory".into());
        let nowhere = containment.spawn(&launch).unwrap_err();
        assert_eq!(nowhere.stage, SpawnStage::WorkingDirectory, "{nowhere}");
    }
}

#[test]
fn the_cpu_time_of_the_whole_tree_is_counted_anew_for_each_child() {
    let Ok(containment) = Containment::at(Level::Cgroup) else {
        return eprintln!("SKIPPED: no cgroup");
    };
    let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let line = format!("({burn}) & ({burn}) & wait");
    let mut busy = containment.spawn(&shell(&line)).unwrap();
    wait_for_exit(&mut busy.child);
    tree_when(&mut busy.child, "gone", Tree::is_empty);
    let used = busy.child.tree_usage().unwrap();
    drop(busy);
    let mut idle = containment.spawn(&shell("true")).unwrap();
    wait_for_exit(&mut idle.child);
    let after = idle.child.tree_usage().unwrap();
    assert!(used.user + used.system > Duration::ZERO);
    assert!(after.user + after.system < used.user + used.system, "{after:?} {used:?}");
}

#[test]
fn no_group_is_left_and_one_that_was_removed_is_made_again() {
    let Ok(containment) = Containment::at(Level::Cgroup) else {
        return eprintln!("SKIPPED: no cgroup");
    };
    let mut spawned = containment.spawn(&shell("cat /proc/self/cgroup")).unwrap();
    let path = output(&spawned);
    let path = path.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_string();
    assert!(path.contains(&format!("execution-engine.{}.", std::process::id())), "{path}");
    wait_for_exit(&mut spawned.child);
    tree_when(&mut spawned.child, "gone", Tree::is_empty);
    drop(spawned);
    let leaf = below_mount(&path);
    // A process 1 inherits zombies, which are told by the group they died in.
    if std::process::id() != 1 {
        assert!(leaf.is_dir(), "kept for the next child: {}", leaf.display());
        std::fs::remove_dir(&leaf).unwrap();
    }
    until("the group is gone", || !leaf.exists());
    let parent = leaf.parent().unwrap().parent().unwrap().to_path_buf();
    std::fs::remove_dir(leaf.parent().unwrap()).unwrap();
    std::fs::remove_dir(&parent).unwrap();
    let mut again = containment.spawn(&shell("exit 3")).unwrap();
    assert_eq!(wait_for_exit(&mut again.child), Exit::Code(3));
    drop(again);
    drop(containment);
    let mine = format!("execution-engine.{}.", std::process::id());
    let own = parent.parent().unwrap();
    // Other tests of this process have groups of their own, which go with them.
    until("no empty group is left", || {
        let Ok(entries) = own.read_dir() else { return false };
        let mut groups = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine));
        groups.all(|group| is_populated(&group.path()))
    });
}

fn below_mount(path: &str) -> std::path::PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
    Path::new(mount.split(' ').nth(4).unwrap()).join(path.trim_start_matches('/'))
}

fn is_populated(dir: &Path) -> bool {
    let events = std::fs::read_to_string(dir.join("cgroup.events")).unwrap_or_default();
    events.contains("populated 1")
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_exit_descriptor_belongs_to_the_child() {
    let containment = Containment::strongest();
    let mut spawned = containment.spawn(&shell("exit 5")).unwrap();
    wait_for(&spawned.child.exit_fd().as_fd(), PollFlags::IN);
    assert_eq!(spawned.child.exit().unwrap(), Some(Exit::Code(5)));
    assert_eq!(spawned.child.exit().unwrap(), Some(Exit::Code(5)), "not reaped by asking");
}
