//! Faults of the program of a request, as a shell tells them apart.

use super::{ExecutionError, ValidationError};

/// What a shell would say of a program that cannot be started: by
/// [`ExecutionError::program_fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProgramFault {
    /// There is no such program, or its interpreter is missing. A shell exits with 127.
    NotFound,
    /// It is there and cannot be run. A shell exits with 126.
    NotRunnable,
}

impl ProgramFault {
    /// Returns the number that the system has for it, `ENOENT` or `EACCES`, as
    /// [`Ending::SpawnFailed`](crate::Ending::SpawnFailed) tells it.
    pub fn os_error(self) -> i32 {
        match self {
            Self::NotFound => 2,
            Self::NotRunnable => 13,
        }
    }
}

impl ExecutionError {
    /// Returns the fault, if the error is about the program or script of the request; `None` for one
    /// about a directory, an input, or something else.
    ///
    /// ```
    /// use execution_engine::{ExecutionError, ProgramFault, ValidationError};
    ///
    /// let script = ValidationError::ScriptNotFound { path: "/nowhere".into() };
    /// let error = ExecutionError::from(script);
    /// assert_eq!(error.program_fault(), Some(ProgramFault::NotFound));
    /// assert_eq!(error.program_fault().map(ProgramFault::os_error), Some(2));
    /// ```
    pub fn program_fault(&self) -> Option<ProgramFault> {
        let Self::Validation(refused) = self else { return None };
        match refused.error_code() {
            "program_not_found" | "script_not_found" => Some(ProgramFault::NotFound),
            "script_not_a_file" | "script_not_runnable" => Some(ProgramFault::NotRunnable),
            "permission_denied" | "inaccessible" if is_of_program(refused) => {
                Some(ProgramFault::NotRunnable)
            }
            _ => None,
        }
    }
}

/// Returns `true` if the fault is in the file to run, and not in a directory or an input.
fn is_of_program(refused: &ValidationError) -> bool {
    match refused {
        ValidationError::PermissionDenied { field, .. }
        | ValidationError::Inaccessible { field, .. }
        | ValidationError::NotRunnable { field, .. } => {
            ["program", "shell", "interpreter", "path", "script"].contains(field)
        }
        _ => false,
    }
}
