//! A child inherits no signal state and no descriptors, whatever other threads of the host do.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine::*;
use rustix::fs::{Mode, OFlags};
use test_support::host::{self, passed_apart};
use test_support::levels::{announce, engine_at, levels};
use test_support::*;
use tokio::task::JoinSet;

const AT_ONCE: usize = 50;

/// Returns a descriptor that children inherit unless it is closed for them.
fn leaky() -> OwnedFd {
    let fd = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty()).unwrap();
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().is_empty());
    fd
}

/// Opens and closes leaky descriptors and pipes until a flag is set.
fn churn(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let some: Vec<_> = (0..20).map(|_| leaky()).collect();
        let pipes: Vec<_> = (0..20).map(|_| rustix::pipe::pipe().unwrap()).collect();
        drop((some, pipes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_children_inherit_no_descriptor_of_the_host() {
    for level in levels() {
        let engine = engine_at(level);
        let stop = Arc::new(AtomicBool::new(false));
        let churning: Vec<_> = (0..2)
            .map(|_| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || churn(&stop))
            })
            .collect();
        let kept: Vec<_> = (0..50).map(|_| leaky()).collect();
        assert!(kept.iter().any(|fd| fd.as_raw_fd() > 50));
        let mut all = JoinSet::new();
        for _ in 0..AT_ONCE {
            let engine = engine.clone();
            // Several threads of the runtime spawn at a time.
            all.spawn(
                async move { engine.run(ExecutionRequest::exec("ls", ["/proc/self/fd"])).await },
            );
        }
        for result in soon("all of them", all.join_all()).await {
            // 3 is the directory that ls itself reads.
            assert_eq!(result.unwrap().stdout, "0\n1\n2\n3\n", "{level}");
        }
        stop.store(true, Ordering::Relaxed);
        churning.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// No child keeps a pipe of another one open: its reader would wait for both.
#[tokio::test(flavor = "multi_thread")]
async fn no_child_holds_the_pipes_of_another() {
    for level in levels() {
        let engine = engine_at(level);
        let mut all = JoinSet::new();
        for _ in 0..AT_ONCE {
            let engine = engine.clone();
            let line = "for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done";
            all.spawn(async move { engine.run(shell(line)).await });
        }
        let mut pipes = std::collections::HashSet::new();
        for result in soon("all of them", all.join_all()).await {
            let output = result.unwrap().stdout;
            let files: Vec<_> = output.lines().collect();
            assert_eq!((files.len(), files[0]), (3, "/dev/null"), "{output}");
            for pipe in &files[1..] {
                assert!(pipe.starts_with("pipe:") && pipes.insert((*pipe).to_string()), "{output}");
            }
        }
    }
}

/// Returns a set of signals of `/proc/PID/status`, one bit each.
fn signals(status: &str, set: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

/// The thread that starts the children blocks and ignores all it can, and handles one signal.
#[test]
fn signal_state_of_the_spawning_thread_is_not_inherited() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if runtime.block_on(passed_apart(test_name!())) {
        return;
    }
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: The handler does nothing, and the set is filled before it is read. No test sends these
    // signals.
    unsafe {
        libc::signal(libc::SIGUSR2, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t);
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGRTMAX(), libc::SIG_IGN);
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut()), 0);
    }
    let mine = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let before = mine();
    assert!(signals(&before, "SigBlk:").count_ones() > 30, "{before}");
    for level in levels() {
        let request = ExecutionRequest::exec("cat", ["/proc/self/status"]);
        let result = runtime.block_on(engine_at(level).run(request)).unwrap();
        for set in ["SigIgn:", "SigBlk:", "SigCgt:", "SigPnd:", "ShdPnd:"] {
            assert_eq!(signals(&result.stdout, set), 0, "{set} at {level}");
        }
    }
    let after = mine();
    for set in ["SigIgn:", "SigBlk:", "SigCgt:"] {
        assert_eq!(signals(&after, set), signals(&before, set), "{set} of the host");
    }
}

#[tokio::test]
async fn program_has_no_access_to_the_terminal_of_its_host() {
    if cfg!(execution_engine_portable) {
        return announce("SKIPPED: a program shares the session of its host on this backend");
    }
    if host::role().is_some() {
        let terminal = std::fs::File::options().read(true).write(true).open("/dev/tty");
        terminal.expect("this host has a terminal");
    }
    for level in levels() {
        let engine = engine_at(level);
        // Being the first of a new session does not help either.
        for line in ["echo your password: >/dev/tty", "setsid -w sh -c 'echo me, too >/dev/tty'"] {
            let result = engine.run(shell(line)).await.unwrap();
            assert!(!result.success && result.stderr.contains("No such device"), "{result:?}");
        }
        // The seventh number is the terminal; the fifth the group, which the program leads.
        let result = engine.run(shell("cut -d' ' -f1,5,7 /proc/$$/stat")).await.unwrap();
        let numbers: Vec<_> = result.stdout.split_whitespace().collect();
        assert!(numbers[0] == numbers[1] && numbers[2] == "0", "{level}: {numbers:?}");
    }
    if host::role().is_none() {
        in_a_terminal(test_name!()).await;
    }
}

/// Runs a test in a host that has a terminal.
async fn in_a_terminal(test: &str) {
    let on_a_terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let through = ["python3", "-c", on_a_terminal];
    let host = host::request_through(&through, test, "on_a_terminal");
    host::assert_passed(&soon("the host", engine().run(host)).await);
}
