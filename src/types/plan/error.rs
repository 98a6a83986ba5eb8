use uuid::Uuid;

use super::PlanStep;
use crate::error::ValidationError;

/// What is wrong with a plan: the step and the rule it breaks. Nothing has been started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is nothing to run.
    #[error("plan: it has no commands; add at least one")]
    Empty,
    /// A dependency or an input names a step that there is not.
    #[error("plan: {step} names step {named}, which there is not; {hint}")]
    UnknownStep {
        /// The step whose dependency or input it is.
        step: PlanStep,
        /// What it names: an index, or a name in quotes.
        named: String,
        /// What there is.
        hint: String,
    },
    /// The dependencies have an entry for a command that there is not.
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
    /// Steps wait for each other in a circle, so none of them could ever start.
    #[error(
        "plan: steps wait for each other in a circle: {}; remove one of these dependencies",
        circle(path)
    )]
    Cycle {
        /// Each waits for the next one, and the last one for the first.
        path: Vec<PlanStep>,
    },
    /// Two commands have the same id.
    #[error(
        "plan: {first} and {second} have the same id {id}; give each command an id of its own (Uuid::new_v4())"
    )]
    DuplicateId {
        /// The id.
        id: Uuid,
        /// The one.
        first: PlanStep,
        /// The other.
        second: PlanStep,
    },
    /// A command has the id of the plan.
    #[error("plan: {step} has the id of the plan; give it an id of its own (Uuid::new_v4())")]
    IdOfPlan {
        /// The step.
        step: PlanStep,
    },
    /// Two steps have the same name.
    #[error("plan: steps {first} and {second} have the same name {name:?}; names must be unique")]
    DuplicateName {
        /// The name.
        name: String,
        /// The index of the one.
        first: usize,
        /// The index of the other.
        second: usize,
    },
    /// A name that nobody could read.
    #[error("plan: the name {name:?} of step {index} {reason}")]
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
        /// How many have options.
        steps: usize,
        /// How many commands there are.
        commands: usize,
    },
    /// The request or the options of a step are invalid.
    #[error("plan: {step}: {error}")]
    InvalidStep {
        /// The step.
        step: PlanStep,
        /// What is wrong with it.
        error: Box<ValidationError>,
    },
    /// An input of a step makes no sense.
    #[error("plan: {step}: input from {from}: {reason}")]
    InvalidInput {
        /// The step.
        step: PlanStep,
        /// Whose output it is.
        from: PlanStep,
        /// What is wrong with it, and the fix.
        reason: String,
    },
    /// A value of the plan's strategy or options makes no sense.
    #[error("plan: {field}: {reason}")]
    InvalidOption {
        /// The field.
        field: &'static str,
        /// What is wrong, and the fix.
        reason: String,
    },
    /// A method of the [`PlanBuilder`](crate::PlanBuilder) that is about a step came before the
    /// first step.
    #[error("plan: {method} is about a step, but there is none yet; call step first")]
    NoStepYet {
        /// The method.
        method: &'static str,
    },
}

impl PlanError {
    /// A stable name for logs, metrics and front ends, in snake_case.
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
            Self::InvalidOption { .. } => "plan_invalid_option",
            Self::NoStepYet { .. } => "plan_no_step_yet",
        }
    }
}

/// Long circles are cut in the middle.
fn circle(path: &[PlanStep]) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> = path.iter().take(SHOWN).map(PlanStep::to_string).collect();
    if path.len() > SHOWN {
        words.push(format!("{} more", path.len() - SHOWN));
    }
    words.extend(path.first().map(PlanStep::to_string));
    words.join(" -> ")
}
