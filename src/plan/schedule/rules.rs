//! What decides whether a step runs, and what its end means for others. Pure.

/// When a step runs, and what its failure means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::plan) struct StepRule {
    /// Runs also after a cancel, and whatever came of the steps that it waits for.
    pub(in crate::plan) always: bool,
    /// Its failure counts as a success.
    pub(in crate::plan) allow_failure: bool,
    /// It runs only if all are met.
    pub(in crate::plan) conditions: Vec<Condition>,
    /// The steps whose output it takes.
    pub(in crate::plan) takes_from: Vec<usize>,
}

/// A [`StepCondition`](crate::types::StepCondition) with the index of its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plan) enum Condition {
    Succeeded(usize),
    Failed(usize),
    ExitCode(usize, Vec<i32>),
    Skipped(usize),
    AnyFailed,
    NoneFailed,
}

/// How much of a plan is stopped. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::plan) enum StopLevel {
    /// After a failure: steps that run because of one, and those that always run, are not stopped.
    Failure,
    /// Cancel or deadline: steps that always run are not stopped.
    Cancel,
    /// All steps.
    Everything,
}

/// What came of a step, as far as it matters for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) enum StepOutcome {
    /// It exited by itself with this code.
    Exited(i32),
    /// It failed in another way.
    Failed,
    /// It was stopped together with its plan.
    Stopped,
    /// It never ran.
    Skipped(Skip),
}

/// Why a step never runs. The reason that comes first here is the one that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::plan) enum Skip {
    /// It depends on this step, which failed.
    DependencyFailed(usize),
    /// The plan was stopped.
    Stopped,
    /// It depends on this step, which was skipped by a condition.
    DependencySkipped(usize),
    /// This one of its conditions is not met.
    Condition(usize),
}

impl StepRule {
    /// Returns the lowest level that stops the step.
    pub(super) fn stopped_by(&self) -> StopLevel {
        if self.always {
            StopLevel::Everything
        } else if self.conditions.iter().any(Condition::asks_for_failure) {
            StopLevel::Cancel
        } else {
            StopLevel::Failure
        }
    }
}

impl Condition {
    /// Returns `true` if it can be met because something has failed.
    fn asks_for_failure(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Skipped(_) | Self::AnyFailed => true,
            Self::ExitCode(_, codes) => codes.iter().any(|code| *code != 0),
            Self::Succeeded(_) | Self::NoneFailed => false,
        }
    }
}

impl StepOutcome {
    pub(super) fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Returns `true` if it ran and did not succeed.
    pub(super) fn is_failure(self) -> bool {
        !self.is_success() && !matches!(self, Self::Skipped(_))
    }

    /// Returns why this outcome of `step` keeps those from running that need its success; None if
    /// it does not.
    pub(super) fn hindrance(self, step: usize, rule: &StepRule) -> Option<Skip> {
        match self {
            Self::Exited(0) => None,
            Self::Exited(_) | Self::Failed if rule.allow_failure => None,
            Self::Exited(_) | Self::Failed | Self::Stopped => Some(Skip::DependencyFailed(step)),
            Self::Skipped(Skip::Condition(_)) => Some(Skip::DependencySkipped(step)),
            Self::Skipped(inherited) => Some(inherited),
        }
    }
}
