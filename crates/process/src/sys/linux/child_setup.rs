//! What a child executes, in the form the kernel takes it, and the few system calls it makes before.

use std::ffi::{CString, OsStr, c_char, c_int};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;

use super::env_marker;
use super::pid_list::LINE;
use super::resources::Resources;
use crate::Launch;
use crate::error::{SpawnError, SpawnStage};
use crate::sys::common::c_string;

/// Program, arguments, environment and directory as C strings.
pub(super) struct ExecImage {
    program: CString,
    working_dir: Option<CString>,
    args: Strings,
    env: Strings,
}

/// C strings one behind the other, and the list of pointers to them that ends with null. An
/// environment has dozens; each on its own would be an allocation more for every child.
struct Strings {
    _bytes: Vec<u8>,
    pointers: Vec<*const c_char>,
}

struct StringsBuilder {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl StringsBuilder {
    /// With room for so many strings, and for so many bytes of all of them with the ends they get.
    fn with_room(strings: usize, bytes: usize) -> Self {
        let (bytes, starts) = (Vec::with_capacity(bytes + strings), Vec::with_capacity(strings));
        Self { bytes, starts }
    }

    /// Adds one string, made of these parts.
    fn push(&mut self, parts: &[&OsStr]) -> Result<(), SpawnError> {
        let start = self.bytes.len();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        if self.bytes[start..].contains(&0) {
            return Err(unusable());
        }
        self.bytes.push(0);
        self.starts.push(start);
        Ok(())
    }

    /// From here on the bytes stay where they are.
    fn finish(self) -> Strings {
        let Self { bytes, starts } = self;
        let pointers = starts.iter().map(|&start| bytes[start..].as_ptr().cast());
        let pointers = pointers.chain([ptr::null()]).collect();
        Strings { _bytes: bytes, pointers }
    }
}

impl ExecImage {
    pub(super) fn new(launch: &Launch) -> Result<Self, SpawnError> {
        Self::with_env(launch, None)
    }

    /// With this mark in its environment.
    pub(super) fn marked(launch: &Launch, mark: &str) -> Result<Self, SpawnError> {
        Self::with_env(launch, Some(mark))
    }

    fn with_env(launch: &Launch, mut mark: Option<&str>) -> Result<Self, SpawnError> {
        let length = launch.args.iter().map(|arg| arg.len()).sum();
        let mut args = StringsBuilder::with_room(launch.args.len(), length);
        for arg in &launch.args {
            args.push(&[arg])?;
        }
        let equals = OsStr::new("=");
        let length = |name: &OsStr, value: &OsStr| name.len() + equals.len() + value.len();
        let own = mark.map(|own| length(OsStr::new(env_marker::VARIABLE), OsStr::new(own)));
        let all = launch.env.iter().map(|(name, value)| length(name, value)).chain(own).sum();
        let mut env = StringsBuilder::with_room(launch.env.len() + own.iter().len(), all);
        for (name, value) in &launch.env {
            match mark.filter(|_| name == env_marker::VARIABLE) {
                // It joins those that the host itself may carry.
                Some(own) => {
                    env.push(&[name, equals, value, OsStr::new(":"), OsStr::new(own)])?;
                    mark = None;
                }
                None => env.push(&[name, equals, value])?,
            }
        }
        if let Some(mark) = mark {
            env.push(&[OsStr::new(env_marker::VARIABLE), equals, OsStr::new(mark)])?;
        }
        let working_dir = launch.working_dir.as_deref();
        Ok(Self {
            program: c_string(launch.program.as_os_str())?,
            working_dir: working_dir.map(|dir| c_string(dir.as_os_str())).transpose()?,
            args: args.finish(),
            env: env.finish(),
        })
    }
}

/// A zero byte in the middle would end the string for the kernel.
fn unusable() -> SpawnError {
    SpawnError::new(SpawnStage::Input, std::io::ErrorKind::InvalidInput)
}

/// What the child reads, and the one place it writes: why it failed.
pub(super) struct ChildSetup<'a> {
    /// None for a child that is to end at once.
    image: Option<&'a ExecImage>,
    stdio: [RawFd; 3],
    /// The list of a control group that it writes itself into.
    join: Option<RawFd>,
    apart: Isolation,
    /// The line of the roster that it writes its id into.
    enlist: Option<(RawFd, i64)>,
    limits: Resources,
    /// Whether the child has come as far as to read this.
    begun: bool,
    failure: Option<(SpawnStage, c_int)>,
}

/// How a child is set apart from its host, so that no signal of a terminal reaches it and it cannot ask
/// on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// It leads a session, which has no terminal. Whoever comes from it can be told by that.
    Session,
    /// It leads a process group and gives up its host's terminal: enough where a control group tells
    /// who comes from it. Many kernels schedule each session as a group of its own, which waits its
    /// turn behind all others when it is new.
    Group,
}

impl<'a> ChildSetup<'a> {
    pub(super) fn new(image: &'a ExecImage, stdio: [RawFd; 3]) -> Self {
        Self { image: Some(image), stdio, ..Self::none() }
    }

    pub(super) fn none() -> Self {
        Self {
            image: None,
            stdio: [0; 3],
            join: None,
            apart: Isolation::Session,
            enlist: None,
            limits: Resources::default(),
            begun: false,
            failure: None,
        }
    }

    pub(super) fn join(&mut self, list: RawFd) {
        self.join = Some(list);
    }

    pub(super) fn isolate(&mut self, apart: Isolation) {
        self.apart = apart;
    }

    pub(super) fn register_pid(&mut self, (roster, offset): (BorrowedFd<'a>, u64)) {
        self.enlist = Some((roster.as_raw_fd(), offset.cast_signed()));
    }

    pub(super) fn limit(&mut self, limits: Resources) {
        self.limits = limits;
    }

    /// Whether the child has run at all: one can be killed before its first instruction.
    pub(super) fn have_begun(&self) -> bool {
        // SAFETY: as for `failure`.
        unsafe { ptr::read_volatile(&raw const self.begun) }
    }

    /// Why the program could not be executed; asked when the child is gone or has executed it.
    pub(super) fn failure(&self) -> Option<(SpawnStage, c_int)> {
        // SAFETY: a plain read of a field of ours. It is volatile because the child wrote it
        // through memory that the compiler does not know to be shared.
        unsafe { ptr::read_volatile(&raw const self.failure) }
    }

    /// Executes the program. Runs in the child, which shares the host's memory: only system calls,
    /// no allocation, no locks, no destructors.
    ///
    /// # Safety
    /// Only in a child that has a stack of its own while the thread that made it is suspended, with
    /// all signals blocked.
    pub(super) unsafe fn run(&mut self) -> ! {
        // SAFETY: the field is ours and the host's thread does not run meanwhile; volatile, because
        // it is read by another process.
        unsafe { ptr::write_volatile(&raw mut self.begun, true) };
        // SAFETY: what the caller promises.
        if let Err(failure) = unsafe { self.execute() } {
            // SAFETY: as above.
            unsafe { ptr::write_volatile(&raw mut self.failure, Some(failure)) };
        }
        // SAFETY: ends this process without running anything of the host's.
        unsafe { libc::_exit(127) }
    }

    /// Returns only if something failed, or if there is nothing to execute.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn execute(&self) -> Result<(), (SpawnStage, c_int)> {
        // SAFETY: system calls with pointers into the image and the orders, which outlive the call
        // because the host's thread is suspended until the program runs. libc's wrappers for these
        // do nothing but the call and store errno, which belongs to the suspended thread.
        unsafe {
            if let Some(list) = self.join
                && libc::write(list, c"0".as_ptr().cast(), 1) != 1
            {
                return Err((SpawnStage::Containment, errno()));
            }
            let Some(ExecImage { program, working_dir, args, env }) = self.image else {
                return self.limits.set();
            };
            let set_apart = match self.apart {
                Isolation::Group if gives_up_terminal() => libc::setpgid(0, 0),
                Isolation::Group | Isolation::Session => libc::setsid(),
            };
            if set_apart < 0 {
                return Err((SpawnStage::Containment, errno()));
            }
            if let Some((roster, offset)) = self.enlist {
                let line = decimal(libc::getpid());
                if libc::pwrite(roster, line.as_ptr().cast(), LINE, offset) != LINE.cast_signed() {
                    return Err((SpawnStage::Containment, errno()));
                }
            }
            default_signals();
            for (target, &source) in (0..).zip(&self.stdio) {
                // dup2 leaves the new descriptor open across exec, which is what is wanted.
                if libc::dup2(source, target) < 0 {
                    return Err((SpawnStage::Stdio, errno()));
                }
            }
            close_from(3);
            if let Some(dir) = working_dir
                && libc::chdir(dir.as_ptr()) != 0
            {
                return Err((SpawnStage::WorkingDirectory, errno()));
            }
            // Last, so that none of them stands in the way of what comes before.
            self.limits.set()?;
            block_signals(0);
            libc::execve(program.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr());
            Err((SpawnStage::Exec, errno()))
        }
    }
}

/// Gives up the terminal of this process. Whether it has none now: that cannot be told without `/dev`, or
/// without a descriptor to spare.
///
/// # Safety
/// Only in a child that leads no session.
unsafe fn gives_up_terminal() -> bool {
    // SAFETY: system calls with a string that ends with zero and numbers.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let terminal = libc::open(c"/dev/tty".as_ptr(), flags);
        if terminal < 0 {
            return errno() == libc::ENXIO;
        }
        let given_up = libc::ioctl(terminal, libc::TIOCNOTTY) == 0;
        libc::close(terminal);
        given_up
    }
}

/// A process id as a line of the roster, made without allocating.
fn decimal(pid: c_int) -> [u8; LINE] {
    let mut line = [b' '; LINE];
    let mut rest = pid.unsigned_abs();
    let (digits, end) = line.split_at_mut(LINE - 1);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    end.fill(b'\n');
    line
}

pub(super) fn errno() -> c_int {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

/// The size of the kernel's signal set in bytes, and so how many signals there are.
const SIGSET_BYTES: usize = 8;
const SIGNALS: c_int = 64;

/// Gives every signal its default disposition. Ignored ones would stay ignored across exec, and a
/// handler of the host's must not run in a child that shares its memory.
///
/// # Safety
/// Only in a child with a signal table of its own.
unsafe fn default_signals() {
    // All zero is SIG_DFL, no flags, no restorer, empty mask, on every architecture.
    let default = [0_u64; 4];
    for signal in 1..=SIGNALS {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        // SAFETY: the kernel reads a sigaction of at most this size. By number, because libc's
        // wrapper refuses the two signals it keeps for itself.
        unsafe {
            let none = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, SIGSET_BYTES);
        }
    }
}

/// Replaces the signal mask of this thread and returns the old one. By number, because libc's
/// wrapper leaves out the two signals it keeps for itself.
pub(super) fn block_signals(mask: u64) -> u64 {
    let mut old = 0_u64;
    // SAFETY: both point to signal sets of the size that is given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut old,
            SIGSET_BYTES,
        );
    }
    old
}

/// Adds SIGPIPE to the signal mask of this thread. It waits there for ever, and the write that caused
/// it has failed with an error.
pub(crate) fn hold_broken_pipe_signals() {
    let set = 1_u64 << (libc::SIGPIPE - 1);
    // SAFETY: the set has the size that is given, and the old mask is not wanted.
    unsafe {
        let none = ptr::null_mut::<u64>();
        let how = libc::SIG_BLOCK;
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, none, SIGSET_BYTES);
    }
}

/// Closes every descriptor from `first` on, also those the host opened without close-on-exec.
///
/// # Safety
/// Only in a child with a descriptor table of its own.
unsafe fn close_from(first: c_int) {
    // SAFETY: system calls without pointers, but for the limit, which is ours.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) == 0 {
            return;
        }
        // Kernels before 5.9.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let end = c_int::try_from(limit.rlim_cur).unwrap_or(1 << 20);
        for fd in first..end {
            libc::close(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `strings` would be to a program.
    fn read(strings: &Strings) -> Vec<String> {
        let (null, pointers) = strings.pointers.split_last().unwrap();
        assert!(null.is_null());
        // SAFETY: they point to strings that end with zero, and live as long as `strings`.
        let text = |&pointer: &_| unsafe { std::ffi::CStr::from_ptr(pointer) };
        pointers.iter().map(|pointer| text(pointer).to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_mark_joins_those_that_are_there() {
        let mut launch = Launch::new("/bin/true");
        launch.env = vec![("A".into(), "1".into())];
        let outer = ExecImage::marked(&launch, "x").unwrap();
        assert_eq!(read(&outer.env), ["A=1".to_string(), format!("{}=x", env_marker::VARIABLE)]);
        launch.env.push((env_marker::VARIABLE.into(), "x".into()));
        let inner = ExecImage::marked(&launch, "y").unwrap();
        assert_eq!(read(&inner.env), ["A=1".to_string(), format!("{}=x:y", env_marker::VARIABLE)]);
        assert_eq!(read(&ExecImage::new(&launch).unwrap().args), ["/bin/true"]);
    }

    #[test]
    fn a_zero_byte_is_refused_wherever_it_is() {
        for change in [
            (|launch: &mut Launch| launch.args.push("a\0b".into())) as fn(&mut Launch),
            |launch| launch.env.push(("A".into(), "a\0b".into())),
            |launch| launch.program = "/bin\0/true".into(),
            |launch| launch.working_dir = Some("/\0".into()),
        ] {
            let mut launch = Launch::new("/bin/true");
            change(&mut launch);
            assert_eq!(
                ExecImage::new(&launch).err().map(|error| error.stage),
                Some(SpawnStage::Input)
            );
        }
    }

    #[test]
    fn ids_are_written_to_the_right() {
        assert_eq!(&decimal(7), b"         7\n");
        assert_eq!(&decimal(c_int::MAX), b"2147483647\n");
    }
}
