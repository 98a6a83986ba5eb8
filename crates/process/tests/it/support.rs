//! Helpers of all tests of this crate.

use std::any::type_name;
use std::future::poll_fn;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use execution_engine_process::{Child, Containment, Exit, Launch, Level};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Longer than anything takes on a machine that is very busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Describes a shell that runs one line.
pub(crate) fn shell(line: &str) -> Launch {
    let mut launch = Launch::new("/bin/sh");
    launch.args = ["sh", "-c", line].map(Into::into).to_vec();
    launch.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    launch
}

/// Creates a containment at each level that this host offers.
pub(crate) fn levels() -> impl Iterator<Item = Containment> {
    Level::ALL.into_iter().filter_map(|level| match Containment::at(level) {
        Ok(containment) => Some(containment),
        Err(unavailable) => {
            eprintln!("SKIPPED: {unavailable}");
            None
        }
    })
}

/// Waits until a fact holds.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::yield_now();
    }
}

/// Waits until a descriptor can be read.
pub(crate) fn wait_for(fd: &impl AsFd) {
    let limit = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "waited too long");
}

/// Waits until the main program has ended.
pub(crate) async fn exit(child: &mut Child) -> Exit {
    timeout(PATIENCE, poll_fn(|cx| child.poll_exit(cx))).await.expect("waited too long").unwrap()
}

/// Blocks until the main program has ended.
pub(crate) fn wait_for_exit(child: &mut Child) -> Exit {
    // One for all, because a child stays registered with the first that it was polled on.
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());
    RUNTIME.block_on(exit(child))
}

/// Reads all that is written until no process holds the pipe open.
pub(crate) fn output(pipe: &impl AsFd) -> String {
    read_until(pipe, |_| false)
}

/// Reads the first line.
pub(crate) fn first_line(pipe: &impl AsFd) -> String {
    read_until(pipe, |text| text.ends_with(b"\n")).trim().to_string()
}

/// Reads byte by byte, so that the rest stays in the pipe.
fn read_until(pipe: &impl AsFd, is_enough: impl Fn(&[u8]) -> bool) -> String {
    let mut text = Vec::new();
    let mut byte = [0; 1];
    while !is_enough(&text) {
        wait_for(pipe);
        match rustix::io::read(pipe, &mut byte) {
            Ok(0) => break,
            Ok(_) => text.extend(byte),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8(text).unwrap()
}

/// Returns `true` if a process runs; a zombie does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Returns `true` if a process runs or is a zombie.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Kills one process.
pub(crate) fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// Changes a limit of this process; None is as much as it may have.
pub(crate) fn limit(resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: current.or(maximum), maximum }).unwrap();
}

/// Returns the bytes of address space that this process has.
#[cfg(any(not(target_env = "musl"), execution_engine_portable))]
pub(crate) fn address_space_in_use() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

/// The test whose body a process of its own is to run.
const TEST: &str = "EXECUTION_ENGINE_PROCESS_TEST";

/// Runs the body of a test in a process of its own, because it changes something of the process:
/// a limit, its descriptors, its user. Called as the only statement of a test.
pub(crate) fn in_own_process(body: impl FnOnce()) {
    let Some(mut host) = host_of(body) else { return };
    let ended = host.output().unwrap();
    let (stdout, stderr) = (&ended.stdout, &ended.stderr);
    let output = String::from_utf8_lossy(&[&stdout[..], stderr].concat()).into_owned();
    // A name that matches no test would succeed, too.
    assert!(ended.status.success() && output.contains("1 passed"), "{output}");
    eprint!("{}", String::from_utf8_lossy(stderr));
}

/// Runs the body if this process was started for it, and returns None; otherwise returns the
/// command that starts such a process. Called in the test itself: the body's type has the test's
/// name.
#[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
pub(crate) fn host_of<Body: FnOnce()>(body: Body) -> Option<Command> {
    // it::module::test::{{closure}}
    let name = type_name::<Body>().trim_end_matches("::{{closure}}");
    let (_, name) = name.split_once("::").unwrap();
    if std::env::var_os(TEST).is_some_and(|test| test == name) {
        body();
        return None;
    }
    let mut host = Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", name, "--nocapture", "--test-threads=2"]).env(TEST, name);
    Some(host)
}
