//! The state machine of an execution: pure, and the one place where its ending is decided.

use crate::model::{Ending, ExecutionStatus};

/// Where an execution stands, and what ended it. The first cause wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    phase: Phase,
    /// Whether the program ever ran: an ending alone does not make it run.
    started: bool,
    ending: Option<Ending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Accepted; the program does not run yet.
    Pending,
    Running,
    /// The ending is decided; the tree is being stopped or the output collected.
    Closing,
    Ended,
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Started,
    /// Something that ends it: the program by itself, a failed spawn, or a cause to stop it.
    Decide(Ending),
    /// The tree is gone and the output collected.
    Closed,
}

/// An input that the state has no transition for. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Illegal;

impl State {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Pending, started: false, ending: None }
    }

    pub(crate) fn apply(&mut self, input: Input) -> Result<(), Illegal> {
        let next = match (self.phase, input) {
            (Phase::Pending, Input::Started) => {
                self.started = true;
                Phase::Running
            }
            (Phase::Pending | Phase::Running, Input::Decide(ending)) => {
                self.ending = Some(ending);
                Phase::Closing
            }
            (Phase::Closing, Input::Closed) => Phase::Ended,
            _ => return Err(Illegal),
        };
        self.phase = next;
        Ok(())
    }

    /// The ending as soon as it is decided, which is before the status shows it.
    pub(crate) fn decided(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        match (self.phase, &self.ending) {
            (Phase::Ended, Some(ending)) => ending.status(),
            _ if self.started => ExecutionStatus::Running,
            _ => ExecutionStatus::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::Started),
            Just(Input::Closed),
            Just(Input::Decide(Ending::Cancelled)),
            Just(Input::Decide(Ending::TimedOut { timeout_ms: 5 })),
            (0..3).prop_map(|code| Input::Decide(Ending::Exited { code })),
            Just(Input::Decide(Ending::SpawnFailed { reason: "x".into(), os_error: None })),
        ]
    }

    fn rank(status: ExecutionStatus) -> u8 {
        match status {
            ExecutionStatus::Pending => 0,
            ExecutionStatus::Running => 1,
            _ => 2,
        }
    }

    proptest! {
        #[test]
        fn any_inputs_one_ending(inputs in prop::collection::vec(any_input(), 0..24)) {
            let mut state = State::new();
            let first_cause = inputs.iter().find_map(|input| match input {
                Input::Decide(ending) => Some(ending.clone()),
                _ => None,
            });
            for input in inputs {
                let before = state.clone();
                let applied = state.apply(input.clone());
                if applied.is_err() {
                    prop_assert_eq!(&state, &before, "an illegal input changes nothing");
                } else {
                    prop_assert_ne!(&state, &before, "a legal input is a transition");
                }
                prop_assert!(rank(state.status()) >= rank(before.status()), "never backwards");
                if before.decided().is_some() {
                    prop_assert_eq!(state.decided(), before.decided(), "decided once");
                }
                if state.status().is_terminal() {
                    prop_assert_eq!(Some(state.status()), state.decided().map(Ending::status));
                }
                if before.status().is_terminal() {
                    prop_assert!(applied.is_err(), "nothing happens after the ending");
                }
            }
            prop_assert_eq!(state.decided().cloned(), first_cause, "the first cause wins");
        }
    }

    #[test]
    fn a_cancel_before_the_start_wins_over_the_start() {
        let mut state = State::new();
        assert_eq!(state.apply(Input::Decide(Ending::Cancelled)), Ok(()));
        assert_eq!(state.apply(Input::Started), Err(Illegal));
        assert_eq!(state.apply(Input::Closed), Ok(()));
        assert_eq!(state.status(), ExecutionStatus::Cancelled);
    }
}
