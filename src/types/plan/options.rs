use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{ExecutionOptions, is_default};

/// Settings of a plan beyond its five fields, for
/// [`execute_plan_with`](crate::ExecutionEngine::execute_plan_with).
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
    /// What there is to say about the steps, in the order of the commands. It may be shorter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepOptions>,
    /// What happens after a failure; None takes what goes with the strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
    /// How many steps are started and not ended at a time; None leaves it to the engine's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<usize>,
    /// How many milliseconds the whole plan may take, waiting included. What runs then is stopped,
    /// and what has not started never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Environment variables of all steps; one that a step sets itself goes before.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub env: HashMap<String, String>,
    /// Working directory of the steps that name none; a relative one of a step starts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// The options of the steps that have none of their own.
    #[serde(skip_serializing_if = "is_default")]
    pub defaults: ExecutionOptions,
}

/// What there is to say about one step of a plan beyond its request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StepOptions {
    /// Its name, unique within the plan, for errors, pictures and other steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it waits for, beside what the strategy says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepRef>,
    /// Output of earlier steps that it gets. It waits for those, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<StepInput>,
    /// The options of its execution, in place of the [`defaults`](PlanOptions::defaults) of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<ExecutionOptions>,
}

/// A step of the same plan, by its index or its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StepRef {
    /// The index of its command.
    Index(usize),
    /// The name that its options give it.
    Name(String),
}

/// What an earlier step has printed on its standard output, handed to another one. No shell ever
/// sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepInput {
    /// Whose output.
    pub from: StepRef,
    /// Where it goes.
    pub to: InputTarget,
    /// What is taken off its ends; None takes what goes with the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// How many bytes it may have; with more the step does not run, because half an input is a
    /// wrong one. None takes what goes with the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
}

/// Where the output of an earlier step goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputTarget {
    /// Standard input, as it is, up to 1 MiB.
    Stdin,
    /// The environment variable of this name, without white space at its ends, up to 64 KiB.
    Env(String),
}

/// What is taken off the ends of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trim {
    /// Nothing.
    Nothing,
    /// The line endings after its last line, as a shell's `$(..)` does.
    LineEndings,
    /// White space at both ends.
    WhiteSpace,
}

/// What happens to the other steps of a plan when one has failed: ended in any other way than by
/// itself with exit code 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// Nothing new is started; what runs may finish. That of `Serial { stop_on_error: true }`.
    StopAtFirstError,
    /// Nothing new is started, and what runs is cancelled.
    CancelAtFirstError,
    /// What depends on it does not run, all else does. That of a dependency graph.
    FinishIndependent,
    /// All runs, in the same order as without the failure. That of `Parallel` and of
    /// `Serial { stop_on_error: false }`.
    Continue,
}

impl PlanOptions {
    /// Sets [`failure_policy`](Self::failure_policy).
    #[must_use]
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.failure_policy = Some(policy);
        self
    }

    /// Sets [`max_concurrency`](Self::max_concurrency).
    #[must_use]
    pub fn max_concurrency(mut self, limit: usize) -> Self {
        self.max_concurrency = Some(limit);
        self
    }

    /// Sets [`deadline_ms`](Self::deadline_ms), rounded up to whole milliseconds.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        let ms = deadline.as_nanos().div_ceil(1_000_000);
        self.deadline_ms = Some(u64::try_from(ms).unwrap_or(u64::MAX));
        self
    }

    /// Adds one environment variable of all steps, or replaces it.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets [`working_dir`](Self::working_dir).
    #[must_use]
    pub fn working_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(dir.into());
        self
    }

    /// Sets [`defaults`](Self::defaults).
    #[must_use]
    pub fn defaults(mut self, options: ExecutionOptions) -> Self {
        self.defaults = options;
        self
    }

    /// Adds what there is to say about the next step.
    #[must_use]
    pub fn step(mut self, step: StepOptions) -> Self {
        self.steps.push(step);
        self
    }
}

impl StepOptions {
    /// With a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Waits for this step, too.
    #[must_use]
    pub fn after(mut self, step: impl Into<StepRef>) -> Self {
        self.after.push(step.into());
        self
    }

    /// Gets this output.
    #[must_use]
    pub fn input(mut self, input: StepInput) -> Self {
        self.inputs.push(input);
        self
    }

    /// Sets [`options`](Self::options).
    #[must_use]
    pub fn options(mut self, options: ExecutionOptions) -> Self {
        self.options = Some(options);
        self
    }
}

impl StepInput {
    /// The output of a step as standard input.
    pub fn stdin(from: impl Into<StepRef>) -> Self {
        Self { from: from.into(), to: InputTarget::Stdin, trim: None, max_bytes: None }
    }

    /// The output of a step in an environment variable.
    pub fn env(name: impl Into<String>, from: impl Into<StepRef>) -> Self {
        Self { from: from.into(), to: InputTarget::Env(name.into()), trim: None, max_bytes: None }
    }

    /// Sets [`trim`](Self::trim).
    #[must_use]
    pub fn trim(mut self, trim: Trim) -> Self {
        self.trim = Some(trim);
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, limit: usize) -> Self {
        self.max_bytes = Some(limit);
        self
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
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
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
