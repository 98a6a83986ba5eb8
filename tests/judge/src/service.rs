//! The service as its users start, ask, kill and stop it.

use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::http::Socket;
use crate::preload::command;

/// Longer than anything takes on a machine that is very busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Changes what a process of the service is started with.
type Attach = Arc<dyn Fn(&mut Command) + Send + Sync>;

/// A service on a state directory of its own.
#[derive(Clone)]
pub struct Service {
    exeng: PathBuf,
    state: PathBuf,
    attach: Attach,
}

impl Service {
    /// Names a service by the program and its state directory; starts nothing.
    pub fn new(exeng: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { exeng: exeng.into(), state: state.into(), attach: Arc::new(|_| {}) }
    }

    /// Lets processes of the service, but not of its users, start with a change.
    #[must_use]
    pub fn attach(mut self, attach: impl Fn(&mut Command) + Send + Sync + 'static) -> Self {
        self.attach = Arc::new(attach);
        self
    }

    /// Returns the state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Returns the socket.
    pub fn socket(&self) -> Socket {
        Socket::new(&self.state.join("exeng.sock"))
    }

    /// Creates a command of `exeng`, without standard input.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(&self.exeng);
        for name in ["EXENG_SOCKET", "EXENG_CONFIG", "EXENG_FAULT"] {
            command.env_remove(name);
        }
        command.env("EXENG_STATE_DIR", &self.state).args(args).stdin(Stdio::null());
        command
    }

    /// Runs `exeng` to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `exeng` and returns what it prints; anything but success is a failure of the test.
    pub fn print(&self, args: &[&str]) -> Vec<u8> {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "exeng {args:?}: {}: {errors}", output.status);
        output.stdout
    }

    /// Runs `exeng` and reads the document that it prints.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.print(args)).unwrap()
    }

    /// Starts `exeng serve` and waits until it says that it is ready.
    pub fn serve(&self) -> Server {
        self.try_serve().unwrap_or_else(|refused| panic!("no service: {refused:?}"))
    }

    /// Starts `exeng serve`; returns how it ended if it ends before it is ready.
    pub fn try_serve(&self) -> Result<Server, Refused> {
        let mut command = self.command(&["serve"]);
        (self.attach)(&mut command);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        if is_ready(&first) {
            // Its output is read to the end, so that the service never waits for a reader.
            std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
            return Ok(Server { child });
        }
        io::Read::read_to_string(&mut lines, &mut first).unwrap();
        Err(Refused { status: child.wait().unwrap(), message: first })
    }

    /// Returns the process of the service, if it runs.
    pub fn process(&self) -> Option<Process> {
        let doctor = self.run(&["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&doctor.stdout).ok()?;
        Process::open(u32::try_from(report["service"]["pid"].as_u64()?).ok()?)
    }

    /// Returns the keepers with their process ids and numbers of running executions.
    pub fn keepers(&self) -> Vec<(u32, u64)> {
        let keepers = self.json(&["keepers", "--json"]);
        let keepers = keepers.as_array().expect("an array").iter();
        let pid = |keeper: &Value| keeper["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        keepers
            .map(|keeper| (pid(keeper).expect("a pid"), keeper["running"].as_u64().unwrap_or(0)))
            .collect()
    }

    /// Stops everything: the keepers, which the service relieves of what they have, then the service. Waits until no
    /// process has the state directory in its arguments or its environment.
    pub fn stop_all(&self, server: Option<Server>) {
        self.stop_keepers().iter().for_each(|keeper| keeper.wait("the end of a keeper"));
        match server {
            Some(server) => {
                server.stop();
            }
            None => {
                if let Some(service) = self.process() {
                    service.signal(Signal::TERM);
                    service.wait("the end of the service");
                }
            }
        }
        let state = self.state.to_str().expect("UTF-8");
        until("the end of all processes of the service", || {
            // One that a killed service has just started was not there yet.
            self.stop_keepers();
            processes_with(state).is_empty()
        });
    }

    /// Asks the keepers to end and returns them.
    fn stop_keepers(&self) -> Vec<Process> {
        let keepers = self.keepers().into_iter().filter_map(|(pid, _)| Process::open(pid));
        keepers.inspect(|keeper| keeper.signal(Signal::TERM)).collect()
    }
}

/// Returns `true` for the line that `exeng serve` prints when it is ready.
fn is_ready(line: &str) -> bool {
    line.to_lowercase().contains("ready") || line.to_lowercase().contains("listening")
}

/// A service that ended instead of serving.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said.
    pub message: String,
}

/// A running `exeng serve` that this process started.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it with SIGTERM to end, and returns how it did.
    pub fn stop(mut self) -> ExitStatus {
        let process = Process::open(self.pid()).expect("it is not reaped yet");
        process.signal(Signal::TERM);
        process.wait("the end of the service");
        self.child.wait().unwrap()
    }

    /// Waits for an end that something else causes.
    pub fn ended(mut self) -> ExitStatus {
        let process = Process::open(self.pid()).expect("it is not reaped yet");
        process.wait("the end of the service");
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    /// Leaves nothing behind when a test fails.
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A process that cannot be mistaken for a later one with its id.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    handle: OwnedFd,
}

impl Process {
    /// Opens a process, if it exists.
    pub fn open(pid: u32) -> Option<Self> {
        let raw = Pid::from_raw(pid.cast_signed())?;
        let handle = pidfd_open(raw, PidfdFlags::empty()).ok()?;
        Some(Self { pid, handle })
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal; a process that has ended gets none.
    pub fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("signal to {}: {error}", self.pid),
        }
    }

    /// Returns `true` once it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended_within(Duration::ZERO)
    }

    /// Waits for its end, at most for a time.
    pub fn ended_within(&self, time: Duration) -> bool {
        let mut polled = [PollFd::new(&self.handle, PollFlags::IN)];
        let time = rustix::event::Timespec::try_from(time).expect("short");
        poll(&mut polled, Some(&time)).unwrap() > 0
    }

    /// Waits for its end.
    pub fn wait(&self, what: &str) {
        assert!(self.ended_within(PATIENCE), "waited too long: {what} ({})", self.pid);
    }
}

/// Waits until a fact that no event announces is true.
pub fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let start = Instant::now();
    while !fact() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Makes a directory that only its owner can enter, if it is not there.
pub fn private_dir(path: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path).unwrap();
}

/// Returns the processes whose arguments or environment have a text, this one aside.
pub fn processes_with(text: &str) -> Vec<(u32, String)> {
    let me = std::process::id();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let found = pids.filter(|pid| *pid != me).filter_map(|pid| {
        let part = |name| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&part("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&part("environ")).into_owned();
        let is_it = arguments.contains(text) || environment.contains(text);
        is_it.then_some((pid, arguments))
    });
    found.collect()
}
