//! Helpers of the tests of the command line: `exeng` as a child with pipes, and in a pseudo terminal.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use test_support::PATIENCE;

/// The program that is tested.
pub(crate) const EXENG: &str = env!("CARGO_BIN_EXE_exeng");

/// Program that runs another one as if no parent had ignored its signals. A job that a script has put into
/// the background ignores SIGINT and SIGQUIT, which no test may depend on.
const WITH_DEFAULT_SIGNALS: &str = "import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])";

/// Creates a command. Nothing of the service's settings of the caller reaches it.
#[expect(clippy::disallowed_methods, reason = "the command line is tested as its users start it")]
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", WITH_DEFAULT_SIGNALS, program]);
    for name in ["EXENG_STATE_DIR", "EXENG_SOCKET", "EXENG_CONFIG"] {
        command.env_remove(name);
    }
    command
}

/// Runs `exeng run` with these words to its end.
pub(crate) fn run(words: &[&str]) -> Output {
    let mut run = command(EXENG);
    run.arg("run").args(words).stdin(Stdio::null());
    output(run)
}

/// Runs a line of a shell to its end. `exeng` is a variable there.
pub(crate) fn shell(line: &str) -> Output {
    let mut shell = command("bash");
    shell.args(["-c", line]).env("exeng", EXENG).stdin(Stdio::null());
    output(shell)
}

fn output(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (ended, end) = mpsc::channel();
    let what = format!("{command:?}");
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    end.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited too long for {what}")).unwrap()
}

/// Returns the exit code, and both streams as text.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Child whose output is read while it runs.
pub(crate) struct Live {
    pub(crate) child: Child,
    keys: Option<ChildStdin>,
    chunks: Receiver<Vec<u8>>,
    unread: Vec<u8>,
    seen: Vec<u8>,
}

impl Live {
    /// Starts `exeng run` with these words, without a terminal of its own.
    pub(crate) fn run(words: &[&str]) -> Self {
        let mut run = command(EXENG);
        run.arg("run").args(words);
        Self::start(run)
    }

    /// Starts a command in a pseudo terminal.
    pub(crate) fn in_terminal(words: &[&str]) -> Self {
        let mut python = command("python3");
        python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/in_terminal.py"));
        python.args(words).env("exeng", EXENG).env("TERM", "dumb");
        Self::start(python)
    }

    /// Starts an interactive shell in a pseudo terminal, with job control. `exeng` is a variable
    /// there, and the prompt is `ready> `.
    pub(crate) fn shell() -> Self {
        let mut shell = Self::in_terminal(&["bash", "--norc", "--noprofile", "--noediting", "-i"]);
        // In two parts, so that the echo of the line is not taken for the prompt.
        shell.send("PS1='rea''dy> '; HISTFILE=\n");
        shell.until("ready> ");
        shell
    }

    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, chunks) = mpsc::channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = child.stdin.take();
        Self { child, keys, chunks, unread: Vec::new(), seen: Vec::new() }
    }

    /// Presses keys.
    pub(crate) fn send(&mut self, keys: &str) {
        self.keys.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the output has a text, and returns what came before it.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let at = self.unread.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = at {
                let before = String::from_utf8_lossy(&self.unread[..at]).into_owned();
                self.unread.drain(..at + text.len());
                return before;
            }
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => {
                    self.seen.extend(&chunk);
                    self.unread.extend(chunk);
                }
                Err(ended) => {
                    let seen = String::from_utf8_lossy(&self.seen);
                    let why = match ended {
                        RecvTimeoutError::Timeout => "waited too long",
                        RecvTimeoutError::Disconnected => "the output has ended",
                    };
                    panic!("{why} for {text:?} after {seen:?}");
                }
            }
        }
    }

    /// Waits for the end, and returns how it exited and what it wrote last.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        drop(self.keys.take());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.unread.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no end after {:?}", String::from_utf8_lossy(&self.unread))
                }
            }
        }
        let status = self.child.wait().unwrap();
        (status, String::from_utf8_lossy(&self.unread).into_owned())
    }

    /// Waits for the end, and returns the exit code.
    pub(crate) fn code(self) -> i32 {
        let (status, rest) = self.end();
        status.code().unwrap_or_else(|| panic!("{status} after {rest:?}"))
    }

    /// Sends a signal to the child alone.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind: the terminal of what runs there is gone.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits until something is so that no event announces.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Returns `true` if a process lives.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("X", |(_, rest)| &rest[..1]);
    !matches!(state, "Z" | "X")
}
