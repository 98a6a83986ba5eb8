//! A host of its own: this test binary once more, in the part that its test named `host` plays. So a
//! test can kill its host, or let it be one that behaves badly.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

pub const PART: &str = "EXECUTION_ENGINE_TEST_PART";

/// Whether there can be namespaces of these kinds, told by options of `unshare`.
#[expect(clippy::disallowed_methods, reason = "it is asked what the machine can do")]
pub fn can_unshare(kinds: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(kinds).arg("true").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Gives up all rights for good, with all threads, for those of this user.
pub fn become_user(user: u32) {
    // SAFETY: numbers only, and an empty list.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(user, user, user), 0);
        assert_eq!(libc::setresuid(user, user, user), 0);
        // Without it /proc/self would be root's.
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    }
}

/// The part that this process is to play; None if it is the test itself.
pub fn part() -> Option<Vec<String>> {
    let part = std::env::var(PART).ok()?;
    Some(part.split_whitespace().map(str::to_string).collect())
}

/// Tells the test a line.
pub fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "host: {line}").unwrap();
    out.flush().unwrap();
}

/// Waits until the test says something, or has gone.
pub fn listen() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[derive(Debug)]
pub struct Host {
    pub process: Child,
    lines: std::sync::mpsc::Receiver<String>,
    stdin: Option<ChildStdin>,
}

impl Host {
    #[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
    pub fn start(part: &str) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), part)
    }

    /// Started in namespaces of its own by a shell line, which finds the host's command line in `$@`
    /// and a word more in `$0`.
    #[expect(clippy::disallowed_methods, reason = "a host is no child of an engine")]
    pub fn start_in(kinds: &[&str], line: &str, word: impl AsRef<OsStr>, part: &str) -> Self {
        let mut command = Command::new("unshare");
        command.args(kinds).args(["sh", "-c", line]).arg(word);
        command.arg(std::env::current_exe().unwrap());
        Self::start_by(command, part)
    }

    /// Started through another program, which executes the arguments that follow its own.
    fn start_by(mut command: Command, part: &str) -> Self {
        command.args(["host", "--exact", "--nocapture", "--test-threads=1"]).env(PART, part);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|length| length > 0) {
                if let Some((_, said)) = line.trim_end().split_once("host: ") {
                    let _nobody = tell.send(said.to_string());
                }
                line.clear();
            }
            let _rest = output.read_to_end(&mut Vec::new());
        });
        let stdin = process.stdin.take();
        Self { process, lines, stdin }
    }

    /// What it says next.
    pub fn says(&self) -> String {
        self.lines.recv_timeout(crate::PATIENCE).expect("the host says something")
    }

    /// Lets it go on.
    pub fn tell(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for its own end.
    pub fn end(mut self) -> std::process::ExitStatus {
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
