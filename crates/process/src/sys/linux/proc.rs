//! What /proc tells of processes.

use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use crate::Member;

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// CPU time of its own, in clock ticks.
    cpu: u64,
    threads: u32,
    /// Whether it is on its way out, and has given up its memory or will in a moment.
    is_exiting: bool,
    /// In clock ticks since the system started. With the pid it names a process for ever.
    pub(super) started: u64,
}

impl Stat {
    /// None if there is no such process, or not any more.
    pub(super) fn of(pid: i32) -> Option<Self> {
        // The line is some 300 bytes long and comes with one read.
        let mut line = [0; 1024];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
        parse(pid, line.get(..length)?)
    }

    /// Whether it can still do anything: not a zombie, not on its way out. A zombie with threads is
    /// one whose first thread has ended while others run on.
    pub(super) fn is_alive(&self) -> bool {
        self.threads > 1 || !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Whether this is the same process, at whatever time it was looked at.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }

    /// CPU time that it has used itself, without the children it waited for.
    pub(super) fn cpu_time(&self) -> Duration {
        Duration::from_millis(self.cpu.saturating_mul(1000) / ticks_per_second())
    }

    pub(super) fn member(&self) -> Member {
        Member { pid: self.pid.cast_unsigned(), name: self.name.clone() }
    }
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// The present moment as a start time would tell it.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned());
    let per_second = ticks_per_second();
    seconds * per_second + nanos * per_second / 1_000_000_000
}

/// Those processes that are wanted, zombies included, of all that there are now.
///
/// The directory is read a few entries at a time: in a large piece most would be old news when they
/// are looked at, and a program that lives on in one short-lived process after another would never
/// be met.
pub(super) fn all(wanted: impl Fn(&Stat) -> bool) -> io::Result<Vec<Stat>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    // Room for one name of any length, or some eight ids.
    let mut buffer = [MaybeUninit::uninit(); 288];
    let mut entries = RawDir::new(&proc, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let pid = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        found.extend(pid.and_then(Stat::of).filter(&wanted));
    }
    Ok(found)
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
    let flags: u32 = fields.nth(2)?.parse().ok()?;
    let user: u64 = fields.nth(4)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let threads = fields.nth(4)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    let (cpu, is_exiting) = (user + system, flags & PF_EXITING != 0);
    Some(Stat { pid, name, state, parent, group, session, cpu, threads, is_exiting, started })
}

/// The kernel's own flag of a thread that ends.
const PF_EXITING: u32 = 0x4;

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
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => match Stat::of(pid) {
            // What is left of a process that has given up its memory belongs to root.
            Some(stat) if stat.is_exiting && stat.threads <= 1 => Environ::HasNot,
            Some(_) => Environ::Unreadable,
            None => Environ::HasNot,
        },
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

/// A descriptor of the process that `stat` was read from, so that what is done with it cannot hit
/// another one with a recycled id. None if it has gone.
pub(super) fn hold(stat: &Stat) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(stat.pid) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Looked at again, now that the descriptor keeps the id from meaning another process.
    let is_it = Stat::of(stat.pid).is_some_and(|again| again.is_same(stat));
    Ok(is_it.then_some(pidfd))
}

/// Sends a signal to each, through one descriptor at a time: a tree may be larger than the host has
/// room for. Says how many got it; an error only if nobody did.
pub(super) fn send<'a>(
    to: impl IntoIterator<Item = &'a Stat>,
    signal: rustix::process::Signal,
) -> io::Result<u32> {
    let mut reached = 0;
    let mut failure = None;
    for stat in to {
        let sent = hold(stat).and_then(|pidfd| match pidfd {
            Some(pidfd) => Ok(pidfd_send_signal(pidfd, signal)?),
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

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"7 (a) S 1 (b\n) R 1 5 6 0 -1 4194304 0 0 0 0 1 2 3 4 20 0 8 0 987 0";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.cpu, stat.threads), (3, 8));
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
