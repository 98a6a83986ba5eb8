//! Signals to processes that were found in /proc, each through a descriptor: an id may mean another
//! process by the time of the signal.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::kept_root;
use super::own_table::with_descriptors;
use super::proc::{Stat, is_refused};

/// Descriptor of one process, through which it can be signalled.
#[derive(Debug)]
pub(super) struct ProcessHandle {
    pid: Pid,
    fd: OwnedFd,
}

/// Opens a descriptor of the process that `stat` was read from, which reports the end of the
/// process. `None` if it has exited.
pub(super) fn pidfd_of(stat: &Stat) -> io::Result<Option<OwnedFd>> {
    held(stat, |pid| pidfd_open(pid, PidfdFlags::empty()))
}

/// Opens a descriptor, and looks at the process again, now that the descriptor keeps the id from
/// meaning another one.
fn held(
    stat: &Stat,
    open: impl Fn(Pid) -> rustix::io::Result<OwnedFd>,
) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(stat.pid) else { return Ok(None) };
    let fd = match open(pid) {
        Ok(fd) => fd,
        Err(Errno::SRCH | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_it = Stat::of(stat.pid)?.is_some_and(|again| again.is_same(stat));
    Ok(is_it.then_some(fd))
}

impl ProcessHandle {
    /// Opens the process that `stat` was read from. `None` if it has exited.
    pub(super) fn of(stat: &Stat) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(stat.pid) else { return Ok(None) };
        let fd = match pidfd_of(stat) {
            Err(error) if is_refused(&error) => held(stat, open_directory),
            opened => opened,
        };
        Ok(fd?.map(|fd| Self { pid, fd }))
    }

    pub(super) fn send(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            // The process has been looked at a moment ago.
            Err(error) if is_call_refused(error)? => Ok(kill_process(self.pid, signal)?),
            sent => Ok(sent?),
        }
    }
}

/// Returns `true` if a signal failed because the system does not have `pidfd_send_signal`, or a
/// sandbox refuses it: then it is refused for this process, too. A process of another user cannot
/// be signalled either, and its id may mean another process a moment later.
pub(super) fn is_call_refused(error: Errno) -> io::Result<bool> {
    if error != Errno::PERM {
        return Ok(error == Errno::NOSYS);
    }
    let me = rustix::process::getpid();
    let fd = pidfd_open(me, PidfdFlags::empty()).or_else(|_| open_directory(me))?;
    Ok(test_signal(fd.as_fd()) == Err(Errno::PERM))
}

/// Tests whether a process could be signalled.
pub(super) fn test_signal(to: BorrowedFd<'_>) -> rustix::io::Result<()> {
    // SAFETY: signal 0 is none, and no memory is given. The typed call has no such signal.
    let sent = unsafe {
        let none = std::ptr::null::<libc::siginfo_t>();
        libc::syscall(libc::SYS_pidfd_send_signal, to.as_raw_fd(), 0, none, 0)
    };
    if sent == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Opens the directory of a process in /proc, which the system takes for a descriptor of the process
/// where it sends a signal. Some sandboxes refuse the call that is meant for that.
fn open_directory(pid: Pid) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/{}", pid.as_raw_nonzero());
    let opened = kept_root::open(path, OFlags::RDONLY | OFlags::DIRECTORY);
    opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Sends a signal to each process, through one descriptor at a time: the host may not have as many
/// as the tree has members. Returns the number of processes that got it; an error only if none did.
pub(super) fn send<'a>(to: impl IntoIterator<Item = &'a Stat>, signal: Signal) -> io::Result<u32> {
    let mut reached = 0;
    let mut failure = None;
    for stat in to {
        let sent = with_descriptors(|| match ProcessHandle::of(stat)? {
            Some(process) => process.send(signal),
            None => Err(Errno::SRCH.into()),
        });
        match sent {
            Ok(()) => reached += 1,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if reached == 0 => Err(error),
        _ => Ok(reached),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets this thread be a user without rights, if it is root.
    fn drop_rights() {
        let nobody: libc::uid_t = 65_534;
        // SAFETY: a system call with numbers, which changes this thread alone.
        let _dropped = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child that this thread's user may signal")]
    fn process_of_another_user_is_not_signalled_by_an_id_that_may_mean_another() {
        let run = || {
            drop_rights();
            let init = Pid::INIT;
            let fd = pidfd_open(init, PidfdFlags::empty()).unwrap();
            if test_signal(fd.as_fd()) != Err(Errno::PERM) {
                return eprintln!("SKIPPED: process 1 is this user's");
            }
            let mut child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
            let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
            kill_process(pid, Signal::STOP).unwrap();
            let state = || Stat::of(pid.as_raw_nonzero().get()).unwrap().unwrap().state;
            while state() != 'T' {
                std::thread::yield_now();
            }
            // As if the id of the process had been given to the child meanwhile. The signal stays
            // pending in a stopped process. SIGCONT would not do: within a session anybody may
            // send it, and process 1 of a container is often in the session of the tests.
            let sent = ProcessHandle { pid, fd }.send(Signal::TERM);
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EPERM));
            let pending = status.lines().find(|line| line.starts_with("ShdPnd:")).unwrap();
            assert_eq!(pending, "ShdPnd:\t0000000000000000", "the child was signalled");
        };
        std::thread::spawn(run).join().unwrap();
    }
}
