//! What a child executes, in the form the kernel takes it, and the few system calls it makes before.

use std::ffi::{CString, OsStr, c_char, c_int};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;

use crate::Launch;
use crate::error::{SpawnError, Stage};

/// Program, arguments, environment and directory as C strings.
pub(super) struct Image {
    program: CString,
    working_dir: Option<CString>,
    args: Strings,
    env: Strings,
}

/// C strings and the list of pointers to them that ends with null.
struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|one| one.as_ptr()).chain([ptr::null()]).collect();
        Self { _owned: owned, pointers }
    }
}

impl Image {
    pub(super) fn new(launch: &Launch) -> Result<Self, SpawnError> {
        let args = launch.args.iter().map(|arg| c_string(arg)).collect::<Result<_, _>>()?;
        let env = launch.env.iter().map(|(name, value)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            c_string(&pair)
        });
        let working_dir = launch.working_dir.as_deref();
        Ok(Self {
            program: c_string(launch.program.as_os_str())?,
            working_dir: working_dir.map(|dir| c_string(dir.as_os_str())).transpose()?,
            args: Strings::new(args),
            env: Strings::new(env.collect::<Result<_, _>>()?),
        })
    }
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes())
        .map_err(|_| SpawnError::new(Stage::Input, std::io::ErrorKind::InvalidInput))
}

/// What the child reads, and the one place it writes: why it failed.
pub(super) struct Orders<'a> {
    image: &'a Image,
    stdio: [RawFd; 3],
    failure: Option<(Stage, c_int)>,
}

impl<'a> Orders<'a> {
    pub(super) fn new(image: &'a Image, stdio: [RawFd; 3]) -> Self {
        Self { image, stdio, failure: None }
    }

    /// Why the program could not be executed; asked when the child is gone or has executed it.
    pub(super) fn failure(&self) -> Option<(Stage, c_int)> {
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
    pub(super) unsafe fn obey(&mut self) -> ! {
        // SAFETY: what the caller promises.
        let failure = unsafe { self.execute() };
        // SAFETY: the field is ours and the host's thread does not run meanwhile; volatile, because
        // it is read by another process.
        unsafe { ptr::write_volatile(&raw mut self.failure, Some(failure)) };
        // SAFETY: ends this process without running anything of the host's.
        unsafe { libc::_exit(127) }
    }

    /// Returns only if something failed.
    ///
    /// # Safety
    /// As [`obey`](Self::obey).
    unsafe fn execute(&self) -> (Stage, c_int) {
        // SAFETY: system calls with pointers into the image, which outlives the call because the
        // host's thread is suspended until the program runs. libc's wrappers for these do nothing
        // but the call and store errno, which belongs to the suspended thread.
        unsafe {
            if libc::setpgid(0, 0) != 0 {
                return (Stage::Group, errno());
            }
            default_signals();
            for (target, &source) in (0..).zip(&self.stdio) {
                // dup2 leaves the new descriptor open across exec, which is what is wanted.
                if libc::dup2(source, target) < 0 {
                    return (Stage::Stdio, errno());
                }
            }
            close_from(3);
            if let Some(dir) = &self.image.working_dir
                && libc::chdir(dir.as_ptr()) != 0
            {
                return (Stage::WorkingDirectory, errno());
            }
            block_signals(0);
            let Image { program, args, env, .. } = self.image;
            libc::execve(program.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr());
            (Stage::Exec, errno())
        }
    }
}

fn errno() -> c_int {
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
