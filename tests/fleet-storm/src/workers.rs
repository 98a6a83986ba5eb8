//! Workers of a storm: an `exeng worker` on each node, whose keeper starts one worker after the other.

use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::network::command;

/// Starts a keeper, tells its number, and kills it when standard input ends: when the test wants it,
/// or when the test process is gone. The shell waits for it, so that its number stays its own.
const GUARD: &str =
    r#""$@" </dev/null >/dev/null & echo $!; exec 2>/dev/null; read -r _; kill -KILL $!; wait $!"#;

/// Which of the two processes of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The one that ends the other.
    Keeper,
    /// The one that works.
    Worker,
}

/// One worker, from the moment when it was ready to its end.
#[derive(Debug, Clone)]
pub struct WorkerLife {
    /// Its name, which is new for each.
    pub id: String,
    /// Its process.
    pub pid: u32,
    /// When it was ready.
    pub began: Instant,
    /// When it had ended.
    pub ended: Option<Instant>,
    /// Whether its keeper was stopped for a while, so that it may have missed the deadline.
    pub keeper_failed: bool,
}

/// Workers at one node: one keeper at a time, and one worker below it.
pub struct WorkerNode {
    /// What begins the commands: what enters the network of the node, and what else a test wants.
    pub enter: Vec<String>,
    /// The program, as `exeng worker ..`.
    worker: Vec<String>,
    state_dir: PathBuf,
    running: Option<Running>,
    seen: Arc<Mutex<Seen>>,
}

struct Running {
    guard: Child,
    stdin: Option<ChildStdin>,
    keeper: Arc<OwnedFd>,
    stopped: Vec<Arc<OwnedFd>>,
}

/// What the keepers of a node have told.
#[derive(Default)]
struct Seen {
    lives: Vec<(WorkerLife, Arc<OwnedFd>)>,
    /// A keeper was stopped, which may have started a worker that it has not told yet.
    has_failed: bool,
    log: String,
}

impl WorkerNode {
    /// Creates a node without a worker.
    pub(crate) fn new(enter: Vec<String>, worker: Vec<String>, state_dir: PathBuf) -> Self {
        Self { enter, worker, state_dir, running: None, seen: Arc::default() }
    }

    /// Starts a keeper, which starts a worker.
    ///
    /// # Panics
    ///
    /// If one runs.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "{:?} runs", self.worker);
        let mut guard = command("sh")
            .args(["-c", GUARD, "guard"])
            .args(&self.enter)
            .args(&self.worker)
            .env("EXENG_STATE_DIR", &self.state_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let keeper = pidfd(line.trim()).expect("the guard waits for it");
        let (told, seen) = (guard.stderr.take().unwrap(), Arc::clone(&self.seen));
        std::thread::spawn(move || listen(told, &seen));
        let stdin = guard.stdin.take();
        let stopped = Vec::new();
        self.running = Some(Running { guard, stdin, keeper: Arc::new(keeper), stopped });
    }

    /// Kills one of the two processes. A keeper starts another worker; a worker gives back what it has
    /// when its keeper is gone.
    pub fn kill(&mut self, part: Part) {
        if let Some(process) = self.process(part) {
            signal(&process, Signal::KILL);
        }
    }

    /// Stops one of the two processes.
    pub fn stop(&mut self, part: Part) {
        self.stop_unnoticed(part);
        if part == Part::Keeper {
            let mut seen = self.seen.lock();
            seen.has_failed = true;
            seen.lives.last_mut().into_iter().for_each(|(life, _)| life.keeper_failed = true);
        }
    }

    /// Stops one of the two processes, and does not note that a keeper was stopped: a fault that the
    /// checks must find.
    pub fn stop_unnoticed(&mut self, part: Part) {
        let process = self.process(part);
        if let (Some(process), Some(running)) = (process, &mut self.running) {
            signal(&process, Signal::STOP);
            running.stopped.push(process);
        }
    }

    /// Lets all that was stopped go on.
    pub fn resume(&mut self) {
        let stopped = self.running.as_mut().map(|running| std::mem::take(&mut running.stopped));
        stopped.into_iter().flatten().for_each(|process| signal(&process, Signal::CONT));
    }

    fn process(&self, part: Part) -> Option<Arc<OwnedFd>> {
        match part {
            Part::Keeper => self.running.as_ref().map(|running| Arc::clone(&running.keeper)),
            Part::Worker => self.seen.lock().lives.last().map(|(_, pidfd)| Arc::clone(pidfd)),
        }
    }

    /// Returns `true` if no keeper runs.
    pub fn look(&mut self) -> bool {
        if self.running.as_ref().is_some_and(|running| has_ended(&running.keeper)) {
            self.end();
        }
        self.running.is_none()
    }

    /// Returns all workers so far.
    pub fn lives(&self) -> Vec<WorkerLife> {
        self.seen.lock().lives.iter().map(|(life, _)| life.clone()).collect()
    }

    /// Returns what its processes have logged.
    pub fn logs(&self) -> String {
        self.seen.lock().log.clone()
    }

    /// Ends the keeper, whose worker ends then, too.
    fn end(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.stdin = None;
        let _killed = running.guard.wait();
    }
}

impl Drop for WorkerNode {
    fn drop(&mut self) {
        self.resume();
        self.end();
    }
}

/// Notes what a keeper tells, until it and its worker are gone.
fn listen(told: impl Read, seen: &Arc<Mutex<Seen>>) {
    for line in BufReader::new(told).lines().map_while(Result::ok) {
        let ready = line.split_once(" is ready (process ").and_then(|(name, pid)| {
            let id = name.rsplit(' ').next()?.to_owned();
            let pid = pid.trim_end_matches(')');
            Some((id, pid.parse().ok()?, Arc::new(pidfd(pid)?)))
        });
        let mut locked = seen.lock();
        locked.log += &format!("{line}\n");
        let Some((id, pid, process)) = ready else { continue };
        let keeper_failed = std::mem::take(&mut locked.has_failed);
        let life = WorkerLife { id, pid, began: Instant::now(), ended: None, keeper_failed };
        let number = locked.lives.len();
        locked.lives.push((life, Arc::clone(&process)));
        drop(locked);
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            let mut fds = [PollFd::new(&*process, PollFlags::IN)];
            while poll(&mut fds, None).is_err() {}
            seen.lock().lives[number].0.ended = Some(Instant::now());
        });
    }
}

/// Returns a process, if it is there.
fn pidfd(pid: &str) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid.parse().ok()?)?, PidfdFlags::empty()).ok()
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
}

fn signal(process: &OwnedFd, signal: Signal) {
    // It may have ended by itself.
    let _ended = pidfd_send_signal(process, signal);
}
