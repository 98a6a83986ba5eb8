//! A FIFO that processes hold open for as long as they live.
//!
//! The system reports when the last holder has ended, whatever its name, group or session.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{processes, until};

/// FIFO whose writing end is held by the processes of a test.
#[derive(Debug)]
pub struct Lifeline {
    path: PathBuf,
    end: OwnedFd,
}

impl Lifeline {
    /// Creates the FIFO `life` in a directory.
    pub fn new(home: &Path) -> Self {
        let path = home.join("life");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // The other end can be opened from now on; this one is never read.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let end = OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap();
        Self { path, end: end.into() }
    }

    /// Returns `true` if processes have held it, and none does any more.
    pub fn is_cut(&self) -> bool {
        let mut fds = [PollFd::new(&self.end, PollFlags::empty())];
        poll(&mut fds, Some(&Timespec::default())).unwrap();
        fds[0].revents().contains(PollFlags::HUP)
    }

    /// Returns `true` if no process holds it, even if none ever has.
    pub fn is_free(&self) -> bool {
        drop(OpenOptions::new().write(true).open(&self.path).unwrap());
        self.is_cut()
    }

    /// Waits until no process holds it any more.
    pub async fn cut(&self, what: &str) {
        until(&format!("no process is left: {what}"), || self.is_cut()).await;
    }

    /// Returns the processes that hold it.
    pub fn holders(&self) -> Vec<u32> {
        holders(&self.path)
    }

    /// Kills the processes that hold it, which come from the test.
    pub async fn end_all(&self) {
        until("what has escaped is ended", || {
            let holders = self.holders();
            for pid in &holders {
                self.end(*pid);
            }
            holders.is_empty()
        })
        .await;
    }

    /// Kills a holder through a descriptor: its number may belong to another process by now.
    fn end(&self, pid: u32) {
        let number = Pid::from_raw(pid.cast_signed()).unwrap();
        let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty()) else { return };
        if is_held_by(&self.path, pid) {
            // It may have ended meanwhile.
            let _ended = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }
}

/// Returns the processes that hold a FIFO open for writing.
///
/// The reading end does not count: the test has it, and each of its children has it for the moment
/// before it executes its program.
pub fn holders(path: &Path) -> Vec<u32> {
    processes().into_iter().filter(|pid| is_held_by(path, *pid)).collect()
}

fn is_held_by(path: &Path, pid: u32) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let is_it = |file: &Path| std::fs::read_link(file).is_ok_and(|to| to == path);
    let is_writable = |file: &Path| {
        std::fs::symlink_metadata(file).is_ok_and(|link| link.mode() & Mode::WUSR.bits() != 0)
    };
    files.flatten().any(|file| is_it(&file.path()) && is_writable(&file.path()))
}

/// Returns a shell line in which the shell and all its children hold the FIFO of a directory.
pub fn holding(home: &Path, line: &str) -> String {
    format!("exec 9>'{}/life'; {line}", home.display())
}
