//! What can be wrong with a plan.

use uuid::Uuid;

use super::ValidationError;
use crate::types::{OneLine, PlanStep};

/// Reason why a plan is invalid: the step and the rule it breaks. Nothing has been started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The plan has no commands.
    #[error("plan: it has no commands; add at least one")]
    Empty,
    /// A dependency or an input refers to an unknown step.
    #[error("plan: {step} refers to unknown step {}; {}", OneLine(.named), OneLine(.hint))]
    #[non_exhaustive]
    UnknownStep {
        /// The step that has the dependency or input.
        step: PlanStep,
        /// The reference: an index, or a name in quotes.
        named: String,
        /// The steps there are.
        hint: String,
    },
    /// The dependencies have an entry for a command that does not exist.
    #[error(
        "plan: the dependencies have an entry for step {index}, but there are {commands} commands, counted from 0"
    )]
    NoSuchCommand {
        /// The entry.
        index: usize,
        /// How many commands there are.
        commands: usize,
    },
    /// A step waits for itself.
    #[error("plan: {step} waits for itself; remove that dependency")]
    SelfDependency {
        /// The step.
        step: PlanStep,
    },
    /// Steps depend on each other in a cycle, so none of them could ever start.
    #[error("plan: the dependencies form a cycle: {}; remove one of them", cycle(path))]
    Cycle {
        /// Each step waits for the next one, and the last one for the first.
        path: Vec<PlanStep>,
    },
    /// Two commands have the same id.
    #[error(
        "plan: {first} and {second} have the same id {id}; give each command its own id (Uuid::new_v4())"
    )]
    DuplicateId {
        /// The id.
        id: Uuid,
        /// The first step with it.
        first: PlanStep,
        /// The second step with it.
        second: PlanStep,
    },
    /// A command has the id of the plan.
    #[error("plan: {step} has the id of the plan; give it its own id (Uuid::new_v4())")]
    IdOfPlan {
        /// The step.
        step: PlanStep,
    },
    /// Two steps have the same name.
    #[error("plan: steps {first} and {second} have the same name {name:?}; names must be unique")]
    DuplicateName {
        /// The name.
        name: String,
        /// Index of the first step with it.
        first: usize,
        /// Index of the second step with it.
        second: usize,
    },
    /// A step name is blank, too long or contains control characters.
    #[error("plan: the name {name:?} of step {index} {reason}")]
    #[non_exhaustive]
    BadName {
        /// The index of the step.
        index: usize,
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are options for more steps than there are commands.
    #[error(
        "plan: there are options for {steps} steps, but {commands} commands; remove the surplus"
    )]
    TooManySteps {
        /// How many steps have options.
        steps: usize,
        /// How many commands there are.
        commands: usize,
    },
    /// The request or the options of a step are invalid.
    #[error("plan: {step}: {error}")]
    #[non_exhaustive]
    InvalidStep {
        /// The step.
        step: PlanStep,
        /// What is wrong with it.
        #[source]
        error: Box<ValidationError>,
    },
    /// An input of a step is invalid.
    #[error("plan: {step}: input from {from}: {}", OneLine(.reason))]
    #[non_exhaustive]
    InvalidInput {
        /// The step.
        step: PlanStep,
        /// The step whose output it is.
        from: PlanStep,
        /// What is wrong with it, and the fix.
        reason: String,
    },
    /// A condition of a step is invalid.
    #[error("plan: {step}: only_if: {reason}")]
    #[non_exhaustive]
    InvalidCondition {
        /// The step.
        step: PlanStep,
        /// What is wrong with it, and the fix.
        reason: &'static str,
    },
    /// A value of the plan's strategy or options is invalid.
    #[error("plan: {field}: {}", OneLine(.reason))]
    #[non_exhaustive]
    InvalidOption {
        /// The field.
        field: &'static str,
        /// What is wrong, and the fix.
        reason: String,
    },
    /// A method of the [`PlanBuilder`](crate::PlanBuilder) about a step was called before the
    /// first step.
    #[error("plan: {method} was called before the first step; call step first")]
    NoStepYet {
        /// The method.
        method: &'static str,
    },
}

impl PlanError {
    /// Returns a stable name for logs, metrics and front ends, in snake_case.
    pub fn error_code(&self) -> &'static str {
        match self {
            Self::Empty => "plan_empty",
            Self::UnknownStep { .. } | Self::NoSuchCommand { .. } => "plan_unknown_step",
            Self::SelfDependency { .. } => "plan_self_dependency",
            Self::Cycle { .. } => "plan_cycle",
            Self::DuplicateId { .. } | Self::IdOfPlan { .. } => "plan_duplicate_id",
            Self::DuplicateName { .. } => "plan_duplicate_name",
            Self::BadName { .. } => "plan_bad_name",
            Self::TooManySteps { .. } => "plan_too_many_steps",
            Self::InvalidStep { error, .. } => error.error_code(),
            Self::InvalidInput { .. } => "plan_invalid_input",
            Self::InvalidCondition { .. } => "plan_invalid_condition",
            Self::InvalidOption { .. } => "plan_invalid_option",
            Self::NoStepYet { .. } => "plan_no_step_yet",
        }
    }
}

/// Formats a cycle as a path; a long one is cut in the middle.
fn cycle(path: &[PlanStep]) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> = path.iter().take(SHOWN).map(PlanStep::to_string).collect();
    if path.len() > SHOWN {
        words.push(format!("{} more", path.len() - SHOWN));
    }
    words.extend(path.first().map(PlanStep::to_string));
    words.join(" -> ")
}
