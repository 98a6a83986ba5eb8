//! A program that is played by this process: no process is started, but pipes, signals and the exit are
//! as those of one. For tests of code that runs programs.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::OFlags;
use tokio::io::Interest;

use crate::tree::WatchFd;
use crate::{
    Child, Exit, Launch, Level, Member, OutputMode, PipeReader, PipeWriter, Reaped, Signal,
    Spawned, Stdin, Tree, Usage,
};

/// The first id of a played program. No system gives a process an id as high, so a signal by this id
/// reaches none.
const FIRST_ID: u32 = 1 << 30;

/// The side that plays: its ends of the pipes, and its exit. Dropped without an exit, the program has
/// ended in an unknown way.
#[derive(Debug)]
pub struct PlayedProgram {
    /// What it reads, if its input is [piped](Stdin::Piped).
    pub stdin: Option<PipeReader>,
    /// Where it writes, unless that is the host's stream; both streams if they are merged.
    pub stdout: Option<PipeWriter>,
    /// Where it writes errors, if that is separate.
    pub stderr: Option<PipeWriter>,
    exit: Arc<OnceLock<Exit>>,
    /// Closed after the pipes: what was written is there when the exit is seen.
    _exit: OwnedFd,
}

/// The side of the host.
pub(crate) struct PlayedProcess {
    id: u32,
    name: String,
    level: Level,
    exit: Arc<OnceLock<Exit>>,
    /// Its other end is closed when the program ends.
    exit_fd: OwnedFd,
    on_signal: Box<dyn Fn(Signal) + Send + Sync>,
}

impl PlayedProgram {
    /// Starts to play a program: returns it as its host sees it, and the side that plays. Each signal
    /// that it gets while it has not ended is passed to `on_signal`, which is dropped with the child.
    ///
    /// # Errors
    /// The system's error if a pipe could not be made.
    pub fn start(
        launch: &Launch,
        level: Level,
        on_signal: impl Fn(Signal) + Send + Sync + 'static,
    ) -> io::Result<(Spawned, Self)> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        let is_piped = matches!(launch.stdin, Stdin::Piped);
        let (stdin, host_stdin) = pipe_if(is_piped)?;
        let (host_stdout, stdout) = pipe_if(launch.output != OutputMode::Inherit)?;
        let (host_stderr, stderr) = pipe_if(launch.output == OutputMode::Separate)?;
        let (exit_fd, end) = io::pipe()?;
        let exit = Arc::new(OnceLock::new());
        let name = launch.program.file_name().unwrap_or(launch.program.as_os_str());
        let process = PlayedProcess {
            id: FIRST_ID + NEXT_ID.fetch_add(1, Ordering::Relaxed) % FIRST_ID,
            name: name.to_string_lossy().into_owned(),
            level,
            exit: Arc::clone(&exit),
            exit_fd: exit_fd.into(),
            on_signal: Box::new(on_signal),
        };
        let spawned = Spawned {
            child: Child::played(process),
            stdin: host_stdin.map(PipeWriter::new),
            stdout: host_stdout.map(PipeReader::new),
            stderr: host_stderr.map(PipeReader::new),
        };
        let program = Self {
            stdin: stdin.map(PipeReader::new),
            stdout: stdout.map(PipeWriter::new),
            stderr: stderr.map(PipeWriter::new),
            exit,
            _exit: end.into(),
        };
        Ok((spawned, program))
    }

    /// Ends the program.
    pub fn exit(self, exit: Exit) {
        let _first = self.exit.set(exit);
    }
}

impl Drop for PlayedProgram {
    fn drop(&mut self) {
        // Before the descriptor is closed, which tells of it.
        let _unless_set = self.exit.set(Exit::Unknown);
    }
}

/// Creates a pipe whose ends are both non-blocking, reading first.
fn pipe_if(is_wanted: bool) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    if !is_wanted {
        return Ok((None, None));
    }
    let (read, write) = io::pipe()?;
    let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
    for end in [&read, &write] {
        rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)?;
    }
    Ok((Some(read), Some(write)))
}

impl PlayedProcess {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn exit_fd(&self) -> &OwnedFd {
        &self.exit_fd
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit.get().copied()
    }

    /// Returns its tree: itself, until it has ended.
    pub(crate) fn tree(&self) -> io::Result<Tree> {
        if self.exit().is_some() {
            return Ok(Tree::empty(true));
        }
        let fd = self.exit_fd.as_fd().try_clone_to_owned()?;
        let itself = Member { pid: self.id, name: self.name.clone() };
        let watch = vec![WatchFd { fd, ready: Interest::READABLE }];
        Ok(Tree { members: vec![itself], occupied: true, watch, ..Tree::empty(true) })
    }

    /// Passes a signal on, and returns how many received it.
    pub(crate) fn signal(&self, signal: Signal) -> u32 {
        if self.exit().is_some() {
            return 0;
        }
        (self.on_signal)(signal);
        1
    }

    pub(crate) fn reap(&self) -> Option<Reaped> {
        self.exit().map(|exit| Reaped { exit, usage: Usage::default() })
    }
}

impl fmt::Debug for PlayedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayedProcess").field("id", &self.id).finish_non_exhaustive()
    }
}
