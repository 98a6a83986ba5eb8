//! Settings of a plan and its steps beyond what [`ExecutionPlan`](super::ExecutionPlan) has: names,
//! inputs, limits, and what the steps share.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StepCondition;
use crate::setters::setters;
use crate::types::{ExecutionOptions, is_default, json_form, millis_at_least, padded};

/// Settings of a plan beyond its five fields; together they are a [`PlanSpec`](crate::PlanSpec).
///
/// ```
/// use execution_engine::*;
///
/// let options = PlanOptions::default()
///     .failure_policy(FailurePolicy::CancelAtFirstError)
///     .deadline(Duration::from_secs(600))
///     .env("PROFILE", "release");
/// assert_eq!(options.deadline_ms, Some(600_000));
/// ```
///
/// Its `Debug` output shows the names of environment variables and none of their values.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PlanOptions {
    /// Options of the steps, in the order of the commands. The list may be shorter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepOptions>,
    /// What happens after a failure; None takes the default of the strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
    /// Maximum number of steps that are running or queued at a time; None leaves it to the engine's
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<usize>,
    /// Time limit of the whole plan in milliseconds, waiting included. Running steps are then
    /// stopped, and the others are never started, but for those that run
    /// [always](StepOptions::always).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Environment variables of all steps; a step's own variable takes precedence.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub env: HashMap<String, String>,
    /// Working directory of the steps that set none; a step's relative one starts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// Execution options of the steps that have none of their own.
    #[serde(skip_serializing_if = "is_default")]
    pub defaults: ExecutionOptions,
}

/// Settings of one step of a plan beyond its request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StepOptions {
    /// Name, unique within the plan, for errors, diagrams and references from other steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Steps it waits for, in addition to those of the strategy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepRef>,
    /// Outputs of other steps that it receives. It waits for those steps, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<StepInput>,
    /// Options of its execution, instead of the [`defaults`](PlanOptions::defaults) of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<ExecutionOptions>,
    /// If `true`, its failure does not fail the plan, and the steps that depend on it run as if it
    /// had succeeded.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_failure: bool,
    /// If `true`, it runs when the steps that it waits for are over, whatever came of them: also
    /// after a failure, a [cancel](crate::ExecutionEngine::cancel_plan) or the deadline of the plan.
    /// These do not stop it; a second cancel does, and the end of the engine.
    #[serde(skip_serializing_if = "is_default")]
    pub always: bool,
    /// It runs only if all of these conditions are met, and is skipped otherwise. It waits for the
    /// steps that they name. What came of other steps that it waits for does not matter then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_if: Vec<StepCondition>,
}

/// Reference to a step of the same plan, by index or name.
///
/// In JSON: a number or a string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the index or the name of a step")]
pub enum StepRef {
    /// Index of its command, counted from 0.
    Index(usize),
    /// Name in its options.
    Name(String),
}

/// Standard output of one step, or files that it has collected, as an input of another. It never passes
/// through a shell.
///
/// In JSON: `{"from":"version","to":{"type":"env","name":"VERSION"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepInput {
    /// The step whose output it is.
    pub from: StepRef,
    /// Where it goes.
    pub to: InputTarget,
    /// What is removed from its ends; None takes the default of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// Maximum size in bytes; if the output is larger, the step does not run, because half an input
    /// is a wrong one. None takes the default of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
}

/// Target of a [`StepInput`].
///
/// In JSON: `{"type":"stdin"}`, `{"type":"env","name":"VERSION"}`, or
/// `{"type":"files","pattern":"out/*.csv","directory":"data"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "InputTargetJson", into = "InputTargetJson")]
#[non_exhaustive]
pub enum InputTarget {
    /// Standard input, unchanged, up to 1 MiB.
    Stdin,
    /// The environment variable of this name, without white space at its ends, up to 64 KiB.
    Env(String),
    /// Files that the step has [collected](ExecutionOptions::collect), placed before the start. Only where
    /// a step can collect: with a [backend](crate::EngineBuilder::backend).
    Files {
        /// Which of them, as [`path_matches`](crate::path_matches) reads it. If there is none, the step ends
        /// as [`SpawnFailed`](crate::Ending::SpawnFailed).
        pattern: String,
        /// Directory below the working directory under which they keep their paths; None is the working
        /// directory itself.
        directory: Option<String>,
    },
}

json_form! {
    #[serde(deny_unknown_fields)]
    InputTargetJson for InputTarget {
        Stdin {} = Stdin {};
        Env { name: String } = Env(name);
        Files {
            pattern: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            directory: Option<String>
        } = Files { pattern, directory };
    }
}

/// Part that is removed from the ends of an output.
///
/// In JSON: `"nothing"`, `"line_endings"`, `"white_space"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trim {
    /// Nothing.
    Nothing,
    /// Line endings after the last line, like a shell's `$(..)`.
    LineEndings,
    /// White space at both ends.
    WhiteSpace,
}

/// What happens to the other steps of a plan when one has failed, that is, ended in any other way
/// than by itself with exit code 0, and was not [allowed](StepOptions::allow_failure) to.
///
/// Under all policies a step whose [conditions](StepOptions::only_if) ask for a failure still runs
/// after one, and so does a step that runs [always](StepOptions::always).
///
/// In JSON: `"stop_at_first_error"`, `"cancel_at_first_error"`, `"finish_independent"`,
/// `"continue"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Nothing new is started; running steps may finish. The default of
    /// `Serial { stop_on_error: true }`.
    StopAtFirstError,
    /// Nothing new is started, and running steps are cancelled.
    CancelAtFirstError,
    /// Steps that depend on the failed one do not run, all others do. The default of a dependency
    /// graph.
    FinishIndependent,
    /// All steps run, in the same order as without the failure. The default of `Parallel` and of
    /// `Serial { stop_on_error: false }`.
    Continue,
}

impl PlanOptions {
    setters! {
        /// Sets [`failure_policy`](Self::failure_policy).
        failure_policy(policy: FailurePolicy) => failure_policy = Some(policy);

        /// Sets [`max_concurrency`](Self::max_concurrency).
        max_concurrency(limit: usize) => max_concurrency = Some(limit);

        /// Sets [`deadline_ms`](Self::deadline_ms), rounded up to whole milliseconds.
        deadline(deadline: Duration) => deadline_ms = Some(millis_at_least(deadline));

        /// Sets [`working_dir`](Self::working_dir).
        working_dir(dir: impl Into<PathBuf>) => working_dir = Some(dir.into());

        /// Sets [`defaults`](Self::defaults).
        defaults(options: ExecutionOptions) => defaults = options;
    }

    /// Adds or replaces one environment variable of all steps.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Adds the options of the next step.
    #[must_use]
    pub fn step(mut self, step: StepOptions) -> Self {
        self.steps.push(step);
        self
    }

    /// Returns the execution options of a step: its own, else the [`defaults`](Self::defaults).
    pub fn effective_options(&self, step: usize) -> &ExecutionOptions {
        let own = self.steps.get(step).and_then(|step| step.options.as_ref());
        own.unwrap_or(&self.defaults)
    }

    /// Adds what the plan shares to the environment and the working directory of one step. A
    /// step's own variable takes precedence, and its own directory starts at that of the plan.
    ///
    /// The engine does this before it starts a step; a host does it to judge what will run.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let options = PlanOptions::default().env("PROFILE", "release").working_dir("/src");
    /// let mut request = ExecutionRequest::program("make").working_dir("docs");
    /// options.apply_shared(&mut request.env, &mut request.working_dir);
    /// assert_eq!(request.env["PROFILE"], "release");
    /// assert_eq!(request.working_dir, Some(PathBuf::from("/src/docs")));
    /// ```
    pub fn apply_shared(
        &self,
        env: &mut HashMap<String, String>,
        working_dir: &mut Option<PathBuf>,
    ) {
        for (name, value) in &self.env {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if let Some(shared) = &self.working_dir {
            let own = working_dir.take();
            *working_dir = Some(own.map_or_else(|| shared.clone(), |own| shared.join(own)));
        }
    }
}

impl StepOptions {
    /// Creates options with a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Adds a step that this one waits for.
    #[must_use]
    pub fn after(mut self, step: impl Into<StepRef>) -> Self {
        self.after.push(step.into());
        self
    }

    /// Adds an output that this step receives.
    #[must_use]
    pub fn input(mut self, input: StepInput) -> Self {
        self.inputs.push(input);
        self
    }

    /// Sets [`allow_failure`](Self::allow_failure).
    #[must_use]
    pub fn allow_failure(mut self) -> Self {
        self.allow_failure = true;
        self
    }

    /// Sets [`always`](Self::always).
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Adds a condition to [`only_if`](Self::only_if).
    #[must_use]
    pub fn only_if(mut self, condition: StepCondition) -> Self {
        self.only_if.push(condition);
        self
    }

    setters! {
        /// Sets [`options`](Self::options).
        options(options: ExecutionOptions) => options = Some(options);
    }
}

impl StepInput {
    /// Passes the output of a step as standard input.
    pub fn stdin(from: impl Into<StepRef>) -> Self {
        Self { from: from.into(), to: InputTarget::Stdin, trim: None, max_bytes: None }
    }

    /// Passes the output of a step in an environment variable.
    pub fn env(name: impl Into<String>, from: impl Into<StepRef>) -> Self {
        Self { from: from.into(), to: InputTarget::Env(name.into()), trim: None, max_bytes: None }
    }

    /// Places files that a step has collected, at the paths that they have there.
    pub fn files(from: impl Into<StepRef>, pattern: impl Into<String>) -> Self {
        let to = InputTarget::Files { pattern: pattern.into(), directory: None };
        Self { from: from.into(), to, trim: None, max_bytes: None }
    }

    /// Places files that a step has collected below a directory of the working directory.
    pub fn files_below(
        directory: impl Into<String>,
        from: impl Into<StepRef>,
        pattern: impl Into<String>,
    ) -> Self {
        let (pattern, directory) = (pattern.into(), Some(directory.into()));
        let to = InputTarget::Files { pattern, directory };
        Self { from: from.into(), to, trim: None, max_bytes: None }
    }

    setters! {
        /// Sets [`trim`](Self::trim).
        trim(trim: Trim) => trim = Some(trim);

        /// Sets [`max_bytes`](Self::max_bytes).
        max_bytes(limit: usize) => max_bytes = Some(limit);
    }
}

impl From<usize> for StepRef {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl From<&str> for StepRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_string())
    }
}

impl From<String> for StepRef {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

/// `2`, or `"build"`.
impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, |f| match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "{name:?}"),
        })
    }
}

impl fmt::Debug for PlanOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.env.keys().collect();
        names.sort();
        f.debug_struct("PlanOptions")
            .field("steps", &self.steps)
            .field("failure_policy", &self.failure_policy)
            .field("max_concurrency", &self.max_concurrency)
            .field("deadline_ms", &self.deadline_ms)
            .field("env (names)", &names)
            .field("working_dir", &self.working_dir)
            .field("defaults", &self.defaults)
            .finish()
    }
}
