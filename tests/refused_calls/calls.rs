//! Calls that the engine makes from a program's start to its end, and those that its libraries make for
//! it. Left out are those without which no program runs: read, write, openat, mmap, futex and the like.

use test_support::seccomp::RefusedCall;

/// Calls that are refused together.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    pub(crate) calls: Vec<RefusedCall>,
}

/// Answers that are given to the calls, with the name of each.
pub(crate) const ERRORS: [(&str, i32); 2] = [("ENOSYS", libc::ENOSYS), ("EPERM", libc::EPERM)];

/// A pair that is not tested: the standard library asks once whether there is `statx`, and has done so
/// before the filter is there.
const LEFT_OUT: (&str, &str) = ("SYS_statx", "EPERM");

/// Calls that are also refused to a host that runs programs already, as one does that enters a sandbox.
const LATE: [&str; 9] = [
    "SYS_clone3",
    "SYS_epoll_ctl",
    "SYS_getdents64",
    "SYS_kill",
    "SYS_memfd_create",
    "SYS_pread64",
    "SYS_prlimit64",
    "SYS_readlink",
    "pidfds",
];

/// Returns all that is tested: the name of a refusal, that of the answer, and when the filter comes.
pub(crate) fn scenarios() -> Vec<(&'static str, &'static str, &'static str)> {
    let of = |refusal: Refusal| ERRORS.map(|(error, _)| (refusal.name, error));
    let pairs = all().into_iter().flat_map(of).filter(|pair| *pair != LEFT_OUT);
    let when = |(name, error)| {
        let late = LATE.contains(&name).then_some((name, error, "late"));
        std::iter::once((name, error, "early")).chain(late)
    };
    pairs.flat_map(when).collect()
}

macro_rules! each {
    ($($name:ident)*) => { vec![$((stringify!($name), call(libc::$name))),*] };
}

macro_rules! with_argument {
    ($($name:ident: $call:ident $position:literal,)*) => { vec![$((
        stringify!($name),
        RefusedCall { number: libc::$call, argument: Some(($position, libc::$name as u32)) },
    )),*] };
}

pub(crate) fn call(number: libc::c_long) -> RefusedCall {
    RefusedCall { number, argument: None }
}

/// Returns all refusals that are tested.
pub(crate) fn all() -> Vec<Refusal> {
    let mut calls = each! {
        SYS_chdir SYS_clone SYS_clone3 SYS_close_range SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl
        SYS_epoll_pwait SYS_eventfd2 SYS_execve SYS_faccessat SYS_faccessat2 SYS_fcntl SYS_fstat
        SYS_getcwd SYS_getdents64 SYS_geteuid SYS_getpriority SYS_getrandom SYS_getrusage SYS_gettid
        SYS_getuid SYS_ioctl SYS_kill SYS_lseek SYS_madvise SYS_memfd_create SYS_mkdirat SYS_mprotect
        SYS_munmap SYS_newfstatat SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_ppoll
        SYS_prctl SYS_pread64 SYS_prlimit64 SYS_pwrite64 SYS_readlinkat SYS_rt_sigaction
        SYS_rt_sigprocmask SYS_sched_getaffinity SYS_sched_yield SYS_setpgid SYS_setpriority SYS_setsid
        SYS_sigaltstack SYS_statx SYS_timerfd_create SYS_timerfd_settime SYS_umask SYS_unlinkat SYS_unshare SYS_wait4 SYS_waitid SYS_writev
    };
    #[cfg(target_arch = "x86_64")]
    calls.extend(each! {
        SYS_access SYS_dup2 SYS_epoll_wait SYS_getrlimit SYS_mkdir SYS_pipe SYS_poll SYS_readlink
        SYS_rmdir SYS_setrlimit SYS_vfork
    });
    calls.extend(with_argument! {
        F_DUPFD_CLOEXEC: SYS_fcntl 1,
        F_SETFL: SYS_fcntl 1,
        F_SETPIPE_SZ: SYS_fcntl 1,
        FIONREAD: SYS_ioctl 1,
        TIOCNOTTY: SYS_ioctl 1,
        P_PIDFD: SYS_waitid 0,
    });
    let single = calls.into_iter().map(|(name, call)| Refusal { name, calls: vec![call] });
    single.chain([newer_than_5_4(), all_of_pidfds()]).collect()
}

/// Calls that are newer than the oldest kernel that is supported.
fn newer_than_5_4() -> Refusal {
    let calls = each! { SYS_clone3 SYS_close_range SYS_epoll_pwait2 SYS_faccessat2 SYS_openat2 };
    let calls = calls.into_iter().map(|(_, call)| call).collect();
    Refusal { name: "newer_than_5.4", calls }
}

/// What a sandbox refuses whose list of calls is older than pidfds.
fn all_of_pidfds() -> Refusal {
    let calls = each! { SYS_close_range SYS_pidfd_open SYS_pidfd_send_signal };
    let calls = calls.into_iter().map(|(_, call)| call).collect();
    Refusal { name: "pidfds", calls }
}
