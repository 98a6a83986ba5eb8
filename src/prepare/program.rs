//! Program lookup as the child would do it, and the errors of paths.

use std::io;
use std::path::{Path, PathBuf};

use execution_engine_process::command_line::{LookupError, SearchPath};

use crate::error::ValidationError;

/// Finds the file that a program's name means; `field` is the request's field that names it.
pub(super) fn find_program(
    search: &SearchPath<'_>,
    field: &'static str,
    name: &str,
) -> Result<PathBuf, ValidationError> {
    search.find(name).map_err(|error| match error {
        LookupError::NotExecutable { path } => ValidationError::PermissionDenied { field, path },
        LookupError::IsDirectory { path } => {
            path_error(field, &path, &io::ErrorKind::IsADirectory.into())
        }
        LookupError::Inaccessible { path, source } => path_error(field, &path, &source),
        _ => ValidationError::ProgramNotFound { field, program: name.to_string() },
    })
}

/// Returns the error for a path of the field `field` that the system refuses.
pub(super) fn path_error(field: &'static str, path: &Path, error: &io::Error) -> ValidationError {
    let path = path.to_path_buf();
    if error.kind() == io::ErrorKind::PermissionDenied {
        return ValidationError::PermissionDenied { field, path };
    }
    ValidationError::Inaccessible { field, path, source: error.into() }
}
