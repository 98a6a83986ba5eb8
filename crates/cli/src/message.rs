//! Messages for people. They go to stderr: stdout carries only data.

use std::fmt;
use std::io::Write as _;

/// Prints one message, in a single write so that it stays whole beside the output of programs.
pub(crate) fn print(message: impl fmt::Display) {
    let line = format!("exeng: {message}\n");
    // There is nobody to tell that nobody can be told.
    let _written = std::io::stderr().write_all(line.as_bytes());
}
