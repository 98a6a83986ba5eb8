//! Hosts that lack something: descriptors, memory, rights, streams of their own. Each is a process
//! of its own, because what it lacks is a property of a process.

use std::os::fd::{FromRawFd as _, OwnedFd};

use execution_engine_process::{
    Containment, Exit, Launch, Level, OutputMode, PassedDescriptors, SpawnStage, Spawned, Stdin,
};
use rustix::process::{Resource, Uid, getrlimit};

use crate::support::*;

#[test]
fn host_without_standard_streams_gives_its_children_theirs() {
    in_own_process(|| {
        // The test harness writes its result to its standard output in the end.
        let stdout = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3).unwrap();
        for fd in 0..3 {
            // SAFETY: nothing in this process uses its standard streams by an owner; what is
            // written to them meanwhile fails, which is ignored.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let result = std::panic::catch_unwind(without_streams);
        rustix::stdio::dup2_stdout(&stdout).unwrap();
        let message = result.map_err(|panic| panic.downcast::<String>());
        assert!(message.is_ok(), "{message:?}");
    });
}

#[test]
fn number_beyond_the_limit_of_open_files_is_named() {
    in_own_process(|| {
        let before = getrlimit(Resource::Nofile).current;
        limit(Resource::Nofile, Some(128));
        let containment = Containment::strongest();
        let file = || std::fs::File::open("/dev/null").unwrap();
        let mut launch = shell("exec ls /proc/self/fd");
        launch.passed = PassedDescriptors::new().pass(127, file()).unwrap();
        let refused = containment.spawn(&launch).unwrap_err();
        assert_eq!(refused.stage, SpawnStage::Stdio, "{refused}");
        assert!(refused.to_string().contains("the limit of open files"), "{refused}");
        assert!(!refused.is_transient(), "{refused}");
        launch.passed = PassedDescriptors::new().pass(126, file()).unwrap();
        let spawned = containment.spawn(&launch).unwrap();
        assert_eq!(output(spawned.stdout.as_ref().unwrap()), "0\n1\n126\n2\n3\n");
        limit(Resource::Nofile, before);
    });
}

fn without_streams() {
    #[cfg(not(execution_engine_portable))]
    {
        let listed = Containment::at(Level::ProcessGroup).unwrap();
        let _child = listed.spawn(&shell("exec sleep 60")).unwrap().child;
        let list = std::fs::read_link(format!("/proc/{}/fd/4", host_guard())).unwrap();
        assert!(list.to_string_lossy().contains("execution-pid-list"), "{list:?}");
    }
    let containment = Containment::strongest();
    let line = "read line; echo out $line; echo err >&2; ls /proc/self/fd | tr '\\n' ' '";
    for (mode, expected) in [
        // The directory that ls reads is its fourth descriptor.
        (OutputMode::Separate, ("out given\n0 1 2 3 ", Some("err\n"))),
        (OutputMode::Merged, ("out given\nerr\n0 1 2 3 ", None)),
    ] {
        let mut launch = shell(line);
        (launch.stdin, launch.output) = (Stdin::Piped, mode);
        let Spawned { mut child, stdin, stdout, stderr } = containment.spawn(&launch).unwrap();
        rustix::io::write(stdin.unwrap(), b"given\n").unwrap();
        let seen = (output(stdout.as_ref().unwrap()), stderr.as_ref().map(output));
        assert_eq!((seen.0.as_str(), seen.1.as_deref()), expected);
        assert_eq!(wait_for_exit(&mut child), Exit::Code(0));
    }
    for (stdin, output) in
        [(Stdin::Inherit, OutputMode::Separate), (Stdin::Null, OutputMode::InheritStderr)]
    {
        let mut launch = shell("true");
        (launch.stdin, launch.output) = (stdin, output);
        let refused = containment.spawn(&launch).unwrap_err();
        assert_eq!(refused.stage, SpawnStage::Stdio, "{refused}");
        assert!(refused.to_string().contains("has closed a standard stream"), "{refused}");
    }
}

/// Returns the host guard of the last containment of this process, by the pipe that both have.
#[cfg(not(execution_engine_portable))]
fn host_guard() -> u32 {
    let links = |pid: &str| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect::<Vec<_>>()
    };
    let mine = links("self");
    let is_it = |pid: &String| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let lifeline = std::fs::read_link(format!("/proc/{pid}/fd/3"));
        line.contains("execution-host-guard") && lifeline.is_ok_and(|pipe| mine.contains(&pipe))
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let guards = pids.filter(is_it).filter_map(|pid| pid.parse().ok());
    guards.max().expect("it has one")
}

/// Makes this thread the only process of a user. Returns false if this host may not.
pub(crate) fn becomes_user_without_processes(user: u32) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        rustix::thread::set_thread_uid(Uid::from_raw(user)).unwrap();
    } else {
        eprintln!("SKIPPED: only root can become a user of its own");
    }
    is_root
}

/// The host guard is started with the first child, and goes to the background by a fork of its own.
#[test]
fn start_fails_as_transient_where_the_host_guard_cannot_fork() {
    in_own_process(|| {
        let before = getrlimit(Resource::Nproc).current;
        if !becomes_user_without_processes(60_123) {
            return;
        }
        let containment = Containment::at(Level::ProcessGroup).unwrap();
        let launch = Launch::new("/bin/true");
        limit(Resource::Nproc, Some(2));
        let refused = containment.spawn(&launch);
        limit(Resource::Nproc, before);
        let error = refused.expect_err("there is no host guard");
        assert!(error.is_transient(), "{error}");
        containment.spawn(&launch).unwrap();
    });
}

/// A thread reaps a child that was dropped alive.
#[test]
#[cfg_attr(execution_engine_portable, ignore = "the thread is there before the child")]
fn dropped_child_is_reaped_once_there_is_room_for_a_thread() {
    in_own_process(|| {
        let before = getrlimit(Resource::Nproc).current;
        if !becomes_user_without_processes(60_124) {
            return;
        }
        let containment = Containment::at(Level::ProcessGroup).unwrap();
        // One that is dead at once is reaped without a thread, so several are tried.
        let waits_for_a_thread = || {
            let dropped = containment.spawn(&shell("exec sleep 60")).unwrap().child;
            let pid = dropped.id();
            limit(Resource::Nproc, Some(1));
            drop(dropped);
            until("it is killed", || !is_alive(pid));
            limit(Resource::Nproc, before);
            exists(pid).then_some(pid)
        };
        let pid = (0..1000).find_map(|_| waits_for_a_thread()).expect("one is left for a thread");
        let _next = containment.spawn(&shell("exec sleep 60")).unwrap();
        until("it is reaped", || !exists(pid));
    });
}

// musl's allocator asks the system for every larger piece, so that the host itself ends there.
#[cfg(not(target_env = "musl"))]
#[test]
fn start_fails_as_transient_without_memory_for_a_child() {
    in_own_process(|| {
        // The first child of a process: none has left a stack for the next.
        let containment = Containment::at(Level::ProcessGroup).unwrap();
        let launch = Launch::new("/bin/true");
        // Room for what the standard library may want, and none for the stack of a child.
        limit(Resource::As, Some(address_space_in_use() + 16 * 1024));
        let refused = containment.spawn(&launch);
        limit(Resource::As, None);
        let error = refused.unwrap_err();
        assert_eq!(error.source.raw_os_error(), Some(libc::ENOMEM), "{error}");
        assert!(error.is_transient());
        let mut child = containment.spawn(&launch).expect("there is memory again").child;
        until("it is reaped", || child.reap().unwrap().is_some());
    });
}

#[cfg(not(execution_engine_portable))]
mod linux {
    use std::fs::File;

    use execution_engine_process::{Child, Limits, Signal, Tree};
    use rustix::process::{Rlimit, setrlimit};

    use super::*;

    /// Takes all descriptors but so many, until what this returns is dropped.
    fn leave_descriptors(free: usize) -> Vec<File> {
        let mut taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - free);
        taken
    }

    #[test]
    fn cgroup_level_is_tried_again_after_a_lack_of_descriptors() {
        in_own_process(|| {
            limit(Resource::Nofile, Some(64));
            for free in 0..2 {
                let taken = leave_descriptors(free);
                let refused = Containment::at(Level::Cgroup);
                drop(taken);
                assert!(refused.is_err(), "{free} free: {refused:?}");
            }
            if let Err(unavailable) = Containment::at(Level::Cgroup) {
                assert!(!unavailable.reason.contains("open files"), "{unavailable}");
                eprintln!("SKIPPED: {unavailable}");
            }
        });
    }

    /// Starts a program that ends at once and leaves a process where the level can still find it.
    fn left_behind(containment: &Containment) -> Child {
        let leaves = if containment.level() == Level::ProcessGroup { "" } else { "setsid" };
        let launch = shell(&format!("{leaves} sleep 60 & exit 0"));
        let mut child = containment.spawn(&launch).unwrap().child;
        wait_for_exit(&mut child);
        child
    }

    #[test]
    fn tree_is_examined_and_ended_without_descriptors() {
        in_own_process(|| {
            limit(Resource::Nofile, Some(64));
            for containment in levels() {
                let level = containment.level();
                for free in 0..8 {
                    let mut child = left_behind(&containment);
                    let taken = leave_descriptors(free);
                    let tree = child.tree();
                    let signalled = child.signal(Signal::Kill);
                    let is_ended = || child.tree().unwrap().is_empty();
                    until("it is ended", is_ended);
                    drop(taken);
                    assert_eq!(tree.unwrap().members.len(), 1, "{level:?}, {free} free");
                    assert_eq!(signalled.unwrap(), 1, "{level:?}, {free} free");
                }
            }
        });
    }

    #[test]
    fn process_that_cannot_be_examined_counts_as_alive() {
        in_own_process(|| {
            let before = getrlimit(Resource::Nofile).current;
            for containment in levels() {
                let level = containment.level();
                let mut child = left_behind(&containment);
                // No table of descriptors has more numbers.
                for numbers in 0..4 {
                    limit(Resource::Nofile, Some(numbers));
                    let tree = child.tree();
                    limit(Resource::Nofile, before);
                    let is_empty = tree.as_ref().is_ok_and(|tree| tree.is_empty());
                    assert!(!is_empty, "{level:?}, {numbers} numbers: {tree:?}");
                    let names_all = |tree: &Tree| tree.members.len() == 1;
                    let claims = tree.as_ref().is_ok_and(|tree| tree.proven && !names_all(tree));
                    assert!(!claims, "{level:?}, {numbers} numbers: {tree:?}");
                }
                until("it is ended", || {
                    child.signal(Signal::Kill).unwrap();
                    child.tree().unwrap().is_empty()
                });
            }
        });
    }

    /// Root of a container has no capabilities either.
    fn give_up_capabilities() {
        // Version 3, this thread; effective, permitted and inheritable of two times 32
        // capabilities.
        let (header, none) = ([0x2008_0522_u32, 0], [0_u32; 6]);
        // SAFETY: the kernel reads structures of these sizes.
        let given_up = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
        assert_eq!(given_up, 0);
    }

    #[test]
    fn limit_that_the_host_may_not_set_is_refused_for_every_user() {
        in_own_process(|| {
            let hour = 3600;
            let bound = Rlimit { current: Some(hour), maximum: Some(hour) };
            setrlimit(Resource::Cpu, bound).unwrap();
            let most_files = getrlimit(Resource::Nofile).maximum.expect("each system has a bound");
            let containment = Containment::at(Level::ProcessGroup).unwrap();
            let refused = |limits: Limits| {
                containment.check(&limits).err().map(|refused| (refused.field, refused.reason))
            };
            // No host may: the system as a whole has a bound.
            let (field, reason) = refused(Limits::default().open_files(u64::MAX)).unwrap();
            assert_eq!(field, "open_files");
            assert!(reason.contains(&most_files.to_string()), "{reason}");

            give_up_capabilities();
            for (expected, limits) in [
                ("open_files", Limits::default().open_files(most_files + 1)),
                ("nice", Limits::default().nice(-5)),
                // A process that does not obey is killed a second later.
                ("cpu_seconds", Limits::default().cpu_seconds(hour)),
            ] {
                assert_eq!(refused(limits).map(|(field, _)| field), Some(expected));
            }

            let most = Limits::default().open_files(most_files).cpu_seconds(hour - 1);
            containment.check(&most).unwrap();
            let mut launch = shell("exit 3");
            launch.limits = most;
            let mut child = containment.spawn(&launch).unwrap().child;
            assert_eq!(wait_for_exit(&mut child), Exit::Code(3));
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
    fn processes_are_not_looked_for_in_the_proc_of_another_namespace() {
        let Some(host) = host_of(|| {
            with_a_foreign_proc();
        }) else {
            return;
        };
        let unshare = |program: &std::ffi::OsStr| {
            let mut command = std::process::Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child"]).arg(program);
            command
        };
        if !unshare("true".as_ref()).status().is_ok_and(|status| status.success()) {
            return eprintln!("SKIPPED: there can be no namespaces here");
        }
        let variables = host.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let ended =
            unshare(host.get_program()).args(host.get_args()).envs(variables).output().unwrap();
        let output = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && output.contains("1 passed"), "{ended:?}");
    }

    /// The numbers in the /proc of another namespace mean other processes.
    fn with_a_foreign_proc() {
        for level in [Level::ProcessTree, Level::Cgroup] {
            let refused = Containment::at(level).expect_err("it would find strangers");
            assert!(refused.reason.contains("/proc"), "{refused}");
        }
        // The weakest level needs no look.
        let mut child = Containment::strongest().spawn(&shell("exec sleep 60")).unwrap().child;
        until("it is ended", || {
            child.signal(Signal::Kill).unwrap();
            child.tree().is_ok_and(|tree| tree.is_empty())
        });
    }

    #[test]
    fn host_that_may_write_no_files_starts_programs() {
        in_own_process(|| {
            let launch = shell("exit 3");
            // Its list of children is made where it may raise the limit again, at first.
            for (bytes, maximum) in [(0, None), (30, None), (30, Some(30)), (0, Some(0))] {
                let maximum = maximum.or(getrlimit(Resource::Fsize).maximum);
                setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum }).unwrap();
                for level in [Level::ProcessGroup, Level::ProcessTree] {
                    let containment = Containment::at(level).unwrap();
                    let spawned: Vec<_> = (0..3).map(|_| containment.spawn(&launch)).collect();
                    for child in spawned {
                        let exit = wait_for_exit(&mut child.unwrap().child);
                        assert_eq!(exit, Exit::Code(3), "{level}");
                    }
                    let mut again = containment.spawn(&launch).unwrap().child;
                    assert_eq!(wait_for_exit(&mut again), Exit::Code(3), "{level}");
                }
            }
        });
    }
}
