//! A host that may not raise its own limits, whoever its user is. The one test of this binary, because
//! limits are those of a process.
#![cfg(not(execution_engine_portable))]

mod support;

use execution_engine_process::{Containment, Exit, Level, Limits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::*;

/// As root of a container has none.
fn give_up_capabilities() {
    // Version 3, this thread; effective, permitted and inheritable of two times 32 capabilities.
    let (header, none) = ([0x2008_0522_u32, 0], [0_u32; 6]);
    // SAFETY: the kernel reads structures of these sizes.
    let given_up = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(given_up, 0);
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[test]
fn a_limit_that_this_host_may_not_set_is_refused_whoever_its_user_is() {
    let hour = 3600;
    let bound = Rlimit { current: Some(hour), maximum: Some(hour) };
    setrlimit(Resource::Cpu, bound).unwrap();
    let most_files = getrlimit(Resource::Nofile).maximum.expect("it has a bound on each system");
    let containment = Containment::at(Level::ProcessGroup).unwrap();
    let refused = |change: &dyn Fn(&mut Limits)| {
        containment.check(&limits(change)).err().map(|refused| (refused.field, refused.reason))
    };
    // No host may: the system as a whole has a bound.
    let (field, reason) = refused(&|limits| limits.open_files = Some(u64::MAX)).unwrap();
    assert_eq!(field, "open_files");
    assert!(reason.contains(&most_files.to_string()), "{reason}");

    give_up_capabilities();
    for (expected, change) in [
        ("open_files", &|limits: &mut Limits| limits.open_files = Some(most_files + 1)),
        ("nice", &|limits: &mut Limits| limits.nice = Some(-5)),
        // Whoever does not obey is killed a second later.
        ("cpu_seconds", &|limits: &mut Limits| limits.cpu_seconds = Some(hour)),
    ] as [(&str, &dyn Fn(&mut Limits)); 3]
    {
        assert_eq!(refused(change).map(|(field, _)| field), Some(expected));
    }

    let most = limits(|limits| {
        limits.open_files = Some(most_files);
        limits.cpu_seconds = Some(hour - 1);
    });
    containment.check(&most).unwrap();
    let mut launch = shell("exit 3");
    launch.limits = most;
    let mut child = containment.spawn(&launch).unwrap().child;
    assert_eq!(wait_for_exit(&mut child), Exit::Code(3));
}
