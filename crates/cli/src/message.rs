//! Messages for people. They go to stderr: stdout carries only data.

use std::fmt;
use std::io::Write as _;

use crate::terminal_text;

/// Prints one message, in a single write so that it stays whole beside the output of programs. A name in
/// it may come from anywhere, so what controls a terminal is made visible.
pub(crate) fn print(message: impl fmt::Display) {
    let line = format!("exeng: {}\n", terminal_text::lines(&message.to_string()));
    // There is nobody to tell that nobody can be told.
    let _written = std::io::stderr().write_all(line.as_bytes());
}
