//! What a child will read.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use execution_engine_process::Stdin;
use execution_engine_process::files::InputFile;
use rustix::fs::{Access, OFlags};

use super::program;
use crate::error::ValidationError;
use crate::types::StdinSource;

const FIELD: &str = "stdin";

pub(crate) fn of_child(source: &StdinSource) -> Result<Stdin, ValidationError> {
    Ok(match source {
        StdinSource::Null => Stdin::Null,
        StdinSource::Bytes { .. } | StdinSource::Piped => Stdin::Piped,
        StdinSource::File { path } => Stdin::File(open(path)?),
    })
}

/// Whether the program could be given this. Nothing is opened but regular files: a FIFO that is
/// opened and closed again would cost its writer the reader.
pub(crate) fn check(source: &StdinSource) -> Result<(), ValidationError> {
    let StdinSource::File { path } = source else { return Ok(()) };
    let failed = |error: io::Error| program::from_io(FIELD, path, &error);
    let file_type = std::fs::metadata(path).map_err(failed)?.file_type();
    if file_type.is_file() || file_type.is_dir() {
        return open(path).map(drop);
    }
    program::may(path, Access::READ_OK).map_err(failed)
}

fn open(path: &Path) -> Result<InputFile, ValidationError> {
    let failed = |error: io::Error| program::from_io(FIELD, path, &error);
    // Opening a FIFO that nobody writes would wait for a writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a directory");
        return Err(program::inaccessible(FIELD, path, &error));
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(|error| failed(error.into()))?;
    Ok(file.into())
}
