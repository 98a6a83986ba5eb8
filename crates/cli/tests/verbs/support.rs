//! A service of its own for each test, which is gone after it however it ended.

use std::fs::{self, DirBuilder};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use execution_engine_server::{PathOptions, StateDir};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything takes on a machine that is very busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A place where a service may run. Dropping it ends the service and its keepers.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    state: PathBuf,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::at("state")
    }

    /// Creates one with a name for the state directory.
    pub(crate) fn at(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join(name);
        Self { dir, state }
    }

    /// Returns a directory for the files of the test.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_string()
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Returns a command line of the program.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.prepared(env!("CARGO_BIN_EXE_exeng"), args)
    }

    /// Returns a line of a shell that finds `exeng`.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = self.prepared("/bin/sh", &["-c", line]);
        let program = Path::new(env!("CARGO_BIN_EXE_exeng")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", program.display()));
        command
    }

    /// Makes the state directory with a configuration, as `mkdir` makes a directory.
    pub(crate) fn configure(&self, config: &str) {
        DirBuilder::new().mode(0o755).create(&self.state).unwrap();
        fs::write(self.state.join("config.toml"), config).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test is no execution")]
    fn prepared(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path());
        command.env("EXENG_STATE_DIR", &self.state).env("NO_COLOR", "1");
        command.env_remove("EXENG_SOCKET").env_remove("EXENG_CONFIG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn exeng(&self, args: &[&str]) -> Done {
        finish(self.command(args).spawn().unwrap(), &format!("exeng {args:?}"))
    }

    /// Runs the program, which is to succeed, and returns what it printed, without the last newline.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.exeng(args).ok()
    }

    /// Runs a line of a shell to its end.
    pub(crate) fn sh(&self, line: &str) -> Done {
        finish(self.shell(line).spawn().unwrap(), line)
    }

    /// Submits a line of a shell and returns the id.
    pub(crate) fn submit(&self, line: &str) -> String {
        self.ok(&["submit", "--shell", line])
    }

    /// Returns what `show --json` says.
    pub(crate) fn show(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["show", "--json", id])).unwrap()
    }

    /// Starts the service in the foreground and waits until it is ready.
    pub(crate) fn serve(&self) -> Served {
        Served::new(self.command(&["serve"]).spawn().unwrap())
    }

    /// Returns the process id of the service, if one runs.
    pub(crate) fn service(&self) -> Option<u32> {
        Some(self.places().holder()?.pid)
    }

    /// Returns services that have not tried yet to take the lock: they would take it when the one that has it is
    /// gone. Their arguments name the state directory, which no other process has.
    fn starting(&self) -> Vec<u32> {
        let state = self.state.to_str().unwrap().to_string() + "\0";
        let of = |entry: fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let arguments = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&arguments).contains(&state).then_some(pid)
        };
        fs::read_dir("/proc").unwrap().filter_map(|entry| of(entry.ok()?)).collect()
    }

    fn places(&self) -> StateDir {
        let options = PathOptions { state_dir: Some(self.state.clone()), ..PathOptions::default() };
        StateDir::resolve(&options, |_| None).unwrap()
    }

    /// Returns where the service listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.places().socket().to_path_buf()
    }

    /// Kills the service and waits until it is gone.
    pub(crate) fn kill_service(&self) {
        let pid = self.service().expect("a service runs");
        send(pid, Signal::KILL);
        until("the service is gone", || self.service() != Some(pid));
    }

    /// Returns the process ids of the keepers that live.
    pub(crate) fn keepers(&self) -> Vec<u32> {
        let keepers = execution_engine_keeper::keepers(&self.state).unwrap_or_default();
        keepers.into_iter().filter(|keeper| keeper.alive).map(|keeper| keeper.pid).collect()
    }

    /// Sends a request to the socket and returns the answer.
    pub(crate) fn http(&self, request: &str) -> Reply {
        self.begin_http(request).end("")
    }

    /// Sends the first part of a request to the socket.
    pub(crate) fn begin_http(&self, part: &str) -> Request {
        let mut socket = UnixStream::connect(self.places().socket()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(part.as_bytes()).unwrap();
        Request(socket)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let begin = Instant::now();
        loop {
            // A lock that is held belongs to a process that lives, so its id is no stranger's.
            let holders = self.service().into_iter().chain(self.keepers());
            let processes: Vec<u32> = holders.chain(self.starting()).collect();
            if processes.is_empty() {
                return;
            }
            processes.into_iter().for_each(|pid| send(pid, Signal::KILL));
            if begin.elapsed() > PATIENCE {
                eprintln!("processes of {} are left", self.state.display());
                return;
            }
            nap();
        }
    }
}

/// Sends a signal to a process that holds a lock.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    // It may have ended since.
    let _gone = kill_process(pid, signal);
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    /// For the messages of assertions.
    #[expect(dead_code, reason = "Debug shows it")]
    what: String,
}

impl Done {
    /// Returns what was printed, without the last newline. It must have been a success.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.text()
    }

    /// Returns what was printed, without the last newline.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8(self.out.clone()).unwrap();
        text.strip_suffix('\n').unwrap_or(&text).to_string()
    }

    /// Returns the message of a refusal.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code, Some(125), "{self:?}");
        assert!(self.out.is_empty(), "{self:?}");
        assert!(self.err.starts_with("exeng: "), "{self:?}");
        self.err
    }
}

/// Waits for the end of a program and returns what it printed.
pub(crate) fn finish(child: Child, what: &str) -> Done {
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        // It has not been waited for, so the id is still its own.
        send(pid, Signal::KILL);
        panic!("does not end: {what}");
    };
    let Output { status, stdout, stderr } = output.unwrap();
    let err = String::from_utf8_lossy(&stderr).into_owned();
    Done { code: code(status), out: stdout, err, what: what.to_string() }
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|signal| -signal))
}

/// The service in the foreground. Dropping it kills it.
pub(crate) struct Served {
    child: Option<Child>,
    /// What it said when it was ready.
    pub(crate) line: String,
}

impl Served {
    pub(crate) fn new(mut child: Child) -> Self {
        let mut stderr = child.stderr.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let (mut said, mut byte) = (Vec::new(), [0]);
            while stderr.read(&mut byte).is_ok_and(|count| count > 0) {
                said.push(byte[0]);
                if byte[0] == b'\n' {
                    let line = std::mem::take(&mut said);
                    let _ended = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
            }
        });
        let line = receiver.recv_timeout(PATIENCE);
        let served = Self { child: Some(child), line: line.clone().unwrap_or_default() };
        line.expect("it says that it is ready");
        served
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal and returns how it ended.
    pub(crate) fn end(mut self, signal: Signal) -> Done {
        send(self.pid(), signal);
        finish(self.child.take().unwrap(), "exeng serve")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _status = child.wait();
        }
    }
}

/// A request of which a part is sent.
pub(crate) struct Request(UnixStream);

impl Request {
    /// Sends the rest and returns the answer.
    pub(crate) fn end(mut self, rest: &str) -> Reply {
        self.0.write_all(rest.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        Reply::parse(&bytes)
    }
}

/// Answer of the service.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes[end + 4..].to_vec();
        let reply = Self { status, head, body: Vec::new() };
        if reply.header("transfer-encoding").as_deref() == Some("chunked") {
            body = unchunked(&body);
        }
        Self { body, ..reply }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
}

/// Waits until a fact is true that no event announces.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !fact() {
        assert!(begin.elapsed() < PATIENCE, "waited too long: {what}");
        nap();
    }
}

/// Waits until a file has a whole line, and returns it.
pub(crate) fn when_written(path: &str) -> String {
    let mut text = String::new();
    until(&format!("{path} has a line"), || {
        text = fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n')
    });
    text.trim_end().to_string()
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks at a fact")]
fn nap() {
    thread::sleep(Duration::from_millis(5));
}

/// Returns `true` if a process runs. One that has ended may wait for the process that reaps it.
pub(crate) fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// Returns the files below a directory that have a text in them.
pub(crate) fn files_with(dir: &Path, text: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(text.len()).any(|window| window == text)
        {
            found.push(path);
        }
    }
    found
}
