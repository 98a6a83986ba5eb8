//! Standard input of a child.
//!
//! A file is checked when the request is submitted and opened when the program starts: an execution
//! that waits in the queue holds no file open.

use std::path::Path;

use execution_engine_process::Stdin;
use execution_engine_process::files::{self, InputFile};

use super::program::path_error;
use crate::error::ValidationError;
use crate::types::StdinSource;

const FIELD: &str = "stdin";

/// Opens the input for a child that starts now.
pub(crate) fn open_stdin(source: &StdinSource) -> Result<Stdin, ValidationError> {
    Ok(match source {
        StdinSource::Null => Stdin::Null,
        StdinSource::Bytes { .. } | StdinSource::Piped => Stdin::Piped,
        StdinSource::File { path } => Stdin::File(open(path)?),
    })
}

/// Checks that a child could be given this input.
pub(super) fn check_stdin(source: &StdinSource) -> Result<(), ValidationError> {
    let StdinSource::File { path } = source else { return Ok(()) };
    let failed = |error: std::io::Error| path_error(FIELD, path, &error);
    let file_type = std::fs::metadata(path).map_err(failed)?.file_type();
    // Nothing else is opened: closing a FIFO again would cost its writer the reader.
    if file_type.is_file() || file_type.is_dir() {
        return open(path).map(drop);
    }
    files::can_read(path).map_err(failed)
}

fn open(path: &Path) -> Result<InputFile, ValidationError> {
    files::open_input(path).map_err(|error| path_error(FIELD, path, &error))
}
