//! The state machine of an execution: pure, and the one place where its ending is decided.
//!
//! What may decide it: until an ending is decided, everything that can end an execution. Where
//! another attempt is to follow, only what wants the execution to end as a whole. After that
//! nothing.
//!
//! It also grants each start of the program. Once an ending is decided it grants none; a start that
//! is under way at that moment is told, whatever comes of it.

use crate::types::{Ending, ExecutionStatus, RetryPolicy, SkipReason};

/// Progress of an execution, and what ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecutionState {
    phase: ExecutionPhase,
    /// True once the program ran: an ending alone does not make it run.
    started: bool,
    /// True once a start was granted for this attempt.
    tried: bool,
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
    /// A start of the program is under way.
    Starting,
    Running,
    /// The attempt has failed and another one is to follow; the tree is being stopped or the output
    /// collected.
    Failing,
    /// Waiting for the next attempt.
    BackingOff,
    /// The ending was decided while a start was under way, of which the outcome is not known yet.
    StoppedInStart,
    /// The ending is decided; the tree is being stopped or the output collected.
    Closing,
    Ended,
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StateInput {
    /// The program is about to be started.
    Starting,
    Started,
    /// The start came to nothing.
    NotStarted,
    /// Something ends it, or this attempt: the program by itself, a failed spawn, or a cancel.
    Decide(Ending),
    /// Something stops it that is not about this execution alone: with this ending, or for this
    /// reason if its program never ran.
    Stop(Ending, SkipReason),
    /// The tree of a failed attempt is gone and its output collected.
    BackOff,
    /// Another attempt begins.
    NextAttempt,
    /// The place where it ran has lost the attempt, and makes another one. Only for what runs
    /// elsewhere.
    AttemptLost,
    /// The tree is gone and the output collected.
    Closed,
}

/// Error of an input that the state has no transition for. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IllegalTransition;

impl ExecutionState {
    pub(crate) fn new(retry: Option<Box<RetryPolicy>>) -> Self {
        let phase = ExecutionPhase::Pending;
        Self { phase, started: false, tried: false, ending: None, retry, attempt: 1 }
    }

    /// Makes the transition for `input`. The first cause wins: an ending that comes after it is
    /// illegal.
    pub(crate) fn apply(&mut self, input: StateInput) -> Result<(), IllegalTransition> {
        let next = match (self.phase, input) {
            (_, StateInput::Decide(ending)) => self.decide(ending)?,
            (_, StateInput::Stop(ending, reason)) => {
                let never_ran = !self.started && self.phase != ExecutionPhase::Starting;
                self.decide(if never_ran { Ending::NotRun { reason } } else { ending })?
            }
            (ExecutionPhase::Pending, StateInput::Starting) => {
                self.tried = true;
                ExecutionPhase::Starting
            }
            (ExecutionPhase::Starting, StateInput::Started) => {
                self.started = true;
                ExecutionPhase::Running
            }
            (ExecutionPhase::Starting, StateInput::NotStarted) => ExecutionPhase::Pending,
            (ExecutionPhase::StoppedInStart, StateInput::Started) => {
                self.started = true;
                ExecutionPhase::Closing
            }
            (ExecutionPhase::StoppedInStart, StateInput::NotStarted) => {
                if !self.started {
                    self.ending = self.ending.take().map(never_ran);
                }
                ExecutionPhase::Closing
            }
            (ExecutionPhase::Failing, StateInput::BackOff) => ExecutionPhase::BackingOff,
            (ExecutionPhase::BackingOff, StateInput::NextAttempt) => {
                self.attempt += 1;
                self.tried = false;
                self.ending = None;
                ExecutionPhase::Pending
            }
            (
                ExecutionPhase::Pending | ExecutionPhase::Starting | ExecutionPhase::Running,
                StateInput::AttemptLost,
            ) => {
                self.attempt += 1;
                self.tried = false;
                ExecutionPhase::Pending
            }
            (ExecutionPhase::Closing | ExecutionPhase::StoppedInStart, StateInput::Closed) => {
                ExecutionPhase::Ended
            }
            _ => return Err(IllegalTransition),
        };
        self.phase = next;
        Ok(())
    }

    /// Takes an ending, and returns the phase that follows.
    fn decide(&mut self, ending: Ending) -> Result<ExecutionPhase, IllegalTransition> {
        let next = match self.phase {
            ExecutionPhase::Starting => ExecutionPhase::StoppedInStart,
            ExecutionPhase::Pending | ExecutionPhase::Running if self.will_retry(&ending) => {
                ExecutionPhase::Failing
            }
            ExecutionPhase::Pending | ExecutionPhase::Running | ExecutionPhase::BackingOff => {
                ExecutionPhase::Closing
            }
            // The attempt is over, so what could only end it comes too late.
            ExecutionPhase::Failing if is_final(&ending) => ExecutionPhase::Closing,
            _ => return Err(IllegalTransition),
        };
        self.ending = Some(ending);
        Ok(next)
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

    /// Returns in how many attempts the program was started, or was tried to be.
    pub(crate) fn attempts_made(&self) -> u32 {
        self.attempt - u32::from(!self.tried)
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
            | Ending::NotRun { .. }
            | Ending::EngineClosed
            | Ending::EngineFailed { .. }
    )
}

/// Returns the ending of an execution that was stopped during a start that came to nothing.
fn never_ran(ending: Ending) -> Ending {
    let reason = match ending {
        Ending::EngineClosed => SkipReason::EngineClosed,
        Ending::PlanDeadline { .. } => SkipReason::PlanDeadline,
        other => return other,
    };
    Ending::NotRun { reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = StateInput> {
        prop_oneof![
            Just(StateInput::Starting),
            Just(StateInput::Started),
            Just(StateInput::NotStarted),
            Just(StateInput::Closed),
            Just(StateInput::BackOff),
            Just(StateInput::NextAttempt),
            Just(StateInput::Stop(Ending::EngineClosed, SkipReason::EngineClosed)),
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
            let mut first_cause: Option<Ending> = None;
            let mut has_run = false;
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
                prop_assert!(state.attempts_made() <= state.attempt());
                match (applied, input) {
                    (Ok(()), StateInput::Decide(_) | StateInput::Stop(..)) => {
                        let ending = state.decided().cloned().unwrap();
                        if state.is_between_attempts() {
                            let covers = retry.as_ref().is_some_and(|retry| retry.covers(&ending));
                            prop_assert!(covers && state.attempt() < most);
                        } else {
                            prop_assert_eq!(first_cause.replace(ending), None, "decided once");
                        }
                    }
                    (Ok(()), StateInput::Starting) => {
                        prop_assert_eq!(&first_cause, &None, "no start is granted any more");
                    }
                    (Ok(()), StateInput::Started) => {
                        has_run = true;
                        prop_assert_eq!(state.status(), ExecutionStatus::Running, "it is told");
                    }
                    (Ok(()), StateInput::NotStarted) if first_cause.is_some() => {
                        let status = first_cause.as_ref().map(Ending::status);
                        prop_assert_eq!(state.decided().map(Ending::status), status);
                        first_cause = state.decided().cloned();
                    }
                    _ => {}
                }
                if first_cause.is_some() {
                    prop_assert_eq!(state.decided(), first_cause.as_ref(), "the first cause wins");
                    prop_assert!(!state.is_between_attempts(), "and nothing follows");
                }
                if state.status().is_terminal() {
                    prop_assert_eq!(Some(state.status()), state.decided().map(Ending::status));
                    let says_never = matches!(state.decided(), Some(Ending::NotRun { .. }));
                    prop_assert!(!(has_run && says_never), "what has run is not told as never run");
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
        assert_eq!(state.apply(StateInput::Starting), Ok(()));
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

    const STOP: StateInput = StateInput::Stop(Ending::EngineClosed, SkipReason::EngineClosed);
    const NEVER_RAN: Ending = Ending::NotRun { reason: SkipReason::EngineClosed };

    fn failed() -> StateInput {
        StateInput::Decide(Ending::Exited { code: 1 })
    }

    #[test]
    fn a_cancel_ends_it_at_every_stage_of_a_retry() {
        let through_a_start = [StateInput::Starting, StateInput::Started, failed()];
        let rest = [StateInput::BackOff, StateInput::NextAttempt];
        let inputs = [&through_a_start[..], &rest[..]].concat();
        for count in 0..=inputs.len() {
            let mut state = after(&inputs[..count]);
            assert_eq!(state.apply(StateInput::Decide(Ending::Cancelled)), Ok(()), "{count}");
            assert_eq!(state.apply(StateInput::NextAttempt), Err(IllegalTransition), "{count}");
            assert_eq!(state.apply(StateInput::Starting), Err(IllegalTransition), "{count}");
            assert_eq!(state.apply(StateInput::Closed), Ok(()), "{count}");
            assert_eq!(state.status(), ExecutionStatus::Cancelled, "{count}");
        }
    }

    #[test]
    fn the_last_attempt_is_the_ending() {
        let again = [StateInput::Starting, StateInput::Started];
        let mut state = after(&again);
        for input in [failed(), StateInput::BackOff, StateInput::NextAttempt] {
            assert_eq!(state.apply(input), Ok(()));
        }
        assert_eq!((state.attempt(), state.attempts_made()), (2, 1));
        for input in again {
            assert_eq!(state.apply(input), Ok(()));
        }
        assert_eq!((state.attempts_made(), state.decided()), (2, None));
        assert_eq!(state.apply(failed()), Ok(()));
        assert!(!state.is_between_attempts());
        assert_eq!(state.apply(StateInput::Closed), Ok(()));
        assert_eq!(state.status(), ExecutionStatus::Failed);
    }

    #[test]
    fn stopped_before_its_start_it_never_ran() {
        let mut state = after(&[]);
        assert_eq!(state.apply(STOP), Ok(()));
        assert_eq!(state.decided(), Some(&NEVER_RAN));
        assert_eq!(state.apply(StateInput::Starting), Err(IllegalTransition));
        assert_eq!(state.attempts_made(), 0);
    }

    #[test]
    fn stopped_during_its_start_it_is_told_what_came_of_the_start() {
        let mut state = after(&[StateInput::Starting, STOP, StateInput::Started]);
        assert_eq!(state.status(), ExecutionStatus::Running);
        assert_eq!(state.decided(), Some(&Ending::EngineClosed));
        assert_eq!(state.apply(StateInput::Closed), Ok(()));
        assert_eq!(state.status(), ExecutionStatus::Cancelled);
        let state = after(&[StateInput::Starting, STOP, StateInput::NotStarted]);
        assert_eq!((state.status(), state.decided()), (ExecutionStatus::Pending, Some(&NEVER_RAN)));
        // A refused start may be tried again; between two tries nothing is under way.
        let state = after(&[StateInput::Starting, StateInput::NotStarted, STOP]);
        assert_eq!((state.decided(), state.attempts_made()), (Some(&NEVER_RAN), 1));
    }

    #[test]
    fn what_ran_once_is_stopped_before_a_later_start() {
        let inputs = [StateInput::Starting, StateInput::Started, failed(), StateInput::BackOff];
        let mut state = after(&inputs);
        assert_eq!(state.apply(STOP), Ok(()));
        assert_eq!(state.decided(), Some(&Ending::EngineClosed));
    }
}
