//! What is special about control groups.

use std::path::Path;
use std::time::Duration;

use execution_engine_process::{Containment, Exit, Level, Tree};

use crate::levels::{below_mount, tree_when};
use crate::support::*;

/// Checks that children start, live and are killed where the host is in a control group of its own
/// with this file written. The host is this binary.
fn check_host_in_cgroup_with(file: &str, value: &str) {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let dir = below_mount(own).join(format!("test-of-a-host.{file}.{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join(file), value).unwrap();

    let itself = std::env::current_exe().unwrap();
    let test = "levels::children_after_a_killed_one_live";
    let line = format!(
        "echo 0 >'{}/cgroup.procs' && exec '{}' --exact {test} 2>&1",
        dir.display(),
        itself.display()
    );
    let mut spawned = Containment::at(Level::ProcessGroup).unwrap().spawn(&shell(&line)).unwrap();
    let output = output(spawned.stdout.as_ref().unwrap());
    assert_eq!(wait_for_exit(&mut spawned.child), Exit::Code(0), "{output}");
    assert!(output.contains("1 passed"), "{output}");
    until("the group can be removed", || std::fs::remove_dir(&dir).is_ok());
}

#[test]
fn host_in_a_cgroup_that_was_killed_once_starts_children_that_live() {
    match Containment::at(Level::Cgroup) {
        Ok(_) => check_host_in_cgroup_with("cgroup.kill", "1"),
        Err(unavailable) => eprintln!("SKIPPED: {unavailable}"),
    }
}

#[test]
fn host_in_a_cgroup_that_may_hold_too_few_others_gets_another_level() {
    if let Err(unavailable) = Containment::at(Level::Cgroup) {
        return eprintln!("SKIPPED: {unavailable}");
    }
    for depth in ["0", "1", "2", "3"] {
        check_host_in_cgroup_with("cgroup.max.depth", depth);
    }
    check_host_in_cgroup_with("cgroup.max.descendants", "2");
}

#[test]
fn tree_cpu_time_starts_at_zero_for_each_child() {
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
fn cgroups_are_removed_in_the_end_and_recreated_if_removed_before() {
    let Ok(containment) = Containment::at(Level::Cgroup) else {
        return eprintln!("SKIPPED: no cgroup");
    };
    let mut spawned = containment.spawn(&shell("cat /proc/self/cgroup")).unwrap();
    let path = output(spawned.stdout.as_ref().unwrap());
    let path = path.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_string();
    assert!(path.contains(&format!("execution-engine.{}.", std::process::id())), "{path}");
    wait_for_exit(&mut spawned.child);
    tree_when(&mut spawned.child, "gone", Tree::is_empty);
    drop(spawned);
    let leaf = below_mount(&path);
    // A process 1 inherits zombies, which are recognised by the group they died in.
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

fn is_populated(dir: &Path) -> bool {
    let events = std::fs::read_to_string(dir.join("cgroup.events")).unwrap_or_default();
    events.contains("populated 1")
}
