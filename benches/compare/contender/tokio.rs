//! `tokio::process`, as its documentation shows it.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use crate::child::Cmd;

#[expect(clippy::disallowed_methods, reason = "this is what the engine is measured against")]
fn command(cmd: &Cmd) -> Command {
    let mut command = Command::new(&cmd.program);
    command.args(&cmd.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
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
    while lines.next_line().await.expect("the pipe can be read").is_some() {
        count += 1;
    }
    assert!(child.wait().await.expect("it ends").success());
    count
}

/// Runs a command and returns the first `limit` bytes of its output.
pub async fn first(cmd: &Cmd, limit: usize) -> u64 {
    let mut child = command(cmd).spawn().expect("it starts");
    let mut pipe = child.stdout.take().expect("it is piped");
    let (mut kept, mut buffer, mut seen) = (Vec::new(), vec![0; 64 * 1024], 0);
    loop {
        let count = pipe.read(&mut buffer).await.expect("the pipe can be read");
        if count == 0 {
            break;
        }
        seen += count as u64;
        kept.extend_from_slice(&buffer[..count.min(limit - kept.len())]);
    }
    assert!(child.wait().await.expect("it ends").success());
    seen
}
