//! Builder for plans whose steps have names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::validate::resolve_dependencies;
use crate::error::{PlanError, Result};
use crate::setters::setters;
use crate::types::{
    ExecutionMetadata, ExecutionOptions, ExecutionPlan, ExecutionRequest, ExecutionStrategy,
    FailurePolicy, PlanOptions, PlanSpec, RetryPolicy, StepCondition, StepInput, StepOptions,
    StepRef,
};

/// Builder for a plan whose steps have names.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let plan = ExecutionPlan::builder()
///     .step("version", ExecutionRequest::shell("echo 1.2.3"))
///     .step("build", ExecutionRequest::shell("echo building $VERSION"))
///     .env_from("VERSION", "version")
///     .step("test", ExecutionRequest::shell("echo testing"))
///     .after("build")
///     .build()?;
///
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let id = engine.execute_plan(plan).await?;
/// let result = engine.wait_for_plan(id).await?;
/// assert_eq!(result.results[1].stdout, "building 1.2.3\n");
/// # Ok(()) }
/// ```
///
/// A step that waits for no other one starts at once. `after`, `options` and the inputs apply to
/// the step added last; the steps that they name may be added later.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PlanBuilder {
    id: Option<Uuid>,
    description: Option<String>,
    metadata: ExecutionMetadata,
    commands: Vec<ExecutionRequest>,
    options: PlanOptions,
    /// Retry policies, by the indices of their steps.
    retries: Vec<(usize, RetryPolicy)>,
    /// The first mistake, which [`build`](Self::build) returns.
    fault: Option<PlanError>,
}

impl ExecutionPlan {
    /// Creates a builder for a plan whose steps have names.
    pub fn builder() -> PlanBuilder {
        PlanBuilder::default()
    }
}

impl PlanBuilder {
    /// Adds a step with a name that is unique in this plan.
    pub fn step(mut self, name: impl Into<String>, request: ExecutionRequest) -> Self {
        self.commands.push(request);
        self.options.steps.push(StepOptions::named(name));
        self
    }

    /// Makes the last step wait for this one as well.
    pub fn after(self, step: impl Into<StepRef>) -> Self {
        self.last("after", |last| last.after.push(step.into()))
    }

    /// Makes the last step wait for all of these as well.
    pub fn after_all<S: Into<StepRef>>(self, steps: impl IntoIterator<Item = S>) -> Self {
        self.last("after_all", |last| last.after.extend(steps.into_iter().map(Into::into)))
    }

    /// Passes the output of this step to the last step as its standard input. The last step waits
    /// for it.
    pub fn stdin_from(self, step: impl Into<StepRef>) -> Self {
        self.last("stdin_from", |last| last.inputs.push(StepInput::stdin(step)))
    }

    /// Passes the output of this step to the last step in an environment variable. The last step
    /// waits for it.
    pub fn env_from(self, name: impl Into<String>, step: impl Into<StepRef>) -> Self {
        self.last("env_from", |last| last.inputs.push(StepInput::env(name, step)))
    }

    /// Places files that this step has collected before the last step starts: those of the pattern, at the
    /// paths that they have there. The last step waits for it.
    pub fn files_from(self, step: impl Into<StepRef>, pattern: impl Into<String>) -> Self {
        self.last("files_from", |last| last.inputs.push(StepInput::files(step, pattern)))
    }

    /// Adds an input to the last step.
    pub fn input(self, input: StepInput) -> Self {
        self.last("input", |last| last.inputs.push(input))
    }

    /// Lets the last step fail without failing the plan; the steps that depend on it run as if it had
    /// succeeded.
    pub fn allow_failure(self) -> Self {
        self.last("allow_failure", |last| last.allow_failure = true)
    }

    /// Runs the last step when the steps that it waits for are over, whatever came of them, also
    /// after a failure, a cancel or the deadline: see [`StepOptions::always`].
    pub fn always(self) -> Self {
        self.last("always", |last| last.always = true)
    }

    /// Runs the last step only if this is met, and all its other conditions are: see
    /// [`StepOptions::only_if`]. The last step waits for the step of the condition.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let plan = ExecutionPlan::builder()
    ///     .step("deploy", ExecutionRequest::shell("exit 1"))
    ///     .step("rollback", ExecutionRequest::shell("echo rolled back"))
    ///     .only_if(StepCondition::failed("deploy"))
    ///     .step("clean", ExecutionRequest::shell("echo cleaned"))
    ///     .after_all(["deploy", "rollback"])
    ///     .always()
    ///     .build()?;
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let result = engine.run_plan(plan).await?;
    /// assert_eq!(result.status, ExecutionStatus::Failed);
    /// assert!(result.step("rollback").unwrap().success && result.step("clean").unwrap().success);
    /// # Ok(()) }
    /// ```
    pub fn only_if(self, condition: StepCondition) -> Self {
        self.last("only_if", |last| last.only_if.push(condition))
    }

    /// Sets the options of the last step's execution, instead of the [`defaults`](Self::defaults).
    pub fn options(self, options: ExecutionOptions) -> Self {
        self.last("options", |last| last.options = Some(options))
    }

    /// Sets the [retry policy](ExecutionOptions::retry) of the last step, in addition to its
    /// options or to the [`defaults`](Self::defaults), in whatever order these are set.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        if let Some(last) = self.options.steps.len().checked_sub(1) {
            self.retries.push((last, policy));
        }
        self.last("retry", |_| ())
    }

    setters! {
        /// Sets what happens after a failure. Default: [`FailurePolicy::FinishIndependent`].
        failure_policy(policy: FailurePolicy) => options.failure_policy = Some(policy);
        /// Limits how many steps run or wait for the engine at a time.
        max_concurrency(limit: usize) => options.max_concurrency = Some(limit);
        /// Sets the working directory of all steps.
        working_dir(dir: impl Into<PathBuf>) => options.working_dir = Some(dir.into());
        /// Sets the options of steps that have none of their own.
        defaults(options: ExecutionOptions) => options.defaults = options;
        /// Sets the id of the plan. Default: a random one.
        id(id: Uuid) => id = Some(id);
        /// Sets a description of the plan, for people.
        description(text: impl Into<String>) => description = Some(text.into());
        /// Sets metadata of the plan, which the engine stores and returns.
        metadata(metadata: ExecutionMetadata) => metadata = metadata;
    }

    /// Limits how long the whole plan may take.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options = self.options.deadline(deadline);
        self
    }

    /// Sets an environment variable of all steps.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options = self.options.env(name, value);
        self
    }

    /// Returns the plan, as a dependency graph by index, with its options and their names.
    ///
    /// # Errors
    /// The [`PlanError`] of the first rule that the plan breaks.
    pub fn build(self) -> Result<PlanSpec> {
        let Self { id, description, metadata, commands, mut options, retries, fault } = self;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        for (step, policy) in retries {
            let with_retry = options.effective_options(step).clone().retry(policy);
            options.steps[step].options = Some(with_retry);
        }
        let strategy = ExecutionStrategy::DependencyGraph { dependencies: HashMap::new() };
        let id = id.unwrap_or_else(Uuid::new_v4);
        let mut plan = ExecutionPlan { id, description, strategy, commands, metadata };
        let edges = resolve_dependencies(&plan, &options)?.into_iter().enumerate();
        let dependencies = edges
            .filter(|(_, waits_for)| !waits_for.is_empty())
            .map(|(step, mut waits_for)| {
                waits_for.sort_unstable();
                waits_for.dedup();
                (step, waits_for)
            })
            .collect();
        plan.strategy = ExecutionStrategy::DependencyGraph { dependencies };
        options.steps.iter_mut().for_each(|step| step.after.clear());
        Ok(PlanSpec::new(plan, options))
    }

    fn last(mut self, method: &'static str, change: impl FnOnce(&mut StepOptions)) -> Self {
        match self.options.steps.last_mut() {
            Some(step) => change(step),
            None => {
                self.fault.get_or_insert(PlanError::NoStepYet { method });
            }
        }
        self
    }
}
