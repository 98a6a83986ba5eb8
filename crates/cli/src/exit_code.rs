//! Exit codes of all verbs, stable for scripts.

use execution_engine::{Ending, ExecutionError, ProgramFault};
use execution_engine_process::is_open_file_limit;

/// The execution reached its timeout or its idle timeout.
pub(crate) const TIMEOUT: u8 = 124;
/// The request was refused, or something failed that is not the program.
pub(crate) const OURS: u8 = 125;
/// The program is there and cannot be run.
pub(crate) const NOT_RUNNABLE: u8 = 126;
/// The program was not found.
pub(crate) const NOT_FOUND: u8 = 127;
/// The execution was cancelled.
pub(crate) const CANCELLED: u8 = 130;
/// Who reads the output has closed it: what a program has that SIGPIPE ends.
pub(crate) const BROKEN_PIPE: u8 = 141;
/// Added to the number of the signal that ended the program.
const SIGNAL: u8 = 128;

/// Returns the exit code for an execution that has ended, and whose program this signal has ended.
pub(crate) fn of_end(ending: &Ending, signal: Option<i32>) -> u8 {
    match ending {
        // The system reports the limit by the signal. It may have ended another process of the tree.
        Ending::ResourceLimit { .. } => signal.map_or(OURS, of_signal),
        // The system keeps eight bits of it.
        Ending::Exited { code } => code.to_le_bytes()[0],
        Ending::Signaled { signal, .. } => of_signal(*signal),
        Ending::TimedOut { .. } | Ending::IdleTimedOut { .. } | Ending::PlanDeadline { .. } => {
            TIMEOUT
        }
        Ending::Cancelled | Ending::EngineClosed => CANCELLED,
        Ending::SpawnFailed { os_error, .. } => match os_error {
            Some(NO_ENTRY | NOT_A_DIRECTORY) => NOT_FOUND,
            // What the machine has no more of, whatever the program is.
            Some(number) if is_open_file_limit(*number) => OURS,
            Some(NO_PROCESS | NO_MEMORY) => OURS,
            Some(_) => NOT_RUNNABLE,
            // Not the program, but a directory, an input or a limit.
            None => OURS,
        },
        _ => OURS,
    }
}

const NO_ENTRY: i32 = rustix::io::Errno::NOENT.raw_os_error();
const NO_PROCESS: i32 = rustix::io::Errno::AGAIN.raw_os_error();
const NO_MEMORY: i32 = rustix::io::Errno::NOMEM.raw_os_error();
const NOT_A_DIRECTORY: i32 = rustix::io::Errno::NOTDIR.raw_os_error();

/// Returns the exit code for a program that a signal has ended.
pub(crate) fn of_signal(signal: i32) -> u8 {
    u8::try_from(signal).map_or(OURS, |signal| SIGNAL.saturating_add(signal))
}

/// Returns the exit code for a request that was refused, or a call that failed.
pub(crate) fn of_error(error: &ExecutionError) -> u8 {
    match error.program_fault() {
        Some(ProgramFault::NotFound) => NOT_FOUND,
        Some(ProgramFault::NotRunnable) => NOT_RUNNABLE,
        None => OURS,
    }
}

#[cfg(test)]
mod tests {
    use execution_engine::ResourceLimit;

    use super::*;

    #[test]
    fn codes_are_those_of_the_program_or_ours() {
        for (ending, code) in [
            (Ending::Exited { code: 0 }, 0),
            (Ending::Exited { code: 255 }, 255),
            (Ending::Exited { code: 256 + 7 }, 7),
            (Ending::Signaled { signal: 9, core_dumped: false }, 137),
            (Ending::TimedOut { timeout_ms: 1 }, 124),
            (Ending::IdleTimedOut { idle_timeout_ms: 1 }, 124),
            (Ending::Cancelled, 130),
            (Ending::StatusUnknown, 125),
        ] {
            assert_eq!(of_end(&ending, None), code, "{ending:?}");
        }
        let limit = Ending::ResourceLimit { limit: ResourceLimit::CpuTime };
        assert_eq!((of_end(&limit, Some(9)), of_end(&limit, None)), (137, 125));
        for (os_error, code) in
            [(Some(2), 127), (Some(20), 127), (Some(13), 126), (Some(24), 125), (None, 125)]
        {
            let ending = Ending::SpawnFailed { reason: String::new(), os_error };
            assert_eq!(of_end(&ending, None), code, "{os_error:?}");
        }
    }
}
