//! Paths of a request in which no link is followed ([`Links::Refuse`]).
//!
//! They are looked at when the request is submitted, to refuse it early, and again at each start: a
//! path that was without links then may lead elsewhere by now.

use std::io;
use std::path::{Path, PathBuf};

use execution_engine_process::{Launch, Links, SpawnError, SpawnStage, files};

use super::paths::absolute;
use super::program::path_error;
use super::script;
use crate::error::ValidationError;
use crate::types::{Command, Ending};

/// Refuses a path with a link in it. Whatever else may be wrong with it is left to other checks.
pub(super) fn refuse_links(
    field: &'static str,
    path: &Path,
    links: Links,
) -> Result<(), ValidationError> {
    if links == Links::Follow {
        return Ok(());
    }
    match files::check_no_links(path) {
        Err(error) if files::is_link_error(&error) => Err(linked(field, path)),
        _ => Ok(()),
    }
}

/// Returns the path of a script that is looked at again before each start. It is not held open like
/// the other paths: its interpreter opens it by its name, which scripts look at, too (`$0`).
pub(super) fn judged_script(
    command: &Command,
    working_dir: Option<&Path>,
    links: Links,
) -> Result<Option<Box<Path>>, ValidationError> {
    let (Command::Script { path, .. } | Command::ScriptWithArgs { path, .. }) = command else {
        return Ok(None);
    };
    if links == Links::Follow {
        return Ok(None);
    }
    let file = absolute(working_dir.map_or_else(|| path.clone(), |dir| dir.join(path)));
    refuse_links(script::FIELD, &file, links)?;
    Ok(Some(file.into()))
}

/// Checks the script of a start that follows now.
///
/// # Errors
/// The ending of an execution whose script cannot be reached without a link.
pub(crate) fn check_script(path: &Path) -> Result<(), Ending> {
    let failed = |error: io::Error| start_error(script::FIELD, path, &error, Links::Refuse);
    files::check_no_links(path).map_err(failed)
}

/// Returns the ending of an execution whose program could not be started.
pub(crate) fn spawn_failed(launch: &Launch, error: &SpawnError) -> Ending {
    if let (Some(dir), SpawnStage::WorkingDirectory) = (&launch.working_dir, error.stage)
        && launch.links == Links::Refuse
        && files::is_link_error(&error.source)
    {
        return start_error("working_dir", dir, &error.source, launch.links);
    }
    Ending::SpawnFailed { reason: error.to_string(), os_error: error.source.raw_os_error() }
}

/// Returns the ending of an execution that cannot start, for a path cannot be opened.
pub(super) fn start_error(
    field: &'static str,
    path: &Path,
    error: &io::Error,
    links: Links,
) -> Ending {
    let reason = open_error(field, path, error, links).to_string();
    Ending::SpawnFailed { reason, os_error: error.raw_os_error() }
}

/// Returns the error for a path that cannot be opened.
pub(super) fn open_error(
    field: &'static str,
    path: &Path,
    error: &io::Error,
    links: Links,
) -> ValidationError {
    // Where links are followed, that number stands for too many of them.
    if links == Links::Refuse && files::is_link_error(error) {
        return linked(field, path);
    }
    path_error(field, path, error)
}

fn linked(field: &'static str, path: &Path) -> ValidationError {
    // Another program may have taken the link away again.
    let link = files::first_link(path).unwrap_or_else(|| PathBuf::from(path));
    ValidationError::Link { field, path: path.to_path_buf(), link }
}
