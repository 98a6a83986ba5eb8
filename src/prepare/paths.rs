//! Relative paths become absolute when a request is submitted.
//!
//! The host may change its directory at any time, while an execution waits in the queue, for its next
//! attempt or for its turn in a plan, and a log is read after the end. A path must mean the same then.

use std::path::PathBuf;

use super::program::is_executable;
use crate::types::{PlanSpec, StdinSource};

/// Returns the path as an absolute one.
pub(crate) fn absolute(path: PathBuf) -> PathBuf {
    // It fails for an empty path, which is refused elsewhere, and if the current directory was
    // removed; then the path fails when it is used.
    std::path::absolute(&path).unwrap_or(path)
}

/// Returns a source of input whose path is absolute.
pub(crate) fn absolute_source(source: &StdinSource) -> StdinSource {
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

/// Returns the current directory, for an execution that starts later; None if it cannot be entered by
/// its name.
pub(crate) fn current_dir() -> Option<PathBuf> {
    std::env::current_dir().ok().filter(|dir| is_executable(dir))
}
