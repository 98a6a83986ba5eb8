//! Standard input of a child.
//!
//! A file is checked when the request is submitted and opened when the program starts: an execution
//! that waits in the queue holds no file open.

use execution_engine_process::{Links, Stdin, files, is_open_file_limit};

use super::links::{open_error, refuse_links, start_error};
use crate::error::ValidationError;
use crate::types::{Ending, StdinSource};

const FIELD: &str = "stdin";

/// Opens the input for a child that starts now.
///
/// # Errors
/// The ending of an execution that cannot have its input.
pub(crate) fn open_stdin(source: &StdinSource, links: Links) -> Result<Stdin, Ending> {
    Ok(match source {
        StdinSource::Null => Stdin::Null,
        StdinSource::Inherit => Stdin::Inherit,
        StdinSource::Bytes { .. } | StdinSource::Piped => Stdin::Piped,
        StdinSource::File { path } => {
            let failed = |error: std::io::Error| start_error(FIELD, path, &error, links);
            Stdin::File(files::open_input(path, links).map_err(failed)?)
        }
    })
}

/// Checks that a child could be given this input.
pub(super) fn check_stdin(source: &StdinSource, links: Links) -> Result<(), ValidationError> {
    let StdinSource::File { path } = source else { return Ok(()) };
    let failed = |error: std::io::Error| open_error(FIELD, path, &error, links);
    refuse_links(FIELD, path, links)?;
    let file_type = std::fs::metadata(path).map_err(failed)?.file_type();
    // Nothing else is opened: closing a FIFO again would cost its writer the reader.
    if file_type.is_file() || file_type.is_dir() {
        return match files::open_input(path, links) {
            // The start waits for a descriptor, as it does for its pipes.
            Err(error) if error.raw_os_error().is_some_and(is_open_file_limit) => Ok(()),
            opened => opened.map(drop).map_err(failed),
        };
    }
    files::can_read(path).map_err(failed)
}
