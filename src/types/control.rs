//! What a running execution can be asked for, beside ending it.

use execution_engine_process::Signal;

/// Action on the process tree of an execution, as a [backend](crate::Backend) is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlAction {
    /// Send this signal to every process.
    Signal(Signal),
    /// Suspend every process.
    Pause,
    /// Let every process go on.
    Resume,
}
