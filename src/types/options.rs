//! Settings of one execution beyond its request.

use std::time::Duration;

use execution_engine_process::{Leftovers, Limits, OutputMode, Signal};
use serde::{Deserialize, Serialize};

use super::{RetryPolicy, StdinSource, is_default, whole_millis};
use crate::setters::setters;

/// Settings of one execution beyond its request, for
/// [`execute_with`](crate::ExecutionEngine::execute_with).
///
/// ```
/// use execution_engine::*;
///
/// let options = ExecutionOptions::default()
///     .stop_grace(Duration::from_millis(200))
///     .stop_signal(Signal::Interrupt)
///     .leftovers(Leftovers::Leave);
/// assert_eq!(options.stop_grace_ms, Some(200));
/// ```
///
/// In JSON every field may be left out:
///
/// ```
/// use execution_engine::*;
///
/// let options: ExecutionOptions = serde_json::from_str(
///     r#"{"priority": 5, "stdin": {"type": "bytes", "data": "input"}, "retry": {"attempts": 2}}"#,
/// ).unwrap();
/// assert_eq!(options.stdin, StdinSource::bytes("input"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExecutionOptions {
    /// Grace in milliseconds between the first and the final signal when the process tree is
    /// stopped; None takes the engine's
    /// ([`EngineBuilder::stop_grace`](crate::EngineBuilder::stop_grace)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_ms: Option<u64>,
    /// First signal of a stop; None takes the engine's
    /// ([`EngineBuilder::stop_signal`](crate::EngineBuilder::stop_signal)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<Signal>,
    /// Final signal of a stop; None takes the engine's
    /// ([`EngineBuilder::final_signal`](crate::EngineBuilder::final_signal)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_signal: Option<Signal>,
    /// What happens to processes that are still alive when the program has exited by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub leftovers: Leftovers,
    /// Resource limits of the program.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Priority in the [queue](crate::Admission::Queue): the higher number goes first, and the
    /// oldest among equals. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i32,
    /// [Group](crate::EngineBuilder::group) whose limit applies, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Standard input of the program.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: StdinSource,
    /// Whether stdout and stderr are captured separately (default) or merged into
    /// [`stdout`](crate::ExecutionResult::stdout), which preserves the order of writes.
    #[serde(skip_serializing_if = "is_default")]
    pub output: OutputMode,
    /// Milliseconds of silence after which an unfinished line is delivered as it is, so that a
    /// prompt or a progress bar can be shown. None waits until the line is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_lines_after_ms: Option<u64>,
    /// When a failed program is started again. The execution keeps its permit between attempts, and
    /// its result has the output of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
}

impl ExecutionOptions {
    setters! {
        /// Sets [`stop_grace_ms`](Self::stop_grace_ms).
        stop_grace(grace: Duration) => stop_grace_ms = Some(whole_millis(grace));

        /// Sets [`stop_signal`](Self::stop_signal).
        stop_signal(signal: Signal) => stop_signal = Some(signal);

        /// Sets [`final_signal`](Self::final_signal).
        final_signal(signal: Signal) => final_signal = Some(signal);

        /// Sets [`leftovers`](Self::leftovers).
        leftovers(leftovers: Leftovers) => leftovers = leftovers;

        /// Sets [`limits`](Self::limits).
        limits(limits: Limits) => limits = limits;

        /// Sets [`retry`](Self::retry).
        retry(retry: RetryPolicy) => retry = Some(retry);

        /// Sets [`priority`](Self::priority).
        priority(priority: i32) => priority = priority;

        /// Sets [`group`](Self::group).
        group(name: impl Into<String>) => group = Some(name.into());

        /// Sets [`stdin`](Self::stdin).
        stdin(source: StdinSource) => stdin = source;

        /// Sets [`output`](Self::output).
        output(output: OutputMode) => output = output;

        /// Sets [`partial_lines_after_ms`](Self::partial_lines_after_ms).
        partial_lines_after(silence: Duration) =>
            partial_lines_after_ms = Some(whole_millis(silence));
    }
}
