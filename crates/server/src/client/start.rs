//! Starts the service in the background.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;

use tokio::sync::oneshot;

use super::error::ClientError;
use crate::state_dir::StateDir;

/// Most bytes of the log that an error quotes.
const QUOTED: u64 = 4096;
/// Length from which on the log is begun anew when the service starts.
const LONGEST_LOG: u64 = 4 << 20;

/// The program that is the service. It is started with these arguments and `--state-dir`, `--socket` and
/// `--config`, which name all places; it makes a session of its own. Until it is ready its standard output is a pipe, to
/// which it writes why it ends: its standard error is the log, for which the disk may have no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProgram {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<OsString>,
}

/// A service that was started and may not answer yet.
pub(super) struct Starting {
    ended: oneshot::Receiver<End>,
    log: PathBuf,
    /// Where in the log its messages begin.
    from: u64,
}

/// End of a service.
struct End {
    status: io::Result<ExitStatus>,
    /// Why, in its own words; empty if it was ready before, or could say nothing.
    said: String,
}

impl Starting {
    /// Starts the service. It outlives this process.
    pub(super) fn begin(program: &ServiceProgram, state: &StateDir) -> Result<Self, ClientError> {
        state.create()?;
        let log = state.path().join("service.log");
        let failed = |what: &Path, error: io::Error| ClientError::Start {
            reason: format!("{}: {error}", what.display()),
        };
        let file = open_log(&log).map_err(|error| failed(&log, error))?;
        let from = file.metadata().map_err(|error| failed(&log, error))?.len();
        let mut child = command(program, state, &file)
            .and_then(|mut command| command.spawn())
            .map_err(|error| failed(&program.program, error))?;
        let (sender, ended) = oneshot::channel();
        // A thread, and none of the runtime: that would wait for it, and the service stays.
        let wait = move || {
            let said = child.stdout.take().map(said_on).unwrap_or_default();
            drop(sender.send(End { status: child.wait(), said }));
        };
        let thread = thread::Builder::new().name("exeng service".into()).spawn(wait);
        thread.map_err(|error| failed(&program.program, error))?;
        Ok(Self { ended, log, from })
    }

    /// Returns what the service said, if it has ended.
    pub(super) fn failure(&mut self) -> Option<String> {
        let status = match self.ended.try_recv() {
            Ok(End { said, .. }) if !said.is_empty() => return Some(said),
            Ok(End { status: Ok(status), .. }) if status.success() => {
                return Some("it was told to end as soon as it had started; try again".to_string());
            }
            Ok(End { status: Ok(status), .. }) => status.to_string(),
            Ok(End { status: Err(error), .. }) => error.to_string(),
            Err(oneshot::error::TryRecvError::Empty) => return None,
            Err(oneshot::error::TryRecvError::Closed) => "it cannot be watched".to_string(),
        };
        // What the system says before the program runs, or a panic.
        let said = read_from(&self.log, self.from).unwrap_or_default();
        Some(match last_message(&said) {
            Some(text) => text.to_string(),
            None => format!("it ended ({status}) without a word; see {}", self.log.display()),
        })
    }
}

/// Reads what a service says until it is ready or has ended.
fn said_on(stdout: impl io::Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is better than nothing.
    let _end = stdout.take(QUOTED).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim_end().to_string()
}

/// Returns the last message of a log, which may have several lines, or its last line.
fn last_message(log: &str) -> Option<&str> {
    const BEGIN: &str = "exeng: ";
    let log = log.trim_end();
    let after_line = log.rfind(&format!("\n{BEGIN}")).map(|at| at + 1);
    match after_line.or_else(|| log.starts_with(BEGIN).then_some(0)) {
        Some(at) => Some(&log[at + BEGIN.len()..]),
        None => log.lines().next_back(),
    }
}

/// Creates the command line of the service.
#[expect(
    clippy::disallowed_methods,
    reason = "the service is no execution: it outlives this process"
)]
fn command(
    program: &ServiceProgram,
    state: &StateDir,
    log: &File,
) -> io::Result<std::process::Command> {
    let mut command = std::process::Command::new(&program.program);
    command.args(&program.args);
    command.arg("--state-dir").arg(state.path());
    command.arg("--socket").arg(state.socket());
    command.arg("--config").arg(state.config());
    // What is only the caller's, such as a token, does not belong into a process that stays.
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_for_service(name)));
    // It must not keep the directory of the first client from being unmounted.
    command.current_dir(state.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?);
    Ok(command)
}

/// Returns `true` for a variable that the service, its libraries or its settings need.
fn is_for_service(name: &OsStr) -> bool {
    const NAMES: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ"];
    const BEGINNINGS: [&str; 5] = ["EXENG_", "XDG_", "LC_", "LD_", "RUST_"];
    let name = name.to_string_lossy();
    NAMES.contains(&&*name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
}

/// Opens the log, and begins it anew if it has become long.
fn open_log(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.len() > LONGEST_LOG {
        file.set_len(0)?;
    }
    Ok(file)
}

fn read_from(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = from.max(file.metadata()?.len().saturating_sub(QUOTED));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(QUOTED).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
