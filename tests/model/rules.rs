//! What must hold in every history, and the fault that breaks it.

use std::fmt;
use std::sync::OnceLock;

/// One rule of the public API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    NoPanic,
    NoHang,
    /// Each execution has one terminal event, which is the last.
    OneTerminalEvent,
    /// `Started` comes before all output and status changes, and if the program has run.
    StartedFirst,
    /// Status changes form a chain from `Pending` to the final status.
    StatusChain,
    /// Sequence numbers grow, and records of two executions with one id are not mixed.
    OneExecutionAtATime,
    /// Told and missed output are what was written, for every reader.
    ToldAndMissed,
    /// What is told is what was written, and no character is split.
    ToldAsWritten,
    /// The result of a program that nothing stopped is what it did.
    ResultIsTrue,
    /// An ending has a cause in the history.
    EndingHasCause,
    /// After an accepted cancel the ending is `Cancelled`.
    CancelIsKept,
    /// No more than the limit at a time.
    Limit,
    /// Nothing is refused while a permit or a place in the queue is free.
    RefusedForAReason,
    /// The queue is first in, first out.
    QueueOrder,
    /// Positions and counts are those of what waits and runs.
    Counts,
    /// Status, result, list and waiters say the same, and never go back.
    Agreement,
    /// Results, statistics and ending of a plan agree, and its order is kept.
    Plan,
    /// A plan whose steps all succeeded is completed.
    PlanCompleted,
    /// A subscription of a plan has all of its executions, or says what it missed.
    PlanIsTold,
    /// Each handler gets all events in order, or is told what it missed.
    Handler,
    /// A handler that blocks gets no more lines.
    HandlerCutOff,
    /// No more than the retention is remembered.
    Retention,
    /// No process, permit, thread or descriptor is left.
    NothingLeft,
}

/// A rule that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

pub(crate) type Check = Result<(), Fault>;

impl Rule {
    /// Returns `false` for a rule that is not checked: a search is to go past a fault that is known.
    pub(crate) fn is_enforced(self) -> bool {
        static WITHOUT: OnceLock<String> = OnceLock::new();
        let read = || std::env::var("EXECUTION_ENGINE_MODEL_WITHOUT").unwrap_or_default();
        let name = format!("{self:?}");
        !WITHOUT.get_or_init(read).split(',').any(|one| one == name)
    }

    /// Returns an error unless the rule was kept.
    pub(crate) fn check(self, is_kept: bool, detail: impl FnOnce() -> String) -> Check {
        if is_kept || !self.is_enforced() { Ok(()) } else { Err(self.broken(detail())) }
    }

    /// Returns the fault of a rule that was broken.
    pub(crate) fn broken(self, detail: impl Into<String>) -> Fault {
        Fault { rule: self, detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}
