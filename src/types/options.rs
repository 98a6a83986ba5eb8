//! Settings of one execution beyond its request.

use std::time::Duration;

use execution_engine_process::{Leftovers, Limits, Links, OutputMode, Signal, Terminal, UserIds};
use serde::{Deserialize, Serialize};

use super::retry::policy_or_attempts;
use super::{
    Artifact, ContentDigest, EnvOptions, InheritEnv, OsText, Requires, RetryPolicy, StdinSource,
    is_default, millis_at_least, whole_millis,
};
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
    /// stopped; 0 sends SIGKILL alone; None takes the engine's
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
    /// Longest time in milliseconds without output on either stream; then the execution is stopped
    /// and ends as [`IdleTimedOut`](crate::Ending::IdleTimedOut). It runs from the start of each
    /// attempt. None, or `u64::MAX`, is unlimited.
    ///
    /// Beside the timeout of the request, which applies, too. The same time does not count for both:
    /// a pause, and while the program is held back for a handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Longest time in milliseconds to wait, once the program has exited by itself, until the
    /// processes that it has left behind end by themselves, too. Their output is read meanwhile.
    /// After it `leftovers` says what becomes of them. None does not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leftovers_wait_ms: Option<u64>,
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
    /// Environment of the program, beside the variables of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub env: EnvOptions,
    /// Standard input of the program.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: StdinSource,
    /// Whether links in the paths of this execution are followed: in those of `working_dir`, of the
    /// file for [`stdin`](Self::stdin), of `output_log_path` and of a script. With
    /// [`Refuse`](Links::Refuse) each start opens them without links and uses what it has opened, so
    /// a path that was judged is what is used, also after a wait in the queue, in another attempt,
    /// and in a step of a plan. A script alone is looked at right before the start and then opened
    /// by its interpreter. A log with a second name (a hard link) is refused, too.
    ///
    /// Paths are not made canonical, so one that leads through a link from the beginning is refused.
    /// Programs, interpreters and [`log_dir`](crate::ExecutionConfig::log_dir) are looked up as
    /// always. docs/run.md has more.
    #[serde(skip_serializing_if = "is_default")]
    pub links: Links,
    /// Whether stdout and stderr are captured separately (default), merged into
    /// [`stdout`](crate::ExecutionResult::stdout), which preserves the order of writes, or inherited
    /// from this process and not captured.
    #[serde(skip_serializing_if = "is_default")]
    pub output: OutputMode,
    /// Whether the program has the terminal of this process, with its Ctrl-C and Ctrl-Z, or none.
    /// Default: none. For a command line that runs one program; Linux only.
    ///
    /// Not in JSON: a client that sends a request has no say in the terminal of the process that
    /// runs it.
    #[serde(skip)]
    pub terminal: Terminal,
    /// User and groups that the program runs as; None is those of this process. Linux only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserIds>,
    /// Milliseconds of silence after which an unfinished line is delivered as it is, so that a
    /// prompt or a progress bar can be shown. None waits until the line is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_lines_after_ms: Option<u64>,
    /// When a failed program is started again. The execution keeps its permit between attempts, and
    /// its result has the output of the last one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "policy_or_attempts")]
    pub retry: Option<RetryPolicy>,
    /// What the execution needs of the place where it runs. Only for an engine with a
    /// [backend](crate::EngineBuilder::backend).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// How many times a [backend](crate::EngineBuilder::backend) may start the execution because a
    /// worker was lost; None is once. With more than one, an attempt that was taken for lost may
    /// overlap with the next one where nothing proves that it was stopped
    /// ([`exclusive`](crate::Place::exclusive)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Longest time in milliseconds between the acceptance and the first start; an execution that has
    /// not been started by then never is. None waits as long as the backend keeps the request. Only
    /// for an engine with a [backend](crate::EngineBuilder::backend).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_by_ms: Option<u64>,
    /// Files that are placed before each start, at paths relative to the working directory. Their
    /// content was given to the [backend](crate::EngineBuilder::backend) before. Only for an engine
    /// with one, since files are shared here already.
    ///
    /// A request without `working_dir` that has inputs, or from which something is collected, gets a
    /// directory of its own for the start, which is removed at its end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Artifact>,
    /// Patterns of files that are kept when the program has ended, however it did, relative to the
    /// working directory: `*` is any part of a name, `?` one character, `**` any number of
    /// directories. They are [`artifacts`](crate::ExecutionResult::artifacts) of the result; one that
    /// names no file is told in [`collect_errors`](crate::ExecutionResult::collect_errors). Only for an
    /// engine with a [backend](crate::EngineBuilder::backend).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub collect: Vec<String>,
}

impl ExecutionOptions {
    /// Adds or replaces one environment variable. On Unix neither name nor value need be UTF-8.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let options = ExecutionOptions::default().env_clear().env("LANG", "C");
    /// let result = engine.run_with(ExecutionRequest::shell("echo $LANG $HOME"), options).await?;
    /// assert_eq!(result.stdout, "C\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn env(mut self, name: impl Into<OsText>, value: impl Into<OsText>) -> Self {
        self.env.set.insert(name.into(), value.into());
        self
    }

    /// Removes an environment variable, whether this process, the plan or the request has it.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let options = ExecutionOptions::default().env_remove("LD_LIBRARY_PATH");
    /// assert_eq!(options.env.remove, [OsText::from("LD_LIBRARY_PATH")]);
    /// ```
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsText>) -> Self {
        let name = name.into();
        self.env.set.remove(&name);
        self.env.remove.push(name);
        self
    }

    /// Keeps the program from inheriting any environment variable of this process.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.env.inherit = InheritEnv::Nothing {};
        self
    }

    /// Lets the program inherit only these environment variables of this process.
    #[must_use]
    pub fn env_only<N: Into<OsText>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.env.inherit = InheritEnv::Only { names };
        self
    }

    /// Adds a pattern to [`collect`](Self::collect).
    #[must_use]
    pub fn collect(mut self, pattern: impl Into<String>) -> Self {
        self.collect.push(pattern.into());
        self
    }

    /// Adds a file to [`inputs`](Self::inputs): the content at a path relative to the working
    /// directory.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let digest = ContentDigest { sha256: [0; 32], size: 7 };
    /// let options = ExecutionOptions::default().input("in/data.csv", digest).collect("out/*.csv");
    /// assert_eq!(options.inputs[0].path, "in/data.csv");
    /// ```
    #[must_use]
    pub fn input(mut self, path: impl Into<String>, digest: ContentDigest) -> Self {
        self.inputs.push(Artifact { path: path.into(), digest, executable: false });
        self
    }

    setters! {
        /// Sets [`stop_grace_ms`](Self::stop_grace_ms).
        stop_grace(grace: Duration) => stop_grace_ms = Some(whole_millis(grace));

        /// Sets [`stop_signal`](Self::stop_signal).
        stop_signal(signal: Signal) => stop_signal = Some(signal);

        /// Sets [`final_signal`](Self::final_signal).
        final_signal(signal: Signal) => final_signal = Some(signal);

        /// Sets [`idle_timeout_ms`](Self::idle_timeout_ms).
        idle_timeout(longest: Duration) => idle_timeout_ms = Some(millis_at_least(longest));

        /// Sets [`leftovers_wait_ms`](Self::leftovers_wait_ms).
        leftovers_wait(longest: Duration) => leftovers_wait_ms = Some(whole_millis(longest));

        /// Sets [`leftovers`](Self::leftovers).
        leftovers(leftovers: Leftovers) => leftovers = leftovers;

        /// Sets [`limits`](Self::limits).
        limits(limits: Limits) => limits = limits;

        /// Sets [`retry`](Self::retry).
        retry(retry: RetryPolicy) => retry = Some(retry);

        /// Sets [`requires`](Self::requires).
        requires(requires: Requires) => requires = Some(requires);

        /// Sets [`max_attempts`](Self::max_attempts).
        max_attempts(attempts: u32) => max_attempts = Some(attempts);

        /// Sets [`start_by_ms`](Self::start_by_ms), in whole milliseconds rounded up.
        start_by(longest: Duration) => start_by_ms = Some(millis_at_least(longest));

        /// Sets [`priority`](Self::priority).
        priority(priority: i32) => priority = priority;

        /// Sets [`group`](Self::group).
        group(name: impl Into<String>) => group = Some(name.into());

        /// Sets [`stdin`](Self::stdin).
        stdin(source: StdinSource) => stdin = source;

        /// Sets [`links`](Self::links).
        links(links: Links) => links = links;

        /// Sets [`user`](Self::user).
        user(user: UserIds) => user = Some(user);

        /// Sets [`output`](Self::output).
        output(output: OutputMode) => output = output;

        /// Sets [`terminal`](Self::terminal).
        terminal(terminal: Terminal) => terminal = terminal;

        /// Sets [`partial_lines_after_ms`](Self::partial_lines_after_ms).
        partial_lines_after(silence: Duration) =>
            partial_lines_after_ms = Some(whole_millis(silence));
    }
}
