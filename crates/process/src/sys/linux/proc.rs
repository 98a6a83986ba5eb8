//! What /proc tells of processes.

use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

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
    /// Whether it is becoming another program just now: its environment is not there yet.
    is_becoming: bool,
    /// In clock ticks since the system started. With the pid it names a process for ever.
    pub(super) started: u64,
}

impl Stat {
    /// None if there is no such process, or not any more; an error if the host has not the means to
    /// tell.
    pub(super) fn of(pid: i32) -> io::Result<Option<Self>> {
        // The line is some 300 bytes long and comes with one read.
        let mut line = [0; 1024];
        let read =
            File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line));
        match read {
            Ok(length) => Ok(line.get(..length).and_then(|line| parse(pid, line))),
            Err(error) if is_shortage(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Whether it can still do anything: not a zombie, not on its way out. A zombie with threads is
    /// one whose first thread has ended while others run on.
    pub(super) fn is_alive(&self) -> bool {
        self.threads > 1 || !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Whether it is on its way out, all of it.
    pub(super) fn is_ending(&self) -> bool {
        self.threads <= 1 && self.is_exiting
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

/// Whether it is the host that lacks something, whoever is looked at. What could not be looked at then
/// may be there.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// Why /proc is of no use here: it is not there, or shows another process namespace, in which our
/// numbers mean others. Asked without a descriptor.
pub(super) fn check() -> io::Result<()> {
    let myself = std::fs::read_link("/proc/self")?;
    if myself.to_str() == Some(&std::process::id().to_string()) {
        return Ok(());
    }
    Err(io::Error::other("/proc shows another process namespace than this one; mount it anew"))
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
    check()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    // Room for one name of any length, or some eight ids.
    let mut buffer = [MaybeUninit::uninit(); 288];
    let mut entries = RawDir::new(&proc, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let pid = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        if let Some(pid) = pid {
            found.extend(Stat::of(pid)?.filter(&wanted));
        }
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
    // Where the environment ends in its memory. An empty one has an end, too, and the kernel's own
    // threads have no memory.
    let has_environ = fields.nth(28) != Some("0");
    let is_becoming = !has_environ && flags & (PF_EXITING | PF_KTHREAD) == 0;
    let stat = Stat {
        pid,
        name,
        state,
        parent,
        group,
        session,
        cpu,
        threads,
        is_exiting,
        is_becoming,
        started,
    };
    Some(stat)
}

/// The kernel's own flags of a thread that ends, and of one of the kernel.
const PF_EXITING: u32 = 0x4;
const PF_KTHREAD: u32 = 0x20_0000;
/// How long to wait for a process to become another program, which takes it a moment of its time.
const BECOMES_WITHIN: Duration = Duration::from_millis(20);

/// What the environment of a process tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Environ {
    Has,
    HasNot,
    /// It is becoming another program.
    NotYet,
    /// It belongs to another user by now.
    Unreadable,
}

/// Whether the environment a process started with holds `mark`.
pub(super) fn environ(pid: i32, mark: &str) -> io::Result<Environ> {
    Ok(match read_environ(pid) {
        Ok(Some(environ)) => {
            let found = environ.windows(mark.len()).any(|window| window == mark.as_bytes());
            if found { Environ::Has } else { Environ::HasNot }
        }
        Ok(None) => Environ::NotYet,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => match Stat::of(pid)? {
            // What is left of a process that has given up its memory belongs to root.
            Some(stat) if stat.is_ending() => Environ::HasNot,
            Some(_) => Environ::Unreadable,
            None => Environ::HasNot,
        },
        Err(error) if is_shortage(&error) => return Err(error),
        Err(_) => Environ::HasNot,
    })
}

/// In the middle of exec it is empty for a moment, also that of a process which has the mark before and
/// after: one that is passed over then could be taken for nobody's, and outlive its tree. None if that
/// moment lasts.
fn read_environ(pid: i32) -> io::Result<Option<Vec<u8>>> {
    let read = || std::fs::read(format!("/proc/{pid}/environ"));
    let mut environ = read()?;
    let begun = Instant::now();
    while environ.is_empty() {
        let is_becoming = Stat::of(pid)?.is_some_and(|stat| stat.is_becoming);
        // In this order: what is read of one that has become another program is what it has.
        environ = read()?;
        if !is_becoming {
            break;
        }
        if begun.elapsed() > BECOMES_WITHIN {
            return Ok(None);
        }
        std::thread::yield_now();
    }
    Ok(Some(environ))
}

/// The user that started a process, whatever rights it has now.
pub(super) fn real_user(pid: i32) -> Option<u32> {
    // Its name is in there, too, and may hold anything.
    let status = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    String::from_utf8_lossy(&status)
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
    let is_it = Stat::of(stat.pid)?.is_some_and(|again| again.is_same(stat));
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

    fn myself() -> Stat {
        Stat::of(std::process::id().cast_signed()).unwrap().expect("it is alive")
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"7 (a) S 1 (b\n) R 1 5 6 0 -1 4194304 0 0 0 0 1 2 3 4 20 0 8 0 987 0";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.cpu, stat.threads), (3, 8));
        assert_eq!((stat.name.as_str(), stat.state), ("a) S 1 (b\n", 'R'));
        assert_eq!((stat.parent, stat.group, stat.session, stat.started), (1, 5, 6, 987));
        assert!(!stat.is_becoming, "that is not told");
        assert_eq!(parse(7, b""), None);
        assert_eq!(parse(7, b"7 (x) "), None);
    }

    #[test]
    fn a_process_without_an_environment_yet_is_becoming_another_program() {
        let line = |flags: u32, environ_ends: u32| {
            let zeros = "0 ".repeat(28);
            format!(
                "7 (a) R 1 5 6 0 -1 {flags} 0 0 0 0 1 2 3 4 20 0 1 0 987 {zeros}{environ_ends} 0"
            )
        };
        let is_becoming = |flags, ends| parse(7, line(flags, ends).as_bytes()).unwrap().is_becoming;
        assert!(is_becoming(0, 0));
        assert!(!is_becoming(0, 4711));
        assert!(!is_becoming(PF_EXITING, 0) && !is_becoming(PF_KTHREAD, 0));
        assert!(!myself().is_becoming);
    }

    #[test]
    fn this_process_is_alive_and_its_own_user() {
        let me = myself();
        assert!(me.is_alive() && me.started > 0);
        assert_eq!(real_user(me.pid), Some(rustix::process::getuid().as_raw()));
        // Of its first thread, which is not this one.
        let named = std::fs::read("/proc/self/comm").unwrap();
        std::fs::write("/proc/self/comm", b"caf\xe9\xff").unwrap();
        let user = real_user(me.pid);
        std::fs::write("/proc/self/comm", named).unwrap();
        assert_eq!(user, Some(rustix::process::getuid().as_raw()));
    }
}
