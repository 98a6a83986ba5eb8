//! Linux 5.3 or later: pidfds, and children started in the manner of vfork.

mod clone;
mod exec;
mod pipes;
mod proc;
mod process;
mod reaper;
mod stack;

pub(crate) use process::Process;

use crate::error::SpawnError;
use crate::{Child, Launch, Spawned};

/// Starts a program in a process group of its own.
pub(crate) fn spawn(launch: &Launch) -> Result<Spawned, SpawnError> {
    let image = exec::Image::new(launch)?;
    let (host, child) = pipes::open(launch)?;
    let process = clone::start(&image, &child)?;
    Ok(Spawned {
        child: Child::new(process),
        stdin: host.stdin,
        stdout: host.stdout,
        stderr: host.stderr,
    })
}
