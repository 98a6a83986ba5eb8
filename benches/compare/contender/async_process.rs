//! `async-process`, as its documentation shows it.

use async_process::{Command, Stdio};
use futures_lite::{AsyncBufReadExt as _, StreamExt as _, io::BufReader};

use crate::child::Cmd;

fn command(cmd: &Cmd) -> Command {
    let mut command = Command::new(&cmd.program);
    command.args(&cmd.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command and returns its output.
pub async fn output(cmd: &Cmd) -> Vec<u8> {
    let output = command(cmd).output().await.expect("it starts");
    assert!(output.status.success());
    output.stdout
}

/// Runs a command and returns the number of its lines.
pub async fn lines(cmd: &Cmd) -> u64 {
    let mut child = command(cmd).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut count = 0;
    while let Some(line) = lines.next().await {
        line.expect("the pipe can be read");
        count += 1;
    }
    assert!(child.status().await.expect("it ends").success());
    count
}
