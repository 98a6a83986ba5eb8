//! Processes as /proc shows them.
//!
//! A pid means another process as soon as the first is reaped. So a process is named by pid and
//! start time here. What is read needs a descriptor for a moment, and is read also if this process
//! has none left.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, RawDir};
use rustix::time::{ClockId, clock_gettime};

use super::kept_root;
use super::marker::Marker;
use super::own_table::with_descriptors;
use crate::Member;

/// Fields of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// CPU time of the process itself, in clock ticks.
    cpu: u64,
    threads: u32,
    /// It is exiting, and has given up its memory or will in a moment (`PF_EXITING`).
    is_exiting: bool,
    /// It is in the middle of exec: its environment is not there yet.
    is_in_exec: bool,
    /// In clock ticks since boot. With the pid it names a process for ever.
    pub(super) started: u64,
}

impl Stat {
    /// Reads the process `pid`. `None` if there is none, or not any more; an error if the host
    /// lacks the means to look.
    pub(super) fn of(pid: i32) -> io::Result<Option<Self>> {
        with_descriptors(|| Self::read(pid))
    }

    fn read(pid: i32) -> io::Result<Option<Self>> {
        // The line is some 300 bytes long and comes with one read.
        let mut line = [0; 1024];
        let read = kept_root::open(format!("/proc/{pid}/stat"), OFlags::RDONLY).and_then(|file| {
            let length = rustix::io::read(file, &mut line)?;
            Ok(length)
        });
        match read {
            Ok(length) => Ok(line.get(..length).and_then(|line| parse(pid, line))),
            Err(error) if is_shortage(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns `true` if the process can still act. A zombie with threads is one whose first thread
    /// has ended while others run on.
    pub(super) fn is_alive(&self) -> bool {
        self.threads > 1 || !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Returns `true` if the whole process is exiting. It forks no more.
    pub(super) fn is_ending(&self) -> bool {
        self.threads <= 1 && self.is_exiting
    }

    /// Returns pid and start time, which name a process for ever.
    pub(super) fn key(&self) -> (i32, u64) {
        (self.pid, self.started)
    }

    /// Returns `true` if both are looks at one process.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// Returns the CPU time of the process itself, without the children it waited for.
    pub(super) fn cpu_time(&self) -> Duration {
        Duration::from_millis(self.cpu.saturating_mul(1000) / ticks_per_second())
    }

    pub(super) fn member(&self) -> Member {
        Member { pid: self.pid.cast_unsigned(), name: self.name.clone() }
    }
}

/// Returns `true` if the host lacks something. A process that could not be looked at may exist
/// then.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// Returns `true` for the answers to a call that the system does not have, or that a sandbox refuses.
pub(super) fn is_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// Checks that processes can be looked for in /proc, also if this process has no descriptor left.
pub(super) fn check_listing() -> io::Result<()> {
    check()?;
    with_descriptors(|| kept_root::dirs_in(Path::new("/proc")).map(drop))
}

/// Checks that /proc is usable: it may be missing, or show another process namespace, in which our
/// numbers mean other processes. It needs no descriptor.
pub(super) fn check() -> io::Result<()> {
    let myself = kept_root::read_link("/proc/self")?;
    if myself.to_str() == Some(&std::process::id().to_string()) {
        return Ok(());
    }
    Err(io::Error::other("/proc shows another process namespace; mount it anew for this one"))
}

/// Returns the present moment in the unit of start times.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned());
    let per_second = ticks_per_second();
    seconds * per_second + nanos * per_second / 1_000_000_000
}

/// Returns the processes, zombies included, that `wanted` accepts.
///
/// The directory is read a few entries at a time: in a large piece most entries would be stale when
/// they are looked at, and a program that lives on in one short-lived process after another would
/// never be met.
pub(super) fn all(wanted: impl Fn(&Stat) -> bool + Sync) -> io::Result<Vec<Stat>> {
    check()?;
    with_descriptors(|| list(&wanted))
}

fn list(wanted: impl Fn(&Stat) -> bool) -> io::Result<Vec<Stat>> {
    let proc = kept_root::open("/proc", OFlags::RDONLY | OFlags::DIRECTORY)?;
    // It holds one name of any length, or some eight ids.
    let mut buffer = [MaybeUninit::uninit(); 288];
    let mut entries = RawDir::new(&proc, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let pid = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        if let Some(pid) = pid {
            found.extend(Stat::read(pid)?.filter(&wanted));
        }
    }
    Ok(found)
}

/// Parses `pid (name) state parent group session ..`. The name may hold anything, blanks, newlines
/// and parentheses included, so fields are counted from the last parenthesis.
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
    // The end of the environment in the process's memory (env_end). An empty one has an end, too,
    // and the kernel's own threads have no memory.
    let has_environ = fields.nth(28) != Some("0");
    let is_in_exec = !has_environ && flags & (PF_EXITING | PF_KTHREAD) == 0;
    Some(Stat {
        pid,
        name,
        state,
        parent,
        group,
        session,
        cpu: user + system,
        threads,
        is_exiting: flags & PF_EXITING != 0,
        is_in_exec,
        started,
    })
}

/// Flag of a thread that is exiting.
const PF_EXITING: u32 = 0x4;
/// Flag of a thread of the kernel.
const PF_KTHREAD: u32 = 0x20_0000;
/// Longest wait for the end of an exec, which takes the process a moment of its own time.
const EXEC_TIMEOUT: Duration = Duration::from_millis(20);

/// Result of a search for a marker of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkerCheck {
    Present,
    Absent,
    /// The process is in the middle of exec.
    InExec,
    /// The process belongs to another user by now.
    Unreadable,
}

/// Looks whether a process has a marker, be it in its environment or in its limits.
pub(super) fn check_marker(pid: i32, marker: &Marker) -> io::Result<MarkerCheck> {
    let check = check_environ(pid, &marker.text)?;
    if !matches!(check, MarkerCheck::Absent | MarkerCheck::InExec) {
        return Ok(check);
    }
    match read(pid, "limits") {
        Ok(limits) if marker.is_limit_of(&limits) => Ok(MarkerCheck::Present),
        Err(error) if is_shortage(&error) => Err(error),
        _ => Ok(check),
    }
}

/// Searches the environment that a process started with for `marker`.
fn check_environ(pid: i32, marker: &str) -> io::Result<MarkerCheck> {
    Ok(match read_environ(pid) {
        Ok(Some(environ)) => {
            let found = environ.windows(marker.len()).any(|window| window == marker.as_bytes());
            if found { MarkerCheck::Present } else { MarkerCheck::Absent }
        }
        Ok(None) => MarkerCheck::InExec,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => match Stat::of(pid)? {
            // The /proc entry of a process that has given up its memory belongs to root, also that
            // of one of our own.
            Some(stat) if stat.is_ending() => MarkerCheck::Absent,
            Some(_) => MarkerCheck::Unreadable,
            None => MarkerCheck::Absent,
        },
        Err(error) if is_shortage(&error) => return Err(error),
        Err(_) => MarkerCheck::Absent,
    })
}

/// Reads an environment. In the middle of exec it is empty for a moment, also that of a process
/// which has the marker before and after: passed over then, it could outlive its tree. `None` if
/// that moment lasts.
fn read_environ(pid: i32) -> io::Result<Option<Vec<u8>>> {
    let read = || read(pid, "environ");
    let mut environ = read()?;
    let begun = Instant::now();
    while environ.is_empty() {
        let is_in_exec = Stat::of(pid)?.is_some_and(|stat| stat.is_in_exec);
        // In this order: what is read after the end of an exec is the new environment.
        environ = read()?;
        if !is_in_exec {
            break;
        }
        if begun.elapsed() > EXEC_TIMEOUT {
            return Ok(None);
        }
        std::thread::yield_now();
    }
    Ok(Some(environ))
}

/// Reads a file of a process.
pub(super) fn read(pid: i32, name: &str) -> io::Result<Vec<u8>> {
    with_descriptors(|| kept_root::read(format!("/proc/{pid}/{name}")))
}

/// Returns the user that started a process, whatever rights it has now.
pub(super) fn real_user(pid: i32) -> Option<u32> {
    // The name of the process is in there, too, and may be no UTF-8.
    let status = read(pid, "status").ok()?;
    String::from_utf8_lossy(&status)
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
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
        assert!(!stat.is_in_exec, "it is not reported");
        assert_eq!(parse(7, b""), None);
        assert_eq!(parse(7, b"7 (x) "), None);
    }

    #[test]
    fn a_process_without_an_environment_yet_is_in_exec() {
        let line = |flags: u32, environ_ends: u32| {
            let zeros = "0 ".repeat(28);
            format!(
                "7 (a) R 1 5 6 0 -1 {flags} 0 0 0 0 1 2 3 4 20 0 1 0 987 {zeros}{environ_ends} 0"
            )
        };
        let is_in_exec = |flags, ends| parse(7, line(flags, ends).as_bytes()).unwrap().is_in_exec;
        assert!(is_in_exec(0, 0));
        assert!(!is_in_exec(0, 4711));
        assert!(!is_in_exec(PF_EXITING, 0) && !is_in_exec(PF_KTHREAD, 0));
        assert!(!myself().is_in_exec);
    }

    #[test]
    fn this_process_is_alive_and_its_own_user() {
        let me = myself();
        assert!(me.is_alive() && me.started > 0);
        assert_eq!(real_user(me.pid), Some(rustix::process::getuid().as_raw()));
        // The name of the first thread, which is not this one.
        let named = std::fs::read("/proc/self/comm").unwrap();
        std::fs::write("/proc/self/comm", b"caf\xe9\xff").unwrap();
        let user = real_user(me.pid);
        std::fs::write("/proc/self/comm", named).unwrap();
        assert_eq!(user, Some(rustix::process::getuid().as_raw()));
    }
}
