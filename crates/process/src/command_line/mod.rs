//! From a command to a file to execute: lookup of programs, `#!` lines, quoting, and names of
//! variables, as each system does it.
//!
//! The rules are pure functions in [`unix`] and [`windows`]; both are compiled and tested on every
//! system. [`SearchPath`] and the free functions apply the rules of this system to its files.

mod shebang;
mod typed;
pub mod unix;
pub mod windows;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exec_chain::{self, ExecFault};
use crate::files;

#[cfg(unix)]
use unix as host;
#[cfg(windows)]
use windows as host;

pub use host::same_env_key;
pub use shebang::{SHEBANG_BYTES, Shebang, ShebangError};
pub use typed::TypedLine;

/// Where a program is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchPath<'a> {
    /// The `PATH` of the child; None if it has none.
    pub path: Option<&'a OsStr>,
    /// The `PATHEXT` of the child. Windows only.
    pub extensions: Option<&'a OsStr>,
    /// The directory at which relative paths start; None is that of this process.
    pub base: Option<&'a Path>,
}

/// What a lookup finds at a path.
#[derive(Debug)]
pub enum Candidate {
    /// A file that this process may execute.
    Runnable,
    /// A file that it may not execute.
    NotExecutable,
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
    /// A path that cannot be examined.
    Unreadable(io::Error),
}

/// Why a program was not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No file of this name is there.
    #[error("the program was not found")]
    NotFound,
    /// The best match may not be executed.
    #[error("no permission for {path}")]
    NotExecutable {
        /// The match.
        path: PathBuf,
    },
    /// The best match may not be executed by any user.
    #[error("{path} cannot be executed: {fault}")]
    Unsuitable {
        /// The match.
        path: PathBuf,
        /// Why not.
        fault: ExecFault,
    },
    /// The path names a directory.
    #[error("{path} is a directory, not a program")]
    IsDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The path could not be examined.
    #[error("{path}: {source}")]
    Inaccessible {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl SearchPath<'_> {
    /// Finds the file that a child with this `PATH` and working directory means by `name`.
    ///
    /// # Errors
    /// [`LookupError`] says why there is none.
    pub fn find(&self, name: &OsStr) -> Result<PathBuf, LookupError> {
        host::find_program(self, name, look).map_err(|error| match error {
            // Its mode is not the only possible cause.
            LookupError::NotExecutable { path } => match exec_chain::place_fault(&path) {
                Some(fault) => LookupError::Unsuitable { path, fault },
                None => LookupError::NotExecutable { path },
            },
            other => other,
        })
    }
}

/// Examines a path of this system as a lookup does.
fn look(path: &Path) -> Candidate {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Candidate::Directory,
        // The system executes no devices and the like, whatever their mode.
        Ok(meta) if !meta.is_file() || files::can_execute(path).is_err() => {
            Candidate::NotExecutable
        }
        Ok(_) => Candidate::Runnable,
        Err(error) if files::is_missing(&error) => Candidate::Missing,
        Err(error) => Candidate::Unreadable(error),
    }
}

/// Turns what is at a path into the answer for a name that is a path.
fn accept(path: PathBuf, found: Candidate) -> Result<PathBuf, LookupError> {
    match found {
        Candidate::Runnable => Ok(path),
        Candidate::NotExecutable => Err(LookupError::NotExecutable { path }),
        Candidate::Directory => Err(LookupError::IsDirectory { path }),
        Candidate::Missing => Err(LookupError::NotFound),
        Candidate::Unreadable(source) => Err(LookupError::Inaccessible { path, source }),
    }
}

/// Returns the first runnable candidate. A file that may not be executed hides none further on; it
/// is only the better error at the end. A path that may not be examined has nothing that we know
/// of.
fn first_runnable(
    candidates: impl IntoIterator<Item = PathBuf>,
    mut look: impl FnMut(&Path) -> Candidate,
) -> Result<PathBuf, LookupError> {
    let mut failure = LookupError::NotFound;
    for path in candidates {
        match look(&path) {
            Candidate::Runnable => return Ok(path),
            Candidate::NotExecutable => failure = LookupError::NotExecutable { path },
            Candidate::Directory | Candidate::Missing | Candidate::Unreadable(_) => {}
        }
    }
    Err(failure)
}

/// Returns these bytes as a string of this system. None if it has no such string: on Windows, bytes
/// that are not UTF-8.
pub fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    #[cfg(unix)]
    return Some(std::os::unix::ffi::OsStringExt::from_vec(bytes));
    #[cfg(not(unix))]
    return String::from_utf8(bytes).ok().map(OsString::from);
}

/// Returns the option by which a shell is given a line to run.
pub fn shell_flag(shell: &str) -> &'static str {
    // Both separators, because a path such as C:\..\pwsh.exe may name the shell on any system.
    let file = shell.rsplit(['/', '\\']).next().unwrap_or(shell).to_ascii_lowercase();
    match file.strip_suffix(".exe").unwrap_or(&file) {
        "powershell" | "pwsh" => "-Command",
        "cmd" => "/C",
        _ => "-c",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_family_has_its_flag() {
        for shell in ["sh", "/bin/bash", "/usr/bin/fish", "zsh"] {
            assert_eq!(shell_flag(shell), "-c", "{shell}");
        }
        for shell in ["pwsh", "/opt/pwsh", r"C:\Program Files\PowerShell\7\PWSH.EXE", "powershell"]
        {
            assert_eq!(shell_flag(shell), "-Command", "{shell}");
        }
        for shell in ["cmd", "cmd.exe", r"C:\Windows\System32\cmd.exe"] {
            assert_eq!(shell_flag(shell), "/C", "{shell}");
        }
    }
}
