//! `duct`, which blocks, so its callers give it a thread.

use std::io::{BufRead as _, BufReader};

use crate::child::Cmd;

/// Runs a command and returns its output.
pub fn output(cmd: &Cmd) -> Vec<u8> {
    let expression = duct::cmd(&cmd.program, &cmd.args).stdin_null();
    expression.stdout_capture().stderr_capture().run().expect("it starts").stdout
}

/// Runs a command and returns the number of its lines.
pub fn lines(cmd: &Cmd) -> u64 {
    let reader = duct::cmd(&cmd.program, &cmd.args).stdin_null().stderr_capture().reader();
    let mut count = 0;
    for line in BufReader::new(reader.expect("it starts")).lines() {
        line.expect("the pipe can be read");
        count += 1;
    }
    count
}
