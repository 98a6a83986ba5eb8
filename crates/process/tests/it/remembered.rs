//! Hosts that are no longer what this crate remembers of them. Each is a process of its own.

use std::fs::File;

use execution_engine_process::{Child, Containment, Exit, Level, Limits, Signal, SpawnStage};

use crate::hosts::becomes_user_without_processes;
use crate::support::*;

/// Only a control group has limits of a tree, and this host loses those that it could make.
#[test]
fn limits_of_a_tree_are_not_passed_over_when_the_level_falls() {
    in_own_process(|| {
        let containment = Containment::strongest();
        if containment.level() < Level::Cgroup || !rustix::process::geteuid().is_root() {
            return eprintln!("SKIPPED: this host has no level to lose");
        }
        let mut launch = shell("exit 3");
        let mut child = containment.spawn(&launch).unwrap().child;
        assert_eq!((wait_for_exit(&mut child), child.level()), (Exit::Code(3), Level::Cgroup));
        becomes_user_without_processes(60_127);
        for limits in
            [Limits::default().tree_processes(5), Limits::default().tree_memory_bytes(1 << 30)]
        {
            launch.limits = limits;
            let refused = containment.spawn(&launch).expect_err("it would have no limit");
            assert_eq!(refused.stage, SpawnStage::Limits, "{refused}");
            assert!(refused.to_string().contains("it needs a cgroup"), "{refused}");
        }
        launch.limits = Limits::default();
        let mut child = containment.spawn(&launch).unwrap().child;
        assert_eq!((wait_for_exit(&mut child), child.level()), (Exit::Code(3), Level::ProcessTree));
    });
}

/// Runs a part in a fork of this process, as a server does that becomes a daemon.
fn in_a_fork(part: impl FnOnce()) {
    // SAFETY: the other threads of this process hold no lock that the part needs: the harness
    // waits for this one.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part));
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    let mut status = 0;
    // SAFETY: waits for that process and stores its status.
    assert_eq!(unsafe { libc::waitpid(forked, &raw mut status, 0) }, forked);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
}

#[test]
fn fork_of_a_host_reaps_its_own_children() {
    in_own_process(|| {
        let before = Containment::strongest();
        // Watches its guard on a thread, which the fork does not have.
        let _child = before.spawn(&shell("exec sleep 60")).unwrap().child;
        in_a_fork(|| {
            let containment = Containment::strongest();
            // One that is dead at once is reaped without a thread, so several are dropped.
            let start = || containment.spawn(&shell("exec sleep 60")).unwrap().child;
            let dropped: Vec<_> = (0..20).map(|_| start()).collect();
            let pids: Vec<_> = dropped.iter().map(Child::id).collect();
            drop(dropped);
            until("all are reaped", || !pids.iter().any(|pid| exists(*pid)));
        });
    });
}

#[test]
fn children_read_nothing_of_a_host_that_has_closed_the_null_device() {
    in_own_process(|| {
        let cat = || shell("cat");
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let alone = threads();
        let mut first = Containment::strongest().spawn(&cat()).unwrap().child;
        until("it has ended", || first.reap().unwrap().is_some());
        drop(first);
        until("nothing of it runs here", || threads() == alone);
        // SAFETY: the engine that had descriptors is gone, and the harness has none but three.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_int::MAX, 0) };
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        let opened: Vec<_> = (0..9).map(|_| File::open(&secret).unwrap()).collect();
        let spawned = Containment::strongest().spawn(&cat()).unwrap();
        assert_eq!(output(&spawned.stdout.unwrap()), "", "{opened:?}");
    });
}

#[test]
fn fork_that_drops_what_its_host_has_made_ends_nothing() {
    in_own_process(|| {
        for containment in levels() {
            let level = containment.level();
            let mut before = containment.spawn(&shell("exec sleep 300")).unwrap().child;
            let mut ended = containment.spawn(&shell("exit 3")).unwrap().child;
            assert_eq!(wait_for_exit(&mut ended), Exit::Code(3));
            drop(ended);
            in_a_fork(|| {
                let refused = containment.spawn(&shell("true")).unwrap_err();
                assert_eq!(refused.stage, SpawnStage::Containment, "{refused}");
                assert!(refused.to_string().contains("after the fork"), "{refused}");
                // SAFETY: the copies of this process are dropped once, since it ends here.
                unsafe {
                    drop(std::ptr::read(&raw const before));
                    drop(std::ptr::read(&raw const containment));
                }
            });
            assert!(is_alive(before.id()), "{level}");
            let mut after = containment.spawn(&shell("exit 4")).unwrap().child;
            assert_eq!(wait_for_exit(&mut after), Exit::Code(4), "{level}");
            let killed = before.signal(Signal::Kill).unwrap();
            assert_eq!(killed, 1, "{level}");
            let exit = wait_for_exit(&mut before);
            assert!(matches!(exit, Exit::Signaled { .. }), "{level}: {exit:?}");
        }
    });
}

/// Calls a function with each log line of a thread, as a host may.
struct OnLog<F>(F);

impl<F: Fn() + Send + Sync + 'static> tracing::Subscriber for OnLog<F> {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        (self.0)();
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Does `work` with a subscriber that asks, in each call, something of another thread, and returns
/// the answers. A lock that is held for the call would keep that thread waiting.
fn asked_by_a_subscriber<T: Send + 'static>(
    ask: impl Fn() -> T + Clone + Send + Sync + 'static,
    work: impl FnOnce(),
) -> Vec<T> {
    let (sender, answers) = std::sync::mpsc::channel();
    let on_log = OnLog(move || {
        let (sender, answer) = (sender.clone(), std::sync::mpsc::channel());
        let ask = ask.clone();
        std::thread::spawn(move || answer.0.send(ask()));
        sender.send(answer.1.recv_timeout(PATIENCE).expect("a lock is held")).unwrap();
    });
    tracing::subscriber::with_default(on_log, work);
    answers.into_iter().collect()
}

#[test]
fn weaker_level_is_logged_without_its_lock() {
    in_own_process(|| {
        let containment = Containment::strongest();
        if containment.level() < Level::Cgroup || !becomes_user_without_processes(60_128) {
            return eprintln!("SKIPPED: this host has no level to lose");
        }
        let (asked, launch) = (containment.clone(), shell("exit 3"));
        let levels = asked_by_a_subscriber(
            move || asked.level(),
            || {
                let mut child = containment.spawn(&launch).unwrap().child;
                assert_eq!(wait_for_exit(&mut child), Exit::Code(3));
            },
        );
        assert_eq!(levels.first(), Some(&Level::ProcessTree));
    });
}

/// A host guard needs a shell, which is not below this root directory.
#[test]
fn lack_of_a_host_guard_is_logged_without_a_lock() {
    in_own_process(|| {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("SKIPPED: only root can change its root directory");
        }
        // It has opened what is out of reach below.
        let before = Containment::strongest();
        let _child = before.spawn(&shell("exec sleep 60")).unwrap().child;
        let jail = tempfile::tempdir().unwrap();
        let containment = Containment::at(Level::ProcessGroup).unwrap();
        rustix::process::chroot(jail.path()).unwrap();
        let (asked, launch) = (containment.clone(), shell("true"));
        let again = launch.clone();
        let answers = asked_by_a_subscriber(
            move || asked.spawn(&again).unwrap_err().stage,
            || assert_eq!(containment.spawn(&launch).unwrap_err().stage, SpawnStage::Exec),
        );
        assert_eq!(answers, [SpawnStage::Exec]);
    });
}
