//! Command line of a script: run by the interpreter of the request, by itself, or by the
//! interpreter of its `#!` line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use execution_engine_process::command_line::{SearchPath, read_shebang};
use execution_engine_process::files;

use super::program::{find_program, path_error};
use crate::error::ValidationError;
use crate::types::script_argument;

/// Name of the request's field that is the path.
const FIELD: &str = "path";

/// Returns the file to execute and its arguments, the first of which is the name that it sees.
pub(super) fn command_line(
    path: &Path,
    interpreter: Option<&str>,
    search: &SearchPath<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    // The child starts in the working directory and gets the path as it was given; this process
    // reaches the file from its own directory.
    let file = search.base.map_or_else(|| path.to_path_buf(), |base| base.join(path));
    check_file(&file)?;
    if let Some(name) = interpreter {
        check_readable(&file)?;
        let args = vec![name.into(), script_argument(path)];
        return Ok((find_program(search, "interpreter", name)?, args));
    }
    if files::can_execute(&file).is_ok() {
        return Ok((file, vec![path.into()]));
    }
    // The kernel runs only executable files by their `#!` line. We do it for the others: the
    // interpreter, at most one argument, the script.
    check_readable(&file)?;
    let shebang = read_shebang(&file).map_err(|error| path_error(FIELD, &file, &error))?;
    let Some(shebang) = shebang else {
        return Err(ValidationError::ScriptNotRunnable { path: file });
    };
    let program = find_program(search, "interpreter", &shebang.interpreter.to_string_lossy())?;
    let mut args = vec![shebang.interpreter];
    args.extend(shebang.argument);
    args.push(script_argument(path));
    Ok((program, args))
}

fn check_file(file: &Path) -> Result<(), ValidationError> {
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(ValidationError::ScriptNotAFile { path: file.to_path_buf() }),
        Err(error) if files::is_missing(&error) => {
            Err(ValidationError::ScriptNotFound { path: file.to_path_buf() })
        }
        Err(error) => Err(path_error(FIELD, file, &error)),
    }
}

fn check_readable(file: &Path) -> Result<(), ValidationError> {
    files::can_read(file).map_err(|error| path_error(FIELD, file, &error))
}
