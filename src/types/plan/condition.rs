//! Conditions on earlier steps under which a step runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StepRef;
use crate::types::{json_form, padded};

/// Condition on earlier steps, for [`StepOptions::only_if`](crate::StepOptions::only_if). A step
/// waits for the steps that its conditions name.
///
/// The first four are about what really happened: a step whose failure was
/// [allowed](crate::StepOptions::allow_failure) has failed.
///
/// In JSON: `{"type":"failed","step":"deploy"}`,
/// `{"type":"exit_code","step":"check","codes":[2,3]}`, `{"type":"any_failed"}`.
///
/// ```
/// use execution_engine::*;
///
/// let condition: StepCondition =
///     serde_json::from_str(r#"{"type": "failed", "step": "deploy"}"#).unwrap();
/// assert_eq!(condition, StepCondition::failed("deploy"));
/// assert_eq!(condition.to_string(), "step \"deploy\" failed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "StepConditionJson", into = "StepConditionJson")]
#[non_exhaustive]
pub enum StepCondition {
    /// The step exited by itself with code 0.
    Succeeded {
        /// The step.
        step: StepRef,
    },
    /// The step ended in any other way, also because the plan was cancelled while it ran.
    Failed {
        /// The step.
        step: StepRef,
    },
    /// The step exited by itself with one of these codes.
    ExitCode {
        /// The step.
        step: StepRef,
        /// The codes.
        codes: Vec<i32>,
    },
    /// The step never ran, for whatever reason.
    Skipped {
        /// The step.
        step: StepRef,
    },
    /// One of the steps that it waits for, directly or through others, failed without being allowed
    /// to, was stopped, or did not run because of that.
    AnyFailed,
    /// No such step did: all succeeded, were allowed to fail, or were skipped by their conditions.
    NoneFailed,
}

json_form! {
    #[serde(deny_unknown_fields)]
    StepConditionJson for StepCondition {
        Succeeded { step: StepRef } = Succeeded { step };
        Failed { step: StepRef } = Failed { step };
        ExitCode { step: StepRef, codes: Vec<i32> } = ExitCode { step, codes };
        Skipped { step: StepRef } = Skipped { step };
        AnyFailed {} = AnyFailed {};
        NoneFailed {} = NoneFailed {};
    }
}

impl StepCondition {
    /// Creates the condition that a step succeeded.
    pub fn succeeded(step: impl Into<StepRef>) -> Self {
        Self::Succeeded { step: step.into() }
    }

    /// Creates the condition that a step failed.
    pub fn failed(step: impl Into<StepRef>) -> Self {
        Self::Failed { step: step.into() }
    }

    /// Creates the condition that a step exited with one of these codes.
    pub fn exit_code(step: impl Into<StepRef>, codes: impl IntoIterator<Item = i32>) -> Self {
        Self::ExitCode { step: step.into(), codes: codes.into_iter().collect() }
    }

    /// Creates the condition that a step never ran.
    pub fn skipped(step: impl Into<StepRef>) -> Self {
        Self::Skipped { step: step.into() }
    }

    /// Returns the step that it names.
    pub fn step(&self) -> Option<&StepRef> {
        match self {
            Self::Succeeded { step }
            | Self::Failed { step }
            | Self::ExitCode { step, .. }
            | Self::Skipped { step } => Some(step),
            Self::AnyFailed | Self::NoneFailed => None,
        }
    }
}

/// `step "deploy" failed`, `step 2 exited with code 2 or 3`, `a step before it failed`.
impl fmt::Display for StepCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, |f| match self {
            Self::Succeeded { step } => write!(f, "step {step} succeeded"),
            Self::Failed { step } => write!(f, "step {step} failed"),
            Self::ExitCode { step, codes } => {
                let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
                write!(f, "step {step} exited with code {}", codes.join(" or "))
            }
            Self::Skipped { step } => write!(f, "step {step} was skipped"),
            Self::AnyFailed => f.write_str("a step before it failed"),
            Self::NoneFailed => f.write_str("no step before it failed"),
        })
    }
}
