//! Command line of a script: run by the interpreter of the request, by itself, or by the
//! interpreter of its `#!` line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use execution_engine_process::{exec_chain, files};

use super::paths::absolute;
use super::program::{ProgramLookup, find_program, not_runnable, path_error};
use crate::error::ValidationError;
use crate::types::script_argument;

/// Name of the request's field that is the path.
pub(super) const FIELD: &str = "path";

/// Returns the file to execute and its arguments, the first of which is the name that it sees.
pub(super) fn command_line(
    path: &Path,
    interpreter: Option<&str>,
    lookup: &ProgramLookup<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    // The child starts in the working directory and gets the path as it was given; this process
    // reaches the file from its own directory.
    let base = lookup.search.base;
    let file = base.map_or_else(|| path.to_path_buf(), |base| base.join(path));
    check_file(&file)?;
    if let Some(name) = interpreter {
        check_readable(&file)?;
        let args = vec![name.into(), script_argument(path)];
        return Ok((find_program(lookup, "interpreter", name.as_ref())?, args));
    }
    if files::can_execute(&file).is_ok() {
        // By the path as it was given, which is the name that the kernel passes to an interpreter.
        return Ok((script_argument(path).into(), vec![path.into()]));
    }
    // The kernel runs only executable files by their `#!` line. We do it for the others, exactly as
    // the kernel would or not at all: the interpreter, at most one argument, the script.
    check_readable(&file)?;
    let line =
        exec_chain::script_line(&file, base).map_err(|fault| not_runnable(FIELD, &file, fault))?;
    let Some(line) = line else {
        return Err(ValidationError::ScriptNotRunnable { path: file });
    };
    // Not made absolute: the interpreter may be a script, and then its own gets this name.
    let program = PathBuf::from(line.interpreter.clone());
    let mut args = vec![line.interpreter];
    args.extend(line.argument);
    args.push(script_argument(path));
    Ok((program, args))
}

fn check_file(file: &Path) -> Result<(), ValidationError> {
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(ValidationError::ScriptNotAFile { path: file.to_path_buf() }),
        Err(error) if files::is_missing(&error) => {
            Err(ValidationError::ScriptNotFound { path: absolute(file.to_path_buf()) })
        }
        Err(error) => Err(path_error(FIELD, file, &error)),
    }
}

fn check_readable(file: &Path) -> Result<(), ValidationError> {
    files::can_read(file).map_err(|error| path_error(FIELD, file, &error))
}
