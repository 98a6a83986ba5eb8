//! Runs a test binary once more as a process of its own.
//!
//! [`Host`] is a program that embeds the engine and that the test can kill or that misbehaves on
//! purpose. [`passed_apart`] runs the calling test in a process that no other test shares.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use execution_engine::*;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::{PATIENCE, processes, soon, text};

/// Variable that holds the role of a process which was started by these helpers.
const ROLE: &str = "EXECUTION_ENGINE_TEST_ROLE";

/// Returns the words of the role that this process has; `None` in the process that runs the tests.
pub fn role() -> Option<Vec<String>> {
    let role = std::env::var(ROLE).ok()?;
    Some(role.split_whitespace().map(str::to_string).collect())
}

/// Returns the name of the calling test, as the test binary takes it for `--exact`.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn inner() {}
        $crate::host::name_in_binary(std::any::type_name_of_val(&inner))
    }};
}

/// Returns the name of the test that a function is defined in, from the full path of that function.
pub fn name_in_binary(path: &'static str) -> &'static str {
    let test = path.strip_suffix("::inner").unwrap().trim_end_matches("::{{closure}}");
    test.split_once("::").unwrap().1
}

/// Runs a test in a process of its own and checks that it passes; returns `false` in that process.
///
/// A test that depends on the state of its whole process begins with it.
pub async fn passed_apart(test: &str) -> bool {
    if role().is_some() {
        return false;
    }
    // A process that executes another program keeps its peak of memory. The shell forks, so that the
    // test does not begin with the peak of this process.
    let through = ["/bin/sh", "-c", r#""$0" "$@"; exit $?"#];
    let request = request_through(&through, test, "apart");
    assert_passed(&soon("the test in its own process", crate::engine().run(request)).await);
    true
}

/// Checks that a process of a test binary has run one test, and that it passed.
#[track_caller]
pub fn assert_passed(result: &Result<ExecutionResult>) {
    let result = result.as_ref().unwrap();
    assert!(result.success, "{:?}\n{}\n{}", result.ending, result.stdout, result.stderr);
    assert!(result.stdout.contains("1 passed"), "{}", result.stdout);
}

/// Returns the request that runs one test of this binary in a role.
pub fn request(test: &str, role: &str) -> ExecutionRequest {
    request_through(&[], test, role)
}

/// Like [`request`], but through a program that executes the arguments which follow its own.
pub fn request_through(through: &[&str], test: &str, role: &str) -> ExecutionRequest {
    let itself = std::env::current_exe().unwrap();
    let mut words = [through, &[text(&itself)], &arguments(test)].concat();
    ExecutionRequest::exec(words.remove(0), words).env(ROLE, role)
}

fn arguments(test: &str) -> [&str; 4] {
    [test, "--exact", "--nocapture", "--test-threads=1"]
}

/// Returns `true` if this machine allows namespaces of these kinds, given as options of `unshare`.
#[expect(clippy::disallowed_methods, reason = "probes the machine, runs no program under test")]
pub fn can_unshare(kinds: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(kinds).arg("true").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Gives up all rights of root, in all threads, for those of a user.
pub fn become_user(user: u32) {
    // SAFETY: The calls take numbers and an empty list only.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(user, user, user), 0);
        assert_eq!(libc::setresuid(user, user, user), 0);
        // Without it /proc/self would still belong to root.
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    }
}

/// Returns the host guards of this process.
pub fn guards() -> Vec<u32> {
    guards_of(std::process::id())
}

/// Returns the host guards of a process, found by their name and by the other ends of its pipes.
fn guards_of(host: u32) -> Vec<u32> {
    let links = |pid: u32| -> Vec<PathBuf> {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect()
    };
    let pipes = links(host);
    // The shell that starts a guard, and exits, is a child of its host.
    let its_child = format!("PPid:\t{host}\n");
    let is_it = |pid: &u32| {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        let lifeline = std::fs::read_link(format!("/proc/{pid}/fd/3"));
        read("cmdline").is_ok_and(|line| line.contains("execution-host-guard"))
            && lifeline.is_ok_and(|pipe| pipes.contains(&pipe))
            && read("status").is_ok_and(|status| !status.contains(&its_child))
    };
    processes().into_iter().filter(is_it).collect()
}

/// Sends a line from a host to its test.
pub fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "host: {line}").unwrap();
    out.flush().unwrap();
}

/// Waits in a host until the test continues it, or until the test has ended.
pub fn listen() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Host process of a test: one test of this binary, run in a role.
#[derive(Debug)]
pub struct Host {
    process: Child,
    lines: Receiver<String>,
    stdin: Option<ChildStdin>,
}

impl Host {
    /// Starts the test that plays the hosts of this binary.
    #[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
    pub fn start(test: &str, role: &str) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), test, role)
    }

    /// Starts a host through a shell line in namespaces of its own.
    ///
    /// The line finds the host's command line in `$@` and one more word in `$0`.
    #[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
    pub fn start_in(
        kinds: &[&str],
        line: &str,
        word: impl AsRef<OsStr>,
        test: &str,
        role: &str,
    ) -> Self {
        let mut command = Command::new("unshare");
        command.args(kinds).args(["sh", "-c", line]).arg(word);
        command.arg(std::env::current_exe().unwrap());
        Self::start_by(command, test, role)
    }

    /// Starts a program that executes the arguments which follow its own.
    fn start_by(mut command: Command, test: &str, role: &str) -> Self {
        command.args(arguments(test)).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || forward_lines(output, &sender));
        let stdin = process.stdin.take();
        Self { process, lines, stdin }
    }

    /// Waits for the next line that the host sends with [`say`].
    pub fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the host says something")
    }

    /// Continues a host that waits in [`listen`].
    pub fn resume(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    /// Sends a line to a host that reads its standard input.
    pub fn tell(&mut self, line: &str) {
        // It may have been killed meanwhile, which the test finds out in another way.
        let _gone = writeln!(self.stdin.as_mut().unwrap(), "{line}");
    }

    /// Returns `true` if the host has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// Returns its host guards.
    pub fn guards(&self) -> Vec<u32> {
        guards_of(self.process.id())
    }

    /// Stops the host with SIGSTOP.
    pub fn stop(&self) {
        let host = Pid::from_child(&self.process);
        kill_process(host, Signal::STOP).unwrap();
        // It has stopped when that is reported.
        waitpid(Some(host), WaitOptions::UNTRACED).unwrap();
    }

    /// Kills the host and reaps it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for the host's own end.
    pub fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.process.wait().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Forwards what a host says; what the test harness prints is read and dropped.
fn forward_lines(mut output: impl BufRead, sender: &Sender<String>) {
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|length| length > 0) {
        if let Some((_, said)) = line.trim_end().split_once("host: ") {
            let _test_has_ended = sender.send(said.to_string());
        }
        line.clear();
    }
    let _rest = output.read_to_end(&mut Vec::new());
}
