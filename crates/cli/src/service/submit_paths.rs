//! Paths of a command that goes to the service: the same machine has them, so what is wrong with one is
//! told before it is submitted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use execution_engine_process::files;

use crate::failure::Failure;

/// Returns a path from the root on. An empty one is the current directory.
///
/// # Errors
/// The service cannot take the path, or the current directory is not known.
pub(super) fn absolute(option: &str, path: PathBuf) -> Result<PathBuf, Failure> {
    let path = if path.is_absolute() {
        path
    } else {
        let here = std::env::current_dir().map_err(|error| {
            Failure::new(format!("the current directory is not known ({error}); use --cwd"))
        })?;
        if path.as_os_str().is_empty() { here } else { here.join(path) }
    };
    match path.to_str() {
        Some(_) => Ok(path),
        None => Err(Failure::new(format!(
            "{option}: {} is not UTF-8, which the service cannot take; use another path",
            path.display()
        ))),
    }
}

/// Checks that a program can have this directory.
///
/// # Errors
/// What is wrong with it, and the fix.
pub(super) fn check_dir(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            Err(Failure::new(format!("--cwd: {shown} is not a directory; check the path")))
        }
        Ok(_) => files::can_execute(path).map_err(|error| {
            Failure::new(format!(
                "--cwd: {shown} cannot be entered: {error}; check its mode and owner"
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(format!("--cwd: {shown} does not exist; create it or check the path")))
        }
        Err(error) => Err(Failure::new(format!("--cwd: {shown}: {error}; check the path"))),
    }
}

/// Checks that a program can read this file.
///
/// # Errors
/// What is wrong with it, and the fix.
pub(super) fn check_input(path: &Path) -> Result<(), Failure> {
    let failed = |why: String| {
        let shown = path.display();
        Failure::new(format!(
            "--stdin: {shown} cannot be used: {why}; check the path and its permissions"
        ))
    };
    let found = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if found.is_dir() {
        return Err(failed("is a directory".to_string()));
    }
    files::can_read(path).map_err(|error| failed(error.to_string()))
}
