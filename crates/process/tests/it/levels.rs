//! Children at each level that this host offers.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use execution_engine_process::{
    Child, Containment, Exit, Launch, Leftovers, Level, Limits, Links, PassedDescriptors, Signal,
    SpawnStage, Stdin, Tree, UserIds,
};

use crate::support::*;

/// Looks at the tree until it is as it should be.
pub(crate) fn tree_when(child: &mut Child, what: &str, is_so: impl Fn(&Tree) -> bool) -> Tree {
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

/// Kills the tree.
fn kill_all(child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    while !child.tree().unwrap().is_empty() {
        child.signal(Signal::Kill).unwrap();
        assert!(Instant::now() < deadline, "a process survives");
        std::thread::yield_now();
    }
}

/// Returns the session of this process as the kernel lists it: 0 in a container that does not see
/// the leader of that session.
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
fn child_is_isolated_and_has_nothing_but_its_streams() {
    // The memory of a child is known only if it is more than that of its host.
    let host = std::hint::black_box(vec![1_u8; 32 << 20]);
    for containment in levels() {
        let line = "ls /proc/self/fd | tr '\\n' ' '; cut -d' ' -f1,5,6 /proc/$$/stat; \
                    grep -E 'Sig(Blk|Ign)' /proc/self/status";
        let mut spawned = containment.spawn(&shell(line)).unwrap();
        let output = output(spawned.stdout.as_ref().unwrap());
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
fn processes_outside_the_group_are_found_and_killed_where_the_level_can() {
    for containment in levels() {
        let mut spawned = containment.spawn(&shell("setsid sleep 60 & echo $!; sleep 60")).unwrap();
        first_line(spawned.stdout.as_ref().unwrap());
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
fn paused_tree_is_suspended_until_it_is_resumed() {
    for containment in levels() {
        let mut launch = shell("while read line; do echo $line; done");
        launch.stdin = Stdin::Piped;
        let mut spawned = containment.spawn(&launch).unwrap();
        let input = spawned.stdin.take().unwrap();
        let pid = spawned.child.id();
        spawned.child.pause().unwrap();
        until("it is suspended", || is_suspended(pid));
        rustix::io::write(&input, b"went on\n").unwrap();
        spawned.child.resume().unwrap();
        assert_eq!(first_line(spawned.stdout.as_ref().unwrap()), "went on");
        drop(input);
        assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0), "{containment:?}");
    }
}

/// Returns `true` if a process is stopped by a signal or in a frozen group.
fn is_suspended(pid: u32) -> bool {
    let read = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let group = read("cgroup");
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let events = std::fs::read_to_string(below_mount(group).join("cgroup.events"));
    let is_frozen = events.unwrap_or_default().contains("frozen 1");
    is_frozen || read("stat").rsplit_once(") ").unwrap().1.starts_with('T')
}

#[test]
fn left_processes_outlive_their_child_and_containment() {
    for containment in levels() {
        let level = containment.level();
        let mut launch = shell("sleep 60 >/dev/null 2>&1 & echo $!");
        launch.leftovers = Leftovers::Leave;
        let mut spawned = containment.spawn(&launch).unwrap();
        let pid: u32 = first_line(spawned.stdout.as_ref().unwrap()).parse().unwrap();
        wait_for_exit(&mut spawned.child);
        spawned.child.leave().unwrap();
        drop(spawned);
        drop(containment);
        assert!(is_alive(pid), "{level}");
        kill(pid);
    }
}

/// A process with much memory takes a while to end, in which it is neither alive nor gone.
#[test]
#[cfg_attr(execution_engine_portable, ignore = "members are not listed there; see portable.rs")]
fn exiting_member_does_not_prevent_leaving_the_others() {
    for containment in levels() {
        let level = containment.level();
        let line = "sleep 60 >/dev/null 2>&1 & echo $!; \
                    dd if=/dev/zero bs=300M 2>/dev/null & read -r _; exit 0";
        let mut launch = shell(line);
        launch.leftovers = Leftovers::Leave;
        launch.stdin = Stdin::Piped;
        let mut spawned = containment.spawn(&launch).unwrap();
        let pid: u32 = first_line(spawned.stdout.as_ref().unwrap()).parse().unwrap();
        let mut large = 0;
        until("one has much memory", || {
            let members = spawned.child.tree().unwrap().members;
            large = members.iter().map(|it| it.pid).find(has_much).unwrap_or(0);
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
        let pid: u32 = first_line(spawned.stdout.as_ref().unwrap()).parse().unwrap();
        let main = spawned.child.id();
        drop(spawned);
        until("both are gone", || !is_alive(pid) && !exists(main));
    }
}

#[test]
fn children_after_a_killed_one_live() {
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

#[test]
#[cfg_attr(execution_engine_portable, ignore = "there are none there; see portable.rs")]
fn limits_are_enforced_or_refused() {
    for containment in levels() {
        let limits = Limits::default().open_files(20).core_bytes(0).nice(7).umask(0o027);
        containment.check(&limits).unwrap();
        let mut launch = shell("ulimit -n; ulimit -c; umask; cut -d' ' -f19 /proc/self/stat");
        launch.limits = limits;
        let spawned = containment.spawn(&launch).unwrap();
        assert_eq!(output(spawned.stdout.as_ref().unwrap()), "20\n0\n0027\n7\n");

        let refused = |limits: Limits| containment.check(&limits).unwrap_err().field;
        let none = Limits::default();
        assert_eq!(refused(none.nice(20)), "nice");
        assert_eq!(refused(none.umask(0o1000)), "umask");
        assert_eq!(refused(none.open_files(2)), "open_files");
        if containment.level() != Level::Cgroup {
            assert_eq!(refused(none.tree_processes(9)), "tree_processes");
            assert_eq!(refused(none.tree_memory_bytes(9)), "tree_memory_bytes");
        }
    }
}

#[test]
fn failed_start_names_its_stage() {
    for containment in levels() {
        let missing = containment.spawn(&Launch::new("/no/such/program")).unwrap_err();
        assert_eq!(missing.stage, SpawnStage::Exec, "{missing}");
        let mut launch = shell("true");
        launch.working_dir = Some("/no/such/directory".into());
        let nowhere = containment.spawn(&launch).unwrap_err();
        assert_eq!(nowhere.stage, SpawnStage::WorkingDirectory, "{nowhere}");
    }
}

/// Returns the directory of a control group.
pub(crate) fn below_mount(path: &str) -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
    Path::new(mount.split(' ').nth(4).unwrap()).join(path.trim_start_matches('/'))
}

#[test]
fn exit_is_observed_without_reaping() {
    let containment = Containment::strongest();
    let mut spawned = containment.spawn(&shell("exit 5")).unwrap();
    assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(5));
    assert_eq!(spawned.child.exit().unwrap(), Some(Exit::Code(5)), "not reaped by asking");
}

#[test]
fn passed_descriptors_have_their_numbers_and_no_others_are_open() {
    for containment in levels() {
        let mut launch = shell("cat <&7; exec ls /proc/self/fd");
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"passed\n").unwrap();
        drop(write);
        let other = std::fs::File::open("/dev/null").unwrap();
        launch.passed = PassedDescriptors::new().pass(7, read).unwrap().pass(4, other).unwrap();
        let mut spawned = containment.spawn(&launch).unwrap();
        // ls reads the directory by number 3.
        assert_eq!(output(spawned.stdout.as_ref().unwrap()), "passed\n0\n1\n2\n3\n4\n7\n");
        assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0));
    }
}

#[test]
fn working_directory_without_links_is_entered_by_its_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (inside, link) = (root.join("inside/deep"), root.join("link"));
    std::fs::create_dir_all(&inside).unwrap();
    std::os::unix::fs::symlink(root.join("inside"), &link).unwrap();
    for containment in levels() {
        // Its own descriptor is not left in the child.
        let mut launch = shell("pwd; ls /proc/self/fd | tr '\\n' ' '");
        launch.working_dir = Some(inside.clone());
        launch.links = Links::Refuse;
        let mut spawned = containment.spawn(&launch).unwrap();
        let output = output(spawned.stdout.as_ref().unwrap());
        assert_eq!(output, format!("{}\n0 1 2 3 ", inside.display()));
        assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0));
        for linked in [link.clone(), link.join("deep")] {
            launch.working_dir = Some(linked.clone());
            let error = containment.spawn(&launch).unwrap_err();
            assert_eq!(error.stage, SpawnStage::WorkingDirectory);
            assert_eq!(error.source.raw_os_error(), Some(libc::ELOOP), "{error}");
            let named = format!("{link:?} is a symbolic link, and none is followed here");
            assert!(error.to_string().contains(&named), "{error}");
        }
    }
}

#[test]
#[cfg_attr(execution_engine_portable, ignore = "only Linux can run a program as another user")]
fn user_of_a_child_needs_the_right_to_enter_a_directory_that_is_held() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can run a program as another user");
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for containment in levels() {
        for (mode, is_allowed) in [(0o700, false), (0o711, true)] {
            std::fs::set_permissions(&root, PermissionsExt::from_mode(mode)).unwrap();
            let mut launch = shell("exit 0");
            launch.working_dir = Some(root.clone());
            launch.links = Links::Refuse;
            launch.user = Some(UserIds::new(65534, 65534));
            match containment.spawn(&launch) {
                Ok(mut spawned) => {
                    assert!(is_allowed, "{mode:o}");
                    assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0));
                }
                Err(error) => {
                    assert!(!is_allowed && error.stage == SpawnStage::WorkingDirectory, "{error}");
                }
            }
        }
    }
}
