use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use execution_engine_process::{Level, Signal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Attempt, Ending, ExecutionMetadata, ExecutionStatus, OutputStream, millis};
use crate::error::Result;

/// What came of an execution. Every ending has one, also a timeout or a program that could not be
/// started. Its `Debug` output is short however long the output was.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExecutionResult {
    /// The execution.
    pub id: Uuid,
    /// Where it ended.
    pub status: ExecutionStatus,
    /// Whether the program ended by itself with exit code 0.
    pub success: bool,
    /// The exit code, or -1 where there is none.
    pub exit_code: i32,
    /// What is kept of standard output, as text: invalid UTF-8 is shown as U+FFFD, the final
    /// newline is kept, and truncated output ends with a line that says so.
    pub stdout: String,
    /// The same of standard error.
    pub stderr: String,
    /// How long it waited in the [queue](crate::Admission::Queue) before; in JSON as `waited_ms`.
    #[serde(rename = "waited_ms", with = "millis")]
    pub waited: Duration,
    /// From the start to the ending; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// When the program was started, or should have been.
    pub started_at: DateTime<Utc>,
    /// When it had ended, its tree was gone and its output collected.
    pub completed_at: DateTime<Utc>,
    /// Why it ended, where the exit code does not say it: a signal by name, a timeout, a limit.
    pub error: Option<String>,
    /// Where the rest of standard output is, under
    /// [`StreamToFile`](crate::OversizedOutputStrategy::StreamToFile). The file goes with its
    /// record or its engine; to keep it, use
    /// [`take_overflow`](crate::ExecutionEngine::take_overflow). None when it has been taken.
    pub stdout_overflow_file: Option<PathBuf>,
    /// Where the rest of standard error is.
    pub stderr_overflow_file: Option<PathBuf>,
    /// The ending that all of the above is derived from.
    pub ending: Ending,
    /// The number of the signal that ended the program, whoever sent it.
    pub signal: Option<i32>,
    /// What it used; None if it never ran or the system did not tell.
    pub usage: Option<ResourceUsage>,
    /// Bytes on standard output.
    pub stdout_stats: StreamStats,
    /// Bytes on standard error.
    pub stderr_stats: StreamStats,
    /// What was done so that nothing outlives it.
    pub containment: ContainmentReceipt,
    /// Why a log or an overflow file is not complete, or a stream was not read to its end, where that did
    /// not end the execution.
    pub output_error: Option<String>,
    /// How many lines event handlers had missed by then because they were stuck.
    pub lines_missed: u64,
    /// The attempts that failed before, with [`retry`](crate::ExecutionOptions::retry): output, usage
    /// and containment of this result are those of the last one, its duration is that of all of them
    /// and the pauses between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_attempts: Vec<Attempt>,
    #[serde(skip)]
    pub(crate) raw: RawOutput,
}

/// The bytes behind the texts of a result. They are a view of the same output and are not compared.
#[derive(Clone, Default)]
pub(crate) struct RawOutput(Option<[Bytes; 2]>);

impl RawOutput {
    pub(crate) fn of(streams: [Bytes; 2]) -> Self {
        Self(Some(streams))
    }

    fn bytes(&self, stream: OutputStream, text: &str) -> Bytes {
        let whole = || Bytes::copy_from_slice(text.as_bytes());
        self.0.as_ref().map_or_else(whole, |streams| streams[stream.index()].clone())
    }
}

impl PartialEq for RawOutput {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl ExecutionResult {
    /// What is kept of standard output, byte for byte, without any warning. Shared with the record
    /// of the execution, not copied, unless the first and the last part are kept.
    ///
    /// A result that was read from JSON has only its text, and gives the bytes of that.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let result = engine.run(ExecutionRequest::shell(r"printf '\377\n'")).await?;
    /// assert_eq!(result.stdout, "\u{fffd}\n");
    /// assert_eq!(&result.stdout_bytes()[..], b"\xff\n");
    /// # Ok(()) }
    /// ```
    pub fn stdout_bytes(&self) -> Bytes {
        self.raw.bytes(OutputStream::Stdout, &self.stdout)
    }

    /// The same of standard error.
    pub fn stderr_bytes(&self) -> Bytes {
        self.raw.bytes(OutputStream::Stderr, &self.stderr)
    }

    /// Of one that has no record, because it never came to the engine.
    pub(crate) fn without_program(
        id: Uuid,
        ending: Ending,
        at: DateTime<Utc>,
        level: Level,
    ) -> Self {
        Self {
            id,
            status: ending.status(),
            success: false,
            exit_code: ending.exit_code(),
            stdout: String::new(),
            stderr: String::new(),
            waited: Duration::ZERO,
            duration: Duration::ZERO,
            started_at: at,
            completed_at: at,
            error: ending.message(),
            stdout_overflow_file: None,
            stderr_overflow_file: None,
            ending,
            signal: None,
            usage: None,
            stdout_stats: StreamStats::default(),
            stderr_stats: StreamStats::default(),
            containment: ContainmentReceipt::nothing(level),
            output_error: None,
            lines_missed: 0,
            earlier_attempts: Vec::new(),
            raw: RawOutput::default(),
        }
    }

    /// The result itself for a success, else its ending as an error, for use with `?`.
    ///
    /// # Errors
    /// The [`ExecutionError`](crate::ExecutionError) that [`Ending::error`] gives.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let bad = engine.run(ExecutionRequest::shell("exit 3")).await?.into_result();
    /// assert_eq!(bad, Err(ExecutionError::ExitCode(3)));
    /// # Ok(()) }
    /// ```
    pub fn into_result(self) -> Result<Self> {
        match self.ending.error() {
            None => Ok(self),
            Some(error) => Err(error),
        }
    }
}

impl fmt::Debug for ExecutionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutionResult")
            .field("id", &self.id)
            .field("ending", &self.ending)
            .field("duration", &self.duration)
            .field("stdout", &Excerpt(&self.stdout))
            .field("stderr", &Excerpt(&self.stderr))
            .field("containment", &self.containment)
            .finish_non_exhaustive()
    }
}

/// The beginning of a text, and how long it is.
struct Excerpt<'a>(&'a str);

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let end = self.0.floor_char_boundary(SHOWN);
        write!(f, "{:?}", &self.0[..end])?;
        if end < self.0.len() { write!(f, ".. ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

/// How many bytes a stream had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStats {
    /// Bytes that the program wrote and the engine read.
    pub seen_bytes: u64,
    /// Bytes of them kept, in memory and in the overflow file together.
    pub kept_bytes: u64,
}

/// What an execution used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceUsage {
    /// CPU time in user mode; in JSON as `user_ms`.
    #[serde(rename = "user_ms", with = "millis")]
    pub user: Duration,
    /// CPU time in the kernel; in JSON as `system_ms`.
    #[serde(rename = "system_ms", with = "millis")]
    pub system: Duration,
    /// The most memory that was resident at a time, in bytes. None if that was no more than the peak of
    /// the process that holds the engine: on Linux less cannot be told from that.
    pub peak_memory_bytes: Option<u64>,
    /// How often it gave up the CPU by itself.
    pub voluntary_switches: u64,
    /// How often the CPU was taken from it.
    pub involuntary_switches: u64,
    /// What its whole tree used, those included that nobody waited for; None unless a
    /// [control group](crate::ContainmentLevel::Cgroup) counted it.
    pub tree: Option<TreeUsage>,
}

/// What a whole process tree used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeUsage {
    /// CPU time in user mode; in JSON as `user_ms`.
    #[serde(rename = "user_ms", with = "millis")]
    pub user: Duration,
    /// CPU time in the kernel; in JSON as `system_ms`.
    #[serde(rename = "system_ms", with = "millis")]
    pub system: Duration,
    /// The most memory that was in use at a time, in bytes; known where
    /// [`tree_memory_bytes`](crate::Limits::tree_memory_bytes) is set.
    pub peak_memory_bytes: Option<u64>,
}

/// What was done so that nothing outlives an execution, and what the system could prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContainmentReceipt {
    /// The level in force.
    pub level: Level,
    /// Whether it is certain that no process of the tree is left besides those named here: the system
    /// says so, which it does at the cgroup level alone. A process that had the right to move itself
    /// out of its group, and did, can have escaped it.
    pub proven: bool,
    /// How many processes were still alive when the engine had to stop the tree. On systems other than
    /// Linux the members of a group cannot be counted, and it is 1 for all of them.
    pub stopped: u32,
    /// The last signal that reached somebody; None if nothing had to be stopped.
    pub signal: Option<Signal>,
    /// How long stopping took; in JSON as `took_ms`.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
    /// Processes that could not be stopped.
    pub survivors: Vec<Survivor>,
    /// Processes that were left alive on purpose, as
    /// [`Leftovers::Leave`](crate::Leftovers::Leave) asks.
    pub left_running: Vec<Survivor>,
}

impl ContainmentReceipt {
    /// Where there was nothing to stop.
    pub(crate) fn nothing(level: Level) -> Self {
        Self {
            level,
            proven: true,
            stopped: 0,
            signal: None,
            took: Duration::ZERO,
            survivors: Vec::new(),
            left_running: Vec::new(),
        }
    }
}

/// A process that is still alive after its execution has ended. On systems other than Linux one entry
/// of the name `(process group)`, with the id of the group, stands for all who are left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Survivor {
    /// Its process id.
    pub pid: u32,
    /// Its name, as far as the system tells it.
    pub name: String,
    /// Why it is still there.
    pub reason: String,
}

/// What [`shutdown`](crate::ExecutionEngine::shutdown) has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The executions that were alive, as they have ended.
    pub ended: Vec<ExecutionSummary>,
    /// Processes of theirs that could not be stopped.
    pub survivors: Vec<Survivor>,
    /// How long it took; in JSON as `took_ms`.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
}

/// One line of [`list_executions`](crate::ExecutionEngine::list_executions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExecutionSummary {
    /// The execution.
    pub id: Uuid,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The command as one would type it.
    pub command: String,
    /// When it was started; for one that waits in the queue, this moment.
    pub started_at: DateTime<Utc>,
    /// How long it took, or has been running; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// The ending, once there is one.
    pub ending: Option<Ending>,
    /// The notes of its request.
    pub metadata: ExecutionMetadata,
}
