//! What /proc tells of processes.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::Member;
use std::os::fd::OwnedFd;

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// In clock ticks since the system started. With the pid it names a process for ever.
    pub(super) started: u64,
}

impl Stat {
    /// None if there is no such process, or not any more.
    pub(super) fn of(pid: i32) -> Option<Self> {
        parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether it can still do anything: not a zombie, not on its way out.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    pub(super) fn member(&self) -> Member {
        Member { pid: self.pid.cast_unsigned(), name: self.name.clone() }
    }
}

/// All processes that there are now, zombies included.
pub(super) fn all() -> io::Result<impl Iterator<Item = Stat>> {
    let pid = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(std::fs::read_dir("/proc")?.filter_map(pid).filter_map(Stat::of))
}

/// `pid (name) state parent group session ..`, where the name may hold anything, parentheses
/// included.
fn parse(pid: i32, line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
    let mut fields = std::str::from_utf8(line.get(close + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    let started = fields.nth(15)?.parse().ok()?;
    Some(Stat { pid, name, state, parent, group, session, started })
}

/// What the environment of a process tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Environ {
    Has,
    HasNot,
    /// It belongs to another user by now.
    Unreadable,
}

/// Whether the environment a process started with holds `mark`.
pub(super) fn environ(pid: i32, mark: &str) -> Environ {
    match std::fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) => {
            let found = environ.windows(mark.len()).any(|window| window == mark.as_bytes());
            if found { Environ::Has } else { Environ::HasNot }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Environ::Unreadable,
        Err(_) => Environ::HasNot,
    }
}

/// The user that started a process, whatever rights it has now.
pub(super) fn real_user(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// A process held by a descriptor, so that a signal cannot hit another one with a recycled id.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) stat: Stat,
    pub(super) pidfd: OwnedFd,
}

impl Held {
    /// Holds the process that `stat` was read from; None if it has gone.
    pub(super) fn hold(stat: &Stat) -> Option<Self> {
        let pidfd = pidfd_open(Pid::from_raw(stat.pid)?, PidfdFlags::empty()).ok()?;
        // Looked at again, now that the descriptor keeps the id from meaning another process.
        let again = Stat::of(stat.pid)?;
        (again.started == stat.started && again.is_alive()).then_some(Self { stat: again, pidfd })
    }
}

/// Sends a signal to each and says how many got it. An error only if nobody did.
pub(super) fn send<'a>(
    to: impl IntoIterator<Item = &'a Held>,
    signal: rustix::process::Signal,
) -> io::Result<u32> {
    let mut reached = 0;
    let mut failure = None;
    for held in to {
        match pidfd_send_signal(&held.pidfd, signal) {
            Ok(()) => reached += 1,
            Err(Errno::SRCH) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if reached == 0 => Err(error.into()),
        _ => Ok(reached),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"7 (a) S 1 (b\n) R 1 5 6 0 -1 4194304 0 0 0 0 1 2 3 4 20 0 1 0 987 0";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.name.as_str(), stat.state), ("a) S 1 (b\n", 'R'));
        assert_eq!((stat.parent, stat.group, stat.session, stat.started), (1, 5, 6, 987));
        assert_eq!(parse(7, b""), None);
        assert_eq!(parse(7, b"7 (x) "), None);
    }

    #[test]
    fn this_process_is_alive_and_its_own_user() {
        let me = Stat::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive() && me.started > 0);
        assert_eq!(real_user(me.pid), Some(rustix::process::getuid().as_raw()));
    }
}
