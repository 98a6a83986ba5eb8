//! The state machine of an execution: pure, and the one place where its ending is decided.
//!
//! What may decide it: until an ending is decided, everything that can end an execution. Where
//! another attempt is to follow, only what wants the execution to end as a whole. After that
//! nothing.

use crate::types::{Ending, ExecutionStatus, RetryPolicy};

/// Progress of an execution, and what ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecutionState {
    phase: ExecutionPhase,
    /// True once the program ran: an ending alone does not make it run.
    started: bool,
    /// That of the execution, or of the attempt that has just failed.
    ending: Option<Ending>,
    retry: Option<Box<RetryPolicy>>,
    /// The number of the attempt, the first being 1.
    attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExecutionPhase {
    /// Accepted; the program does not run yet.
    Pending,
    Running,
    /// The attempt has failed and another one is to follow; the tree is being stopped or the output
    /// collected.
    Failing,
    /// Waiting for the next attempt.
    BackingOff,
    /// The ending is decided; the tree is being stopped or the output collected.
    Closing,
    Ended,
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StateInput {
    Started,
    /// Something ends it, or this attempt: the program by itself, a failed spawn, or a cause to
    /// stop it.
    Decide(Ending),
    /// The tree of a failed attempt is gone and its output collected.
    BackOff,
    /// Another attempt begins.
    NextAttempt,
    /// The tree is gone and the output collected.
    Closed,
}

/// Error of an input that the state has no transition for. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IllegalTransition;

impl ExecutionState {
    pub(crate) fn new(retry: Option<Box<RetryPolicy>>) -> Self {
        Self { phase: ExecutionPhase::Pending, started: false, ending: None, retry, attempt: 1 }
    }

    /// Makes the transition for `input`. The first cause wins: an ending that comes after it is
    /// illegal.
    pub(crate) fn apply(&mut self, input: StateInput) -> Result<(), IllegalTransition> {
        let next = match (self.phase, input) {
            (ExecutionPhase::Pending, StateInput::Started) => {
                self.started = true;
                ExecutionPhase::Running
            }
            (ExecutionPhase::Pending | ExecutionPhase::Running, StateInput::Decide(ending)) => {
                let next = if self.will_retry(&ending) {
                    ExecutionPhase::Failing
                } else {
                    ExecutionPhase::Closing
                };
                self.ending = Some(ending);
                next
            }
            // The attempt is over, so what could only end it comes too late.
            (ExecutionPhase::Failing, StateInput::Decide(ending)) if is_final(&ending) => {
                self.ending = Some(ending);
                ExecutionPhase::Closing
            }
            (ExecutionPhase::BackingOff, StateInput::Decide(ending)) => {
                self.ending = Some(ending);
                ExecutionPhase::Closing
            }
            (ExecutionPhase::Failing, StateInput::BackOff) => ExecutionPhase::BackingOff,
            (ExecutionPhase::BackingOff, StateInput::NextAttempt) => {
                self.attempt += 1;
                self.ending = None;
                ExecutionPhase::Pending
            }
            (ExecutionPhase::Closing, StateInput::Closed) => ExecutionPhase::Ended,
            _ => return Err(IllegalTransition),
        };
        self.phase = next;
        Ok(())
    }

    /// Makes this attempt the last one, however it ends.
    pub(crate) fn forbid_retry(&mut self) {
        self.retry = None;
    }

    fn will_retry(&self, ending: &Ending) -> bool {
        let retry = self.retry.as_deref();
        retry.is_some_and(|retry| self.attempt < retry.attempts && retry.covers(ending))
    }

    /// Returns the ending as soon as it is decided, which is before the status shows it. While a
    /// failed attempt is being closed, that is the ending of the attempt.
    pub(crate) fn decided(&self) -> Option<&Ending> {
        self.ending.as_ref().filter(|_| self.phase != ExecutionPhase::BackingOff)
    }

    /// Returns true if this attempt is over and another one is to follow.
    pub(crate) fn is_between_attempts(&self) -> bool {
        matches!(self.phase, ExecutionPhase::Failing | ExecutionPhase::BackingOff)
    }

    /// Returns the number of the attempt, the first being 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        match (self.phase, &self.ending) {
            (ExecutionPhase::Ended, Some(ending)) => ending.status(),
            _ if self.started => ExecutionStatus::Running,
            _ => ExecutionStatus::Pending,
        }
    }
}

/// Returns true if no attempt can follow: the caller wants the execution to end, or the engine
/// cannot continue it.
fn is_final(ending: &Ending) -> bool {
    matches!(
        ending,
        Ending::Cancelled
            | Ending::PlanDeadline { .. }
            | Ending::EngineClosed
            | Ending::EngineFailed { .. }
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = StateInput> {
        prop_oneof![
            Just(StateInput::Started),
            Just(StateInput::Closed),
            Just(StateInput::BackOff),
            Just(StateInput::NextAttempt),
            Just(StateInput::Decide(Ending::Cancelled)),
            Just(StateInput::Decide(Ending::TimedOut { timeout_ms: 5 })),
            (0..3).prop_map(|code| StateInput::Decide(Ending::Exited { code })),
            Just(StateInput::Decide(Ending::SpawnFailed { reason: "x".into(), os_error: None })),
        ]
    }

    fn rank(status: ExecutionStatus) -> u8 {
        match status {
            ExecutionStatus::Pending => 0,
            ExecutionStatus::Running => 1,
            _ => 2,
        }
    }

    fn any_retry() -> impl Strategy<Value = Option<Box<RetryPolicy>>> {
        prop::option::of((1..4u32).prop_map(|attempts| Box::new(RetryPolicy::new(attempts))))
    }

    proptest! {
        #[test]
        fn any_inputs_one_ending(
            retry in any_retry(),
            inputs in prop::collection::vec(any_input(), 0..32),
        ) {
            let most = retry.as_ref().map_or(1, |retry| retry.attempts);
            let mut state = ExecutionState::new(retry.clone());
            let mut first_cause = None;
            for input in inputs {
                let before = state.clone();
                let applied = state.apply(input.clone());
                if applied.is_err() {
                    prop_assert_eq!(&state, &before, "an illegal input changes nothing");
                } else {
                    prop_assert_ne!(&state, &before, "a legal input is a transition");
                }
                prop_assert!(rank(state.status()) >= rank(before.status()), "never backwards");
                prop_assert!(state.attempt() <= most, "no more attempts than asked for");
                if let (Ok(()), StateInput::Decide(ending)) = (applied, input) {
                    if state.is_between_attempts() {
                        let covers = retry.as_ref().is_some_and(|retry| retry.covers(&ending));
                        prop_assert!(covers && state.attempt() < most);
                    } else {
                        prop_assert_eq!(first_cause.replace(ending), None, "decided once");
                    }
                }
                if first_cause.is_some() {
                    prop_assert_eq!(state.decided(), first_cause.as_ref(), "the first cause wins");
                    prop_assert!(!state.is_between_attempts(), "and nothing follows");
                }
                if state.status().is_terminal() {
                    prop_assert_eq!(Some(state.status()), state.decided().map(Ending::status));
                }
                if before.status().is_terminal() {
                    prop_assert!(applied.is_err(), "nothing happens after the ending");
                }
            }
        }
    }

    #[test]
    fn without_retry_the_first_cause_is_the_ending() {
        let mut state = ExecutionState::new(None);
        assert_eq!(state.apply(StateInput::Started), Ok(()));
        assert_eq!(state.apply(StateInput::Decide(Ending::Exited { code: 1 })), Ok(()));
        assert_eq!(state.apply(StateInput::Decide(Ending::Cancelled)), Err(IllegalTransition));
        assert_eq!(state.apply(StateInput::BackOff), Err(IllegalTransition));
        assert_eq!(state.apply(StateInput::Closed), Ok(()));
        assert_eq!(state.status(), ExecutionStatus::Failed);
    }

    /// Returns a state that has had these inputs.
    fn after(inputs: &[StateInput]) -> ExecutionState {
        let mut state = ExecutionState::new(Some(Box::new(RetryPolicy::new(2))));
        inputs.iter().for_each(|input| state.apply(input.clone()).unwrap());
        state
    }

    #[test]
    fn a_cancel_ends_it_at_every_stage_of_a_retry() {
        let failed = StateInput::Decide(Ending::Exited { code: 1 });
        let stages = [
            vec![],
            vec![StateInput::Started],
            vec![StateInput::Started, failed.clone()],
            vec![StateInput::Started, failed.clone(), StateInput::BackOff],
            vec![StateInput::Started, failed.clone(), StateInput::BackOff, StateInput::NextAttempt],
        ];
        for stage in stages {
            let mut state = after(&stage);
            assert_eq!(state.apply(StateInput::Decide(Ending::Cancelled)), Ok(()), "{stage:?}");
            assert_eq!(state.apply(StateInput::NextAttempt), Err(IllegalTransition), "{stage:?}");
            assert_eq!(state.apply(StateInput::Closed), Ok(()), "{stage:?}");
            assert_eq!(state.status(), ExecutionStatus::Cancelled, "{stage:?}");
        }
    }

    #[test]
    fn the_last_attempt_is_the_ending() {
        let failed = StateInput::Decide(Ending::Exited { code: 1 });
        let mut state = after(&[
            StateInput::Started,
            failed.clone(),
            StateInput::BackOff,
            StateInput::NextAttempt,
            StateInput::Started,
        ]);
        assert_eq!((state.attempt(), state.decided()), (2, None));
        assert_eq!(state.apply(failed), Ok(()));
        assert!(!state.is_between_attempts());
        assert_eq!(state.apply(StateInput::Closed), Ok(()));
        assert_eq!(state.status(), ExecutionStatus::Failed);
    }

    #[test]
    fn a_cancel_before_the_start_wins_over_the_start() {
        let mut state = ExecutionState::new(None);
        assert_eq!(state.apply(StateInput::Decide(Ending::Cancelled)), Ok(()));
        assert_eq!(state.apply(StateInput::Started), Err(IllegalTransition));
        assert_eq!(state.apply(StateInput::Closed), Ok(()));
        assert_eq!(state.status(), ExecutionStatus::Cancelled);
    }
}
