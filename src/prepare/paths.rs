//! Relative paths become absolute when a request is submitted.
//!
//! The host may change its directory at any time, also while an execution waits in the queue, for
//! its next attempt or for its turn in a plan; and a log is read after the end. A path must mean
//! the same then.

use std::path::{Component, Path, PathBuf};

use execution_engine_process::{Links, files};

use super::links::refuse_links;
use super::program::path_error;
use crate::error::ValidationError;
use crate::types::{PlanSpec, StdinSource};

/// Returns the path as an absolute one.
pub(crate) fn absolute(path: PathBuf) -> PathBuf {
    // This fails for an empty path, which is refused elsewhere, and if the current directory was
    // removed; the path fails then when it is used.
    std::path::absolute(&path).unwrap_or(path)
}

/// Returns a source of input whose path is absolute.
pub(super) fn absolute_source(source: &StdinSource) -> StdinSource {
    match source {
        StdinSource::File { path } => StdinSource::File { path: absolute(path.clone()) },
        other => other.clone(),
    }
}

/// Makes all paths of a plan absolute, and gives each step without a directory the current one.
pub(crate) fn absolute_plan(spec: &mut PlanSpec) {
    let PlanSpec { plan, options } = spec;
    let current = current_dir();
    options.working_dir = options.working_dir.take().map(absolute);
    for request in &mut plan.commands {
        request.output_log_path = request.output_log_path.take().map(absolute);
        // Under a directory that all steps share, a step's own path starts there.
        if options.working_dir.is_none() {
            let own = request.working_dir.take().map(absolute);
            request.working_dir = own.or_else(|| current.clone());
        }
    }
    let own = options.steps.iter_mut().filter_map(|step| step.options.as_mut());
    for options in own.chain([&mut options.defaults]) {
        options.stdin = absolute_source(&options.stdin);
    }
}

/// Returns the current directory, for an execution that starts later; None if it cannot be entered
/// by its name.
pub(crate) fn current_dir() -> Option<PathBuf> {
    std::env::current_dir().ok().filter(|dir| files::can_execute(dir).is_ok())
}

/// Checks that a working directory exists and can be entered, and returns it as an absolute path.
pub(super) fn working_dir(dir: &Path, links: Links) -> Result<PathBuf, ValidationError> {
    const FIELD: &str = "working_dir";
    // Unlike in `absolute`, a failure is one of the request.
    let path = std::path::absolute(dir).map_err(|error| path_error(FIELD, dir, &error))?;
    refuse_links(FIELD, &path, links)?;
    match std::fs::metadata(&path) {
        Ok(meta) if !meta.is_dir() => Err(ValidationError::WorkingDirNotADirectory { path }),
        Ok(_) if files::can_execute(&path).is_err() => {
            Err(ValidationError::PermissionDenied { field: FIELD, path })
        }
        Ok(_) => Ok(path),
        Err(error) if files::is_missing(&error) => {
            Err(ValidationError::WorkingDirNotFound { path })
        }
        Err(error) => Err(path_error(FIELD, &path, &error)),
    }
}

/// Returns an absolute path without `.` and `..`, with which it is none for shells. Symbolic links
/// are followed only for a `..`, which need not lead to what is written before it. None if it leads
/// nowhere.
pub(super) fn without_dots(path: &Path) -> Option<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return path.canonicalize().ok();
    }
    Some(path.components().collect())
}
