//! Messages for people. They go to stderr: stdout carries only data.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::terminal_text;

/// Whether notes are left out.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Lets [`note`] print nothing from now on.
pub(crate) fn leave_notes_out() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Prints a message that tells of no failure and no loss, unless the user wants none.
pub(crate) fn note(message: impl fmt::Display) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        print(message);
    }
}

/// Prints one message, in a single write so that it stays whole beside the output of programs. A name in
/// it may come from anywhere, so what controls a terminal is made visible.
pub(crate) fn print(message: impl fmt::Display) {
    let line = format!("exeng: {}\n", terminal_text::lines(&message.to_string()));
    // If stderr cannot be written, there is no other place to say so.
    let _written = std::io::stderr().write_all(line.as_bytes());
}
