//! Servers with a fleet, and the `exeng` processes of a test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use fleet_servers::{PATIENCE, Servers};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Times of leases that are short: renewed, over, gone from the servers.
pub(crate) const SHORT_LEASE: &str = "500ms,2s,4s";

/// Servers of a test, and a home for `exeng`.
pub(crate) struct Fleet {
    pub(crate) servers: Servers,
    pub(crate) home: TempDir,
}

impl Fleet {
    /// Starts a server and sets a fleet up.
    pub(crate) async fn start() -> Self {
        Self::of(1).await
    }

    /// Starts servers and sets a fleet up.
    pub(crate) async fn of(count: usize) -> Self {
        let servers = Servers::start(count).await;
        let fleet = Self { servers, home: tempfile::tempdir().unwrap() };
        fleet.told(&["fleet", "init"]);
        fleet
    }

    /// Starts a server.
    pub(crate) async fn without_setup() -> Self {
        Self { servers: Servers::start(1).await, home: tempfile::tempdir().unwrap() }
    }

    /// Returns a command of `exeng` with these words, for this fleet.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = exeng(words);
        command.env("EXENG_ON", self.servers.urls().join(","));
        command.env("EXENG_STATE_DIR", self.home.path());
        command
    }

    /// Runs `exeng` to its end.
    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs `exeng`, which succeeds, and returns its stdout.
    pub(crate) fn told(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{words:?}: {:?}\n{out}\n{err}", output.status);
        out
    }

    /// Starts a worker and waits until it is ready.
    pub(crate) fn worker(&self, words: &[&str]) -> Running {
        let mut worker = self.worker_that_waits(words);
        worker.wait_for("is ready");
        worker
    }

    /// Starts a worker.
    pub(crate) fn worker_that_waits(&self, words: &[&str]) -> Running {
        let words = [&["worker", "--lease", SHORT_LEASE], words].concat();
        Running::start(self.command(&words))
    }
}

/// Returns a command of `exeng` without the settings of the user.
#[expect(clippy::disallowed_methods, reason = "the program under test is no execution")]
pub(crate) fn exeng(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeng"));
    for variable in ["EXENG_ON", "EXENG_TENANT", "EXENG_CONFIG", "EXENG_SOCKET", "EXENG_LOG"] {
        command.env_remove(variable);
    }
    command.args(words).stdin(Stdio::null());
    command
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A process of a test, whose stderr is read line by line. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        Self::start_to(Stdio::null(), command)
    }

    /// Starts it with its stdout there.
    pub(crate) fn start_to(stdout: impl Into<Stdio>, mut command: Command) -> Self {
        let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for a line with this text, and returns it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no {text:?} after {:#?}", self.seen));
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end, and returns its code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let mut ended = None;
        until("the process ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        self.seen.extend(self.lines.try_iter());
        ended.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            self.seen.extend(self.lines.try_iter());
            eprintln!("a process of the failed test said {:#?}", self.seen);
        }
        // It may have ended.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Returns the name and the process of the worker proper from the line that tells them.
pub(crate) fn worker_of(line: &str) -> (String, Pid) {
    let name = line.split("worker ").nth(1).unwrap().split(' ').next().unwrap();
    let pid = line.split("process ").nth(1).unwrap().trim_end_matches(')');
    (name.to_owned(), Pid::from_raw(pid.parse().unwrap()).unwrap())
}

/// Looks again and again until something is so.
#[expect(clippy::disallowed_methods, reason = "no event announces it")]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
