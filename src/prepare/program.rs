//! Program lookup as the child would do it, and the errors of paths.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use execution_engine_process::command_line::{LookupError, SearchPath};
use execution_engine_process::exec_chain::ExecFault;

use super::not_found::not_found_hint;
use crate::error::{IoError, ValidationError};

/// Where the programs of one request are looked for.
pub(super) struct ProgramLookup<'a> {
    pub(super) search: SearchPath<'a>,
    /// Whether the request or its options set `PATH`; errors do not show such a value.
    pub(super) sets_path: bool,
}

/// Finds the file that a program's name means; `field` is the request's field that names it.
pub(super) fn find_program(
    lookup: &ProgramLookup<'_>,
    field: &'static str,
    name: &OsStr,
) -> Result<PathBuf, ValidationError> {
    lookup.search.find(name).map_err(|error| match error {
        LookupError::NotExecutable { path } => ValidationError::PermissionDenied { field, path },
        LookupError::Unsuitable { path, fault } => not_runnable(field, &path, fault),
        LookupError::IsDirectory { path } => {
            path_error(field, &path, &io::ErrorKind::IsADirectory.into())
        }
        LookupError::Inaccessible { path, source } => path_error(field, &path, &source),
        _ => {
            let program = name.display().to_string();
            let hint = not_found_hint(lookup, field, &program);
            ValidationError::ProgramNotFound { field, program, hint }
        }
    })
}

/// Returns the error for a file that the system would not execute for any user.
pub(super) fn not_runnable(field: &'static str, path: &Path, fault: ExecFault) -> ValidationError {
    let kind = io::Error::from_raw_os_error(fault.number).kind();
    let source = IoError { kind, os_error: Some(fault.number), message: fault.text };
    ValidationError::NotRunnable { field, path: path.to_path_buf(), source }
}

/// Returns the error for a path of the field `field` that the system refuses.
pub(super) fn path_error(field: &'static str, path: &Path, error: &io::Error) -> ValidationError {
    let path = path.to_path_buf();
    if error.kind() == io::ErrorKind::PermissionDenied {
        return ValidationError::PermissionDenied { field, path };
    }
    ValidationError::Inaccessible { field, path, source: error.into() }
}
