//! Results of executions: output, usage, and the receipt of the containment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use execution_engine_process::{Level, Signal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Artifact, Attempt, Ending, ExecutionStatus, ExecutionSummary, OutputStream, Place, millis,
};

/// Result of an execution. Every ending has one, also a timeout or a program that could not be
/// started. The `Debug` output is short however long the output was.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExecutionResult {
    /// The execution.
    pub id: Uuid,
    /// Final status.
    pub status: ExecutionStatus,
    /// `true` if the program exited by itself with code 0.
    pub success: bool,
    /// Exit code, or -1 if there is none.
    pub exit_code: i32,
    /// The part of standard output that was kept, as text: invalid UTF-8 is shown as U+FFFD, the
    /// final newline is kept, and truncated output ends with a line that says so.
    pub stdout: String,
    /// Like `stdout`, but of standard error.
    pub stderr: String,
    /// Time in the [queue](crate::Admission::Queue) before the start; in JSON as `waited_ms`.
    #[serde(rename = "waited_ms", with = "millis")]
    pub waited: Duration,
    /// From the start to the ending, zero if no start was tried; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// When the program was started, or should have been; when its wait was over, if no start was
    /// tried.
    pub started_at: DateTime<Utc>,
    /// When the program had exited, its tree was stopped and its output read.
    pub completed_at: DateTime<Utc>,
    /// The ending in words, unless it is an exit code: a signal by name, a timeout, a limit.
    pub error: Option<String>,
    /// File with the rest of standard output, under
    /// [`StreamToFile`](crate::OversizedOutputStrategy::StreamToFile). It is removed with the
    /// record or the engine; [`take_overflow`](crate::ExecutionEngine::take_overflow) keeps it.
    /// None if it has been taken.
    pub stdout_overflow_file: Option<PathBuf>,
    /// File with the rest of standard error.
    pub stderr_overflow_file: Option<PathBuf>,
    /// Ending that all of the above is derived from.
    pub ending: Ending,
    /// Number of the signal that killed the program, also if the engine sent it.
    pub signal: Option<i32>,
    /// Resources it used; None if it never ran or the system did not report them.
    pub usage: Option<ResourceUsage>,
    /// Sizes of standard output.
    pub stdout_stats: StreamStats,
    /// Sizes of standard error.
    pub stderr_stats: StreamStats,
    /// `true` if `stdout` or `stderr` does not have all that was written, because it exceeded the
    /// [limit](crate::ExecutionConfig::max_output_size_bytes). The rest may be in an overflow file.
    #[serde(default)]
    pub truncated: bool,
    /// What was done so that no process outlives it.
    pub containment: ContainmentReceipt,
    /// Reason why a log or an overflow file is incomplete, or a stream was not read to its end, if
    /// that did not end the execution.
    pub output_error: Option<String>,
    /// Number of lines that event handlers had missed because they were stuck.
    pub lines_missed: u64,
    /// Number of attempts to run the program: 1 without [`retry`](crate::ExecutionOptions::retry),
    /// and 0 if the execution was stopped before its program was first started.
    pub attempts: u32,
    /// Earlier attempts that failed, with [`retry`](crate::ExecutionOptions::retry): all of them,
    /// or the first ten and the last ten. Output, usage and containment of this result are those of
    /// the last attempt; its duration is that of all attempts and the delays between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_attempts: Vec<Attempt>,
    /// Where it ran; None if this engine ran it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Files that were [collected](crate::ExecutionOptions::collect). The
    /// [backend](crate::Backend) has their content for as long as it keeps it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// What was to be collected and was not: patterns that name no file, and files that could not be
    /// kept, with the reason. It changes nothing about the ending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collect_errors: Vec<String>,
    #[serde(skip)]
    pub(crate) raw: RawOutput,
}

/// Bytes behind the texts of a result. They are a view of the same output and are not compared.
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
    /// Creates the result of an execution whose host has died, for a history or a service that finds
    /// that out: the ending is [`Lost`](Ending::Lost), there is no output, and nothing says what became
    /// of the processes. Set the other fields to what is known.
    ///
    /// `lost_at` is when the host is known to have been gone. A clock that was set back makes no
    /// negative duration.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let started_at = "2026-10-01T12:00:00Z".parse().unwrap();
    /// let lost_at = "2026-10-01T12:00:05Z".parse().unwrap();
    /// let mut result = ExecutionResult::lost(Uuid::nil(), started_at, lost_at, "the power failed");
    /// result.stdout_stats.seen_bytes = 120;
    /// assert_eq!((result.status, result.success), (ExecutionStatus::Lost, false));
    /// assert_eq!(result.error.as_deref(), Some("lost: the power failed"));
    /// assert_eq!(result.duration, Duration::from_secs(5));
    /// ```
    pub fn lost(
        id: Uuid,
        started_at: DateTime<Utc>,
        lost_at: DateTime<Utc>,
        reason: impl Into<String>,
    ) -> Self {
        Self::unobserved(id, started_at, lost_at, Ending::Lost { reason: reason.into() })
    }

    /// Creates the result of an execution of which nothing is known but its ending, for a
    /// [backend](crate::Backend): there is no output, and nothing says what became of the processes.
    /// Set the other fields to what is known. A clock that was set back makes no negative duration.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let at = "2026-10-01T12:00:00Z".parse().unwrap();
    /// let ending = Ending::WorkerLost { worker: "w1".to_string(), attempts: 1 };
    /// let result = ExecutionResult::unobserved(Uuid::nil(), at, at, ending);
    /// assert_eq!(result.error.as_deref(), Some("worker w1 was lost, after 1 attempt"));
    /// ```
    pub fn unobserved(
        id: Uuid,
        started_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
        ending: Ending,
    ) -> Self {
        let containment = ContainmentReceipt {
            proven: false,
            ..ContainmentReceipt::nothing(Level::ProcessGroup)
        };
        Self {
            id,
            status: ending.status(),
            success: ending.is_success(),
            exit_code: ending.exit_code(),
            stdout: String::new(),
            stderr: String::new(),
            waited: Duration::ZERO,
            duration: (ended_at - started_at).to_std().unwrap_or_default(),
            started_at,
            completed_at: ended_at,
            error: ending.message(),
            stdout_overflow_file: None,
            stderr_overflow_file: None,
            ending,
            signal: None,
            usage: None,
            stdout_stats: StreamStats::default(),
            stderr_stats: StreamStats::default(),
            truncated: false,
            containment,
            output_error: None,
            lines_missed: 0,
            attempts: 1,
            earlier_attempts: Vec::new(),
            place: None,
            artifacts: Vec::new(),
            collect_errors: Vec::new(),
            raw: RawOutput::default(),
        }
    }

    /// Returns the part of standard output that was kept, byte for byte, without any warning. The
    /// bytes are shared with the record of the execution and not copied, unless the first and the
    /// last part are kept.
    ///
    /// A result that was read from JSON has only its text, and returns the bytes of that.
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

    /// Returns the result with another ending, and with the status, exit code and error that follow from
    /// it, for a [backend](crate::Backend) where something else had decided before the program ended.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let at = "2026-10-01T12:00:00Z".parse().unwrap();
    /// let result = ExecutionResult::unobserved(Uuid::nil(), at, at, Ending::Exited { code: 0 });
    /// assert_eq!(result.with_ending(Ending::Cancelled).status, ExecutionStatus::Cancelled);
    /// ```
    #[must_use]
    pub fn with_ending(mut self, ending: Ending) -> Self {
        self.status = ending.status();
        self.success = ending.is_success();
        self.exit_code = ending.exit_code();
        self.error = ending.message();
        self.ending = ending;
        self
    }

    /// Like [`stdout_bytes`](Self::stdout_bytes), but of standard error.
    pub fn stderr_bytes(&self) -> Bytes {
        self.raw.bytes(OutputStream::Stderr, &self.stderr)
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

/// Beginning of a text and its length.
struct Excerpt<'a>(&'a str);

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let end = self.0.floor_char_boundary(SHOWN);
        write!(f, "{:?}", &self.0[..end])?;
        if end < self.0.len() { write!(f, ".. ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

/// Number of bytes of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStats {
    /// Bytes that the program wrote and the engine read.
    pub seen_bytes: u64,
    /// Bytes kept, in memory and in the overflow file together.
    pub kept_bytes: u64,
}

/// Resources that an execution used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceUsage {
    /// CPU time in user mode; in JSON as `user_ms`.
    #[serde(rename = "user_ms", with = "millis")]
    pub user: Duration,
    /// CPU time in the kernel; in JSON as `system_ms`.
    #[serde(rename = "system_ms", with = "millis")]
    pub system: Duration,
    /// Peak resident memory in bytes. None if it was not above the peak of the host process: Linux
    /// cannot distinguish the two then.
    pub peak_memory_bytes: Option<u64>,
    /// Number of voluntary context switches.
    pub voluntary_switches: u64,
    /// Number of involuntary context switches.
    pub involuntary_switches: u64,
    /// Resources of the whole process tree, including processes that were not waited for; None
    /// unless a [control group](crate::ContainmentLevel::Cgroup) counted them.
    pub tree: Option<TreeUsage>,
}

/// Resources that a whole process tree used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeUsage {
    /// CPU time in user mode; in JSON as `user_ms`.
    #[serde(rename = "user_ms", with = "millis")]
    pub user: Duration,
    /// CPU time in the kernel; in JSON as `system_ms`.
    #[serde(rename = "system_ms", with = "millis")]
    pub system: Duration,
    /// Peak memory in bytes; known if
    /// [`tree_memory_bytes`](crate::Limits::tree_memory_bytes) is set.
    pub peak_memory_bytes: Option<u64>,
}

/// Receipt of a containment: what was done so that no process outlives an execution, and whether
/// that is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContainmentReceipt {
    /// The level in force.
    pub level: Level,
    /// `true` if the system confirms that no process of the tree is left besides those named here,
    /// which it does at the cgroup level only. A process that had the right to leave its group, and
    /// did, can have escaped.
    pub proven: bool,
    /// Number of processes that were still alive when the engine stopped the tree. On systems other
    /// than Linux the members of a group cannot be counted, and it is 1 for all of them.
    pub stopped: u32,
    /// Last signal that reached a process; None if nothing had to be stopped.
    pub signal: Option<Signal>,
    /// Time that stopping took; in JSON as `took_ms`.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
    /// Processes that could not be stopped.
    pub survivors: Vec<Survivor>,
    /// Processes that were left alive on purpose, under
    /// [`Leftovers::Leave`](crate::Leftovers::Leave).
    pub left_running: Vec<Survivor>,
}

impl ContainmentReceipt {
    /// Creates the receipt of an execution that had nothing to stop.
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

/// Process that is still alive after its execution has ended.
///
/// One entry with the name `(process tree)` and the id of the main program stands for what may be left
/// where the system lets the engine neither list nor count it. On systems other than Linux one entry
/// with the name `(process group)` and the id of the group stands for all processes left in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Survivor {
    /// Process id.
    pub pid: u32,
    /// Name, as far as the system reports it.
    pub name: String,
    /// Reason why it is still alive.
    pub reason: String,
}

/// What a [`cancel_all`](crate::ExecutionEngine::cancel_all) has cancelled, in no particular order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelReport {
    /// Executions, without those that are steps of plans.
    pub executions: Vec<Uuid>,
    /// Plans.
    pub plans: Vec<Uuid>,
}

/// Report of a [`shutdown`](crate::ExecutionEngine::shutdown).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Executions that it ended.
    pub ended: Vec<ExecutionSummary>,
    /// Processes of these executions that could not be stopped.
    pub survivors: Vec<Survivor>,
    /// Time that it took; in JSON as `took_ms`.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
}
