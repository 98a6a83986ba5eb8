//! The lease keeper: starts the worker proper, and ends it with all that it runs when its lease is over.
//!
//! The worker tells each new deadline through its stdout, and gets `d` (drain) and `e` (evict) through its stdin, whose
//! end tells that the keeper is gone. It is started in a control group of its own where there are control groups, so
//! that one write kills all, also a worker that stands still.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use execution_engine_process::{
    BootTimer, Child, Containment, Exit, Launch, Level, OutputMode, PipeReader, PipeWriter,
    ReadNow, Signal, Spawned, Stdin,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use super::{WorkerOptions, machine};
use crate::failure::Failure;
use crate::fleet::rest;
use crate::service::this_program;
use crate::{exit_code, message};

/// Pause before a new worker, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// A worker that lived so long has not failed at once.
const LONG: Duration = Duration::from_secs(60);
/// Longest silence about processes that cannot be killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Keeps a worker until it was drained.
pub(super) async fn run(options: &WorkerOptions) -> Result<u8, Failure> {
    BootTimer::check().map_err(|error| {
        Failure::new(format!(
            "a worker needs a timer that goes on while the system sleeps, and there is none here: {error}; run workers \
             on Linux"
        ))
    })?;
    let mut stop = Stop::new().map_err(Failure::new)?;
    let prefix = options.name.clone().unwrap_or_else(machine::prefix);
    let mut pause = PAUSES.0;
    let mut has_worked = false;
    loop {
        let (begun, name) = (Instant::now(), new_name(&prefix));
        let mut kept = Kept::start(&name)?;
        let ended = kept.watch(&mut stop).await?;
        let reason = match ended {
            Ended::LeaseOver => "its lease is over, and all that it ran is killed".to_owned(),
            Ended::Exited(Exit::Code(0)) => return Ok(0),
            // It has said why.
            Ended::Exited(Exit::Code(code)) if !has_worked && !kept.has_worked() => {
                return Ok(u8::try_from(code).unwrap_or(exit_code::OURS));
            }
            Ended::Exited(exit) => match exit {
                Exit::Code(code) => format!("it ended with code {code}"),
                other => format!("it ended ({other:?})"),
            },
        };
        has_worked |= kept.has_worked();
        if stop.asked > 0 {
            message::print(format!("worker {name}: {reason}"));
            return Ok(exit_code::OURS);
        }
        if begun.elapsed() >= LONG {
            pause = PAUSES.0;
        }
        message::print(format!("worker {name}: {reason}; a new one is started in {pause:?}"));
        tokio::select! {
            () = stop.next() => return Ok(0),
            () = rest(pause) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Returns a name that no worker had.
fn new_name(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &random[..16])
}

/// The signals that end the keeper.
struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    /// How many came.
    asked: u32,
}

impl Stop {
    fn new() -> io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, asked: 0 })
    }

    /// Waits for the next one. Cancel safe.
    async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {} _ = self.int.recv() => {} }
        self.asked += 1;
    }
}

/// How a worker ended.
enum Ended {
    LeaseOver,
    Exited(Exit),
}

/// A worker proper, with all that it runs.
struct Kept {
    name: String,
    child: Child,
    told: PipeReader,
    orders: PipeWriter,
    deadline: Deadline,
}

/// Until when the worker may live, as it has told. `None` before its first lease, when it runs nothing.
#[derive(Default)]
struct Deadline {
    at: Option<Duration>,
    timer: Option<BootTimer>,
    /// The part of a line that was read.
    line: Vec<u8>,
}

impl Kept {
    fn start(name: &str) -> Result<Self, Failure> {
        let (containment, is_exclusive) = match Containment::at(Level::Cgroup) {
            Ok(containment) => (containment, true),
            Err(error) => {
                tracing::info!(%error, "programs of the worker could outlive it");
                (Containment::strongest(), false)
            }
        };
        let mut launch = Launch::new(this_program()?);
        launch.args = std::env::args_os().collect();
        launch.args.extend([format!("--kept-as={name}").into()]);
        if is_exclusive {
            launch.args.push("--is-exclusive".into());
        }
        launch.env = std::env::vars_os().collect();
        (launch.stdin, launch.output) = (Stdin::Piped, OutputMode::InheritStderr);
        let spawned = containment.spawn(&launch);
        let failed = |why: String| Failure::new(format!("the worker cannot be started: {why}"));
        let Spawned { child, stdin, stdout, .. } =
            spawned.map_err(|error| failed(error.to_string()))?;
        let (orders, told) =
            stdin.zip(stdout).ok_or_else(|| failed("it has no pipes".to_owned()))?;
        let name = name.to_owned();
        Ok(Self { name, child, told, orders, deadline: Deadline::default() })
    }

    /// Returns `true` if it has held a lease.
    fn has_worked(&self) -> bool {
        self.deadline.at.is_some()
    }

    /// Watches over it until it has ended, with all that it ran.
    async fn watch(&mut self, stop: &mut Stop) -> Result<Ended, Failure> {
        let mut buffer = [0; 512];
        let mut is_open = true;
        let ended = loop {
            tokio::select! {
                biased;
                exit = poll_fn(|cx| self.child.poll_exit(cx)) => {
                    break Ended::Exited(exit.map_err(Failure::new)?);
                }
                () = self.deadline.passed() => {
                    // It may have told another one that was not read yet.
                    self.read_now();
                    if self.deadline.is_over() {
                        break Ended::LeaseOver;
                    }
                }
                read = self.told.read(&mut buffer), if is_open => {
                    let length = read.unwrap_or(0);
                    is_open = length > 0;
                    self.take(&buffer[..length]);
                }
                () = stop.next() => self.order(stop.asked).await,
            }
        };
        self.kill().await;
        Ok(ended)
    }

    /// Takes what the worker has told.
    fn take(&mut self, bytes: &[u8]) {
        let is_first = self.deadline.at.is_none();
        self.deadline.take(bytes);
        if is_first && self.deadline.at.is_some() {
            message::note(format!("worker {} is ready (process {})", self.name, self.child.id()));
        }
    }

    fn read_now(&mut self) {
        let mut bytes = Vec::new();
        while matches!(self.told.read_now(&mut bytes), Ok(ReadNow::Data(_))) {}
        self.take(&bytes);
    }

    /// Passes on that the keeper was told to end, for the first time or again.
    async fn order(&mut self, asked: u32) {
        let (order, says) = match asked {
            1 if !self.has_worked() => (b"d", "ends"),
            1 => (
                b"d",
                "takes no more executions, and ends when none runs; once more gives them back",
            ),
            2 => (b"e", "stops what it runs, and gives it back to the fleet"),
            _ => {
                // What cannot be killed now is told below.
                let _killed = self.child.signal(Signal::Kill);
                return;
            }
        };
        message::note(format!("worker {} {says}", self.name));
        // A worker that stands still takes no orders; its lease ends it.
        let written = timeout(Duration::from_secs(1), self.orders.write_all(order)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(worker = self.name, "the worker takes no orders");
        }
    }

    /// Kills the worker and all that it runs, and waits until nothing of it is left.
    async fn kill(&mut self) {
        let begun = Instant::now();
        let mut told = false;
        loop {
            // The look says whether it had an effect.
            let _killed = self.child.signal(Signal::Kill);
            match self.child.tree() {
                Ok(tree) if tree.is_empty() => break,
                Ok(tree) => {
                    let _again = timeout(Duration::from_millis(100), tree.changed()).await;
                }
                Err(_) => rest(Duration::from_millis(100)).await,
            }
            if begun.elapsed() > KILL_PATIENCE && !std::mem::replace(&mut told, true) {
                message::print(format!(
                    "worker {}: processes of it are left that cannot be killed; waiting for their end",
                    self.name
                ));
            }
        }
        if let Err(error) = self.child.reap() {
            tracing::debug!(%error, "the worker was reaped by others");
        }
    }
}

impl Deadline {
    /// Takes what the worker has told: a line with nanoseconds since the machine was started for each deadline.
    fn take(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
        let Some(end) = self.line.iter().rposition(|byte| *byte == b'\n') else { return };
        let lines = self.line.drain(..=end).collect::<Vec<_>>();
        let lines = String::from_utf8_lossy(&lines);
        let latest =
            lines.lines().filter_map(|line| line.parse().ok()).map(Duration::from_nanos).max();
        if latest > self.at {
            self.at = latest;
            self.timer = None;
        }
    }

    fn is_over(&self) -> bool {
        self.at.is_some_and(|at| BootTimer::now() >= at)
    }

    /// Waits for the deadline. Cancel safe.
    async fn passed(&mut self) {
        let Some(at) = self.at else { return std::future::pending().await };
        if self.timer.is_none() {
            self.timer = BootTimer::new(at).ok();
        }
        let fired = match &self.timer {
            Some(timer) => timer.expired().await.is_ok(),
            None => false,
        };
        if !fired {
            // No descriptor is left: the clock is looked at again and again.
            while !self.is_over() {
                rest(Duration::from_millis(50)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_only_grows_and_a_part_of_a_line_waits() {
        let mut deadline = Deadline::default();
        deadline.take(b"12");
        assert_eq!(deadline.at, None);
        deadline.take(b"0\n90\n7");
        assert_eq!(deadline.at, Some(Duration::from_nanos(120)));
        deadline.take(b"00\nnoise\n");
        assert_eq!(deadline.at, Some(Duration::from_nanos(700)));
        assert!(deadline.is_over());
    }
}
