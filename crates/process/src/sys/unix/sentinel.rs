//! The sentinel: a small process that outlives the host by a moment, and takes its children along.
//!
//! It is a shell that reads from a pipe whose writing end only the host holds: a line for each group
//! that comes or is gone. However the host ends, the system closes that end. The shell is started like
//! any child, forks once and leaves its copy to the init process, so that the host has no child it
//! does not know of.
//!
//! A child is on the list a moment after it was started, when its id is known. A host that is killed
//! in that moment leaves it behind.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::spawn;
use crate::sys::{common, pipes};
use crate::{Exit, Launch};

const SCRIPT: &str = include_str!("sentinel.sh");
/// How long a full pipe is waited for. It has room for thousands of lines.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Held for as long as the children are to live.
#[derive(Debug)]
pub(super) struct Sentinel {
    lifeline: OwnedFd,
    /// The other end, so that a sentinel that somebody has killed does not break the pipe: a host with
    /// the default SIGPIPE would end by that.
    _read: OwnedFd,
    is_deaf: AtomicBool,
}

impl Sentinel {
    pub(super) fn start() -> io::Result<Self> {
        let mut launch = Launch::new("/bin/sh");
        launch.args = ["sh", "-c", SCRIPT, "execution-sentinel"].map(Into::into).to_vec();
        launch.env = vec![("PATH".into(), common::path())];
        launch.working_dir =
            cfg!(any(target_os = "linux", target_vendor = "apple")).then(|| "/".into());
        let (read, lifeline) = pipes::pipe()?;
        let null = pipes::dev_null()?.as_raw_fd();
        let stdio = [read.as_raw_fd(), null, null];
        let shell = spawn::start(&launch, stdio).map_err(|error| error.source)?;
        common::has_forked(reap(shell))?;
        rustix::fs::fcntl_setfl(&lifeline, OFlags::NONBLOCK)?;
        Ok(Self { lifeline, _read: read, is_deaf: AtomicBool::new(false) })
    }

    pub(super) fn tell(&self, line: &str) {
        if self.is_deaf.load(Ordering::Relaxed) {
            return;
        }
        // So short a line is written whole or not at all.
        let mut written = rustix::io::write(&self.lifeline, line.as_bytes());
        if written == Err(Errno::AGAIN) {
            let _ready = poll(&mut [PollFd::new(&self.lifeline, PollFlags::OUT)], Some(&PATIENCE));
            written = rustix::io::write(&self.lifeline, line.as_bytes());
        }
        if let Err(error) = written
            && !self.is_deaf.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %error,
                "the sentinel does not listen: if this process is killed, its children live on"
            );
        }
    }
}

/// The first shell is done as soon as it has forked. None if somebody else has reaped it.
fn reap(shell: Pid) -> Option<Exit> {
    loop {
        match waitpid(Some(shell), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            waited => {
                let (_, status) = waited.ok().flatten()?;
                return Some(status.exit_status().map_or(Exit::Unknown, Exit::Code));
            }
        }
    }
}
