//! Starting a program with `posix_spawn`.
//!
//! The only unsafe code of the benchmark: no safe crate offers this call by itself, and measuring
//! against another wrapper would not be a floor.

use std::ffi::{CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::process::Pid;

use crate::child::Cmd;

unsafe extern "C" {
    static environ: *const *mut c_char;
}

/// A command in the form that the call takes, built once for many children.
pub struct Image {
    args: Vec<CString>,
    dev_null: OwnedFd,
}

impl Image {
    pub fn new(cmd: &Cmd) -> Self {
        let words = std::iter::once(&cmd.program).chain(&cmd.args);
        let args = words.map(|word| CString::new(word.as_str()).expect("no zero bytes")).collect();
        let dev_null = std::fs::File::open("/dev/null").expect("there is a /dev/null");
        Self { args, dev_null: dev_null.into() }
    }

    /// Starts it with these descriptors as standard output and standard error.
    pub fn start(&self, stdout: impl AsFd, stderr: impl AsFd) -> Pid {
        let mut argv: Vec<_> = self.args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
        argv.push(ptr::null_mut());
        let mut actions = Actions::new();
        actions.give(self.dev_null.as_fd(), 0);
        actions.give(stdout.as_fd(), 1);
        actions.give(stderr.as_fd(), 2);
        let mut pid = 0;
        // SAFETY: the strings, the list that ends with null and the actions live until the call
        // returns, and nothing changes the environment of this program meanwhile.
        let failure = unsafe {
            libc::posix_spawnp(
                &raw mut pid,
                self.args[0].as_ptr(),
                actions.0.as_ptr(),
                ptr::null(),
                argv.as_ptr(),
                environ.cast(),
            )
        };
        assert_eq!(failure, 0, "it starts");
        Pid::from_raw(pid).expect("a process has an id")
    }
}

/// The descriptor actions of the child before exec.
struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Actions {
    fn new() -> Self {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call fills a structure of this type.
        assert_eq!(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) }, 0);
        Self(actions)
    }

    fn give(&mut self, fd: BorrowedFd<'_>, number: c_int) {
        // SAFETY: the structure has been initialised.
        let failure = unsafe {
            libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), fd.as_raw_fd(), number)
        };
        assert_eq!(failure, 0);
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the structure has been initialised and is not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}
