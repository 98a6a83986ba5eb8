use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::KeeperError;

/// Longest time until a keeper must be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Variables of this process that a keeper has. Programs have none of them: a start brings its whole environment.
const PASSED: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "RUST_BACKTRACE"];

/// How a keeper is started.
#[derive(Debug, Clone)]
pub struct KeeperCommand {
    /// Program that calls [`run`](crate::run).
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables beside `PATH`, `HOME`, `LANG`, `TMPDIR`, `RUST_BACKTRACE` and those that begin with `EXENG_`, which
    /// it has from this process.
    pub env: Vec<(OsString, OsString)>,
    /// Directory that it will have, for errors.
    pub dir: PathBuf,
}

/// A keeper that this process has started and that goes on without it.
///
/// Dropping it leaves the keeper running; a thread waits for its end, so that no zombie stays.
#[derive(Debug)]
pub struct KeeperProcess(Option<Child>);

/// Starts a keeper and waits until it is ready. Blocks for as long.
///
/// # Errors
///
/// [`KeeperError::Io`] if the program cannot be started, [`KeeperError::NotReady`] if it ends or says nothing for 30 s;
/// it is killed then.
pub fn spawn(command: &KeeperCommand) -> Result<KeeperProcess, KeeperError> {
    let not_ready = |reason| KeeperError::NotReady { dir: command.dir.clone(), reason };
    let mut child = start(command).map_err(KeeperError::io("start", &command.program))?;
    let Some(output) = child.stdout.take() else { return Err(not_ready("no pipe".to_string())) };
    match wait_for_ready(output) {
        Ok(true) => Ok(KeeperProcess(Some(child))),
        Ok(false) => {
            let ended = child.wait().map_err(KeeperError::io("wait for", &command.program))?;
            Err(not_ready(format!("it ended with {ended}")))
        }
        Err(error) => {
            // It holds nothing yet. That it may be gone already is no error.
            let _gone = child.kill();
            let _status = child.wait();
            Err(not_ready(error.to_string()))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a keeper is no execution: it outlives this process")]
fn start(command: &KeeperCommand) -> io::Result<Child> {
    let mut child = Command::new(&command.program);
    let passed = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        PASSED.contains(&name.as_ref()) || name.starts_with("EXENG_")
    });
    child.args(&command.args).env_clear().envs(passed);
    child.envs(command.env.iter().map(|(name, value)| (name, value)));
    // It says on its standard error what goes wrong before it has its log.
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    child.current_dir("/").spawn()
}

/// Reads until the line `ready`. Returns `false` if the output ends before it.
fn wait_for_ready(mut output: ChildStdout) -> io::Result<bool> {
    let deadline = Instant::now() + READY_LIMIT;
    let mut read = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        let mut ready = [PollFd::new(&output, PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) => {
                let text = format!("it said nothing for {} s", READY_LIMIT.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 256];
        let count = output.read(&mut bytes)?;
        if count == 0 {
            return Ok(false);
        }
        read.extend_from_slice(&bytes[..count]);
        if read.split(|byte| *byte == b'\n').rev().skip(1).any(|line| line == b"ready") {
            return Ok(true);
        }
    }
}

impl KeeperProcess {
    /// Returns its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// Kills it with SIGKILL. What it runs dies with it.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn kill(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Child::kill)
    }

    /// Returns how it has ended; `None` while it lives.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Some(child) => child.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for KeeperProcess {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        let waiting = std::thread::Builder::new().name("keeper-wait".to_string());
        let waiting = waiting.stack_size(64 * 1024).spawn(move || child.wait());
        if let Err(error) = waiting {
            tracing::warn!(%error, "no thread waits for the end of a keeper, a zombie may stay");
        }
    }
}
