//! The few system calls that a child makes between its start and its exec.
//!
//! Until then the child shares the host's memory, as after `vfork`: it must not allocate, take a
//! lock or run a destructor, and no signal handler of the host may run in it.

use std::ffi::c_int;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::close::close_from;
use super::listing::Line;
use super::resources::Resources;
use super::signals::{block_signals, ignored_of_terminal, reset_dispositions};
use crate::UserIds;
use crate::error::SpawnStage;
use crate::sys::exec_image::ExecImage;
use crate::sys::pipes::PassedNumber;

// The first calls of these names had 16 bits for an id on some machines.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{
    SYS_setgroups as SYS_SETGROUPS, SYS_setresgid as SYS_SETRESGID, SYS_setresuid as SYS_SETRESUID,
};
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{
    SYS_setgroups32 as SYS_SETGROUPS, SYS_setresgid32 as SYS_SETRESGID,
    SYS_setresuid32 as SYS_SETRESUID,
};

/// A step of the setup that failed, with its errno.
pub(super) type SetupFailure = (SpawnStage, c_int);

/// Instructions for the child, and its report: why it failed.
pub(super) struct ChildSetup<'a> {
    /// `None` for a probe, which exits at once.
    image: Option<&'a ExecImage>,
    stdio: [RawFd; 3],
    /// Lowest number first.
    passed: &'a [PassedNumber],
    user: Option<&'a UserIds>,
    /// `cgroup.procs` of the group that the child attaches itself to.
    attach: Option<RawFd>,
    isolation: Isolation,
    /// Directory that the child enters before it closes its descriptor.
    enter: Option<RawFd>,
    /// Line that the child writes its id to.
    pid_line: Option<&'a Line>,
    /// Given by a probe.
    extension: Option<Extension>,
    /// Limit of file locks, which marks the child.
    mark: Option<Rlimit>,
    limits: Resources,
    /// Signals whose disposition stays as it is in the host, as a set.
    kept_signals: u64,
    has_begun: bool,
    failure: Option<SetupFailure>,
}

/// Length that a file is to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension {
    pub(super) file: RawFd,
    pub(super) length: usize,
    pub(super) room: Room,
}

/// When the system takes the room for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    OnDemand,
    /// On a disk: a process that writes to it through memory is ended if there is no room then.
    AtOnce,
}

/// Isolation of a child from its host's terminal, whose signals must not reach it and where it must
/// not ask for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// The child leads a session, which has no terminal. Its descendants can be found by that.
    Session,
    /// The child leads a process group and gives up its host's terminal: enough where a control
    /// group holds the tree. With autogroup scheduling (`sched_autogroup_enabled`) each new session
    /// waits behind everything else that runs; beside other work a child took 2.3 times as long.
    Group,
    /// None: the child is in the session and the process group of its host.
    Shared,
}

impl<'a> ChildSetup<'a> {
    pub(super) fn new(image: &'a ExecImage, stdio: [RawFd; 3], isolation: Isolation) -> Self {
        Self { image: Some(image), stdio, isolation, ..Self::probe() }
    }

    /// Lets the signals of a terminal that the host ignores be ignored by the child.
    pub(super) fn keep_ignored(&mut self) {
        self.kept_signals = ignored_of_terminal();
    }

    /// Creates the setup of a child that executes nothing.
    pub(super) fn probe() -> Self {
        Self {
            image: None,
            stdio: [0; 3],
            passed: &[],
            user: None,
            attach: None,
            isolation: Isolation::Session,
            enter: None,
            pid_line: None,
            extension: None,
            mark: None,
            limits: Resources::default(),
            kept_signals: 0,
            has_begun: false,
            failure: None,
        }
    }

    pub(super) fn attach(&mut self, procs: RawFd) {
        self.attach = Some(procs);
    }

    pub(super) fn register_pid(&mut self, line: &'a Line) {
        self.pid_line = Some(line);
    }

    pub(super) fn enter(&mut self, dir: Option<BorrowedFd<'a>>) {
        self.enter = dir.map(|dir| dir.as_raw_fd());
    }

    pub(super) fn extend(&mut self, file: Extension) {
        self.extension = Some(file);
    }

    pub(super) fn mark(&mut self, mark: Option<Rlimit>) {
        self.mark = mark;
    }

    pub(super) fn pass(&mut self, passed: &'a [PassedNumber]) {
        self.passed = passed;
    }

    pub(super) fn run_as(&mut self, user: Option<&'a UserIds>) {
        self.user = user;
    }

    pub(super) fn limit(&mut self, limits: Resources) {
        self.limits = limits;
    }

    /// Returns `true` if the child has run at all: it can be killed before its first instruction.
    pub(super) fn has_begun(&self) -> bool {
        // SAFETY: as for `failure`.
        unsafe { ptr::read_volatile(&raw const self.has_begun) }
    }

    /// Returns why the program could not be executed, once the child has exited or executed it.
    pub(super) fn failure(&self) -> Option<SetupFailure> {
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
        unsafe { ptr::write_volatile(&raw mut self.has_begun, true) };
        // SAFETY: the caller's promise.
        if let Err(failure) = unsafe { self.execute() } {
            // SAFETY: as above.
            unsafe { ptr::write_volatile(&raw mut self.failure, Some(failure)) };
        }
        // SAFETY: ends this process without running any code of the host.
        unsafe { libc::_exit(127) }
    }

    /// Returns only if a step failed, or if there is nothing to execute.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    unsafe fn execute(&self) -> Result<(), SetupFailure> {
        // SAFETY: system calls with pointers into the image and the setup, which outlive the call
        // because the host's thread is suspended until the program runs. libc's wrappers for these
        // do nothing but the call and store errno, which belongs to the suspended thread.
        unsafe {
            // First, so that all that follows is accounted to the group.
            if let Some(procs) = self.attach
                && libc::write(procs, c"0".as_ptr().cast(), 1) != 1
            {
                return Err((SpawnStage::Containment, errno()));
            }
            let Some(ExecImage { program, working_dir, args, env }) = self.image else {
                self.limits.set()?;
                return self.extend_file();
            };
            self.contain()?;
            if !reset_dispositions(self.kept_signals) {
                return Err((SpawnStage::Containment, errno()));
            }
            self.number_descriptors()?;
            if let Some(user) = self.user {
                // By its host, which may raise limits.
                self.limits.set()?;
                become_user(user)?;
            }
            if let Some(dir) = working_dir
                && libc::chdir(dir.as_ptr()) != 0
            {
                return Err((SpawnStage::WorkingDirectory, errno()));
            }
            if self.user.is_none() {
                // Last, so that none of them hinders the steps before.
                self.limits.set()?;
            }
            // After the dispositions: a pending signal must not meet a handler of the host.
            if block_signals(0).is_none() {
                return Err((SpawnStage::Containment, errno()));
            }
            libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr());
            Err((SpawnStage::Exec, errno()))
        }
    }

    /// Gives the descriptors their numbers, and closes all others.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    unsafe fn number_descriptors(&self) -> Result<(), SetupFailure> {
        let stdio =
            (0..).zip(&self.stdio).map(|(target, source)| PassedNumber { source: *source, target });
        let mut first_unused = 3;
        // SAFETY: system calls with numbers, in a task with a descriptor table of its own.
        unsafe {
            for PassedNumber { source, target } in stdio.chain(self.passed.iter().copied()) {
                // dup2 clears close-on-exec for the new descriptor.
                if libc::dup2(source, target) < 0 {
                    return Err((SpawnStage::Stdio, errno()));
                }
            }
            for PassedNumber { target, .. } in self.passed {
                (first_unused..*target).for_each(|unused| {
                    libc::close(unused);
                });
                first_unused = target + 1;
            }
            close_from(first_unused);
        }
        Ok(())
    }

    /// Isolates and marks the child, and writes its id to the list of those that must not outlive
    /// the host.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    unsafe fn contain(&self) -> Result<(), SetupFailure> {
        // SAFETY: as in `execute`.
        unsafe {
            let isolated = match self.isolation {
                Isolation::Group if gives_up_terminal() => libc::setpgid(0, 0),
                Isolation::Group | Isolation::Session => libc::setsid(),
                Isolation::Shared => 0,
            };
            if isolated < 0 {
                return Err((SpawnStage::Containment, errno()));
            }
            if let Some(dir) = self.enter
                && libc::fchdir(dir) != 0
            {
                return Err((SpawnStage::WorkingDirectory, errno()));
            }
            if let Some(mark) = self.mark {
                // Without it there is the marker in the environment.
                let _marked = setrlimit(Resource::Locks, mark);
            }
            if let Some(line) = self.pid_line {
                let pid = libc::getpid();
                // The host guard would kill every process: none of ours has this number, but the
                // answer to a call that is refused looks like it.
                if pid <= 1 {
                    return Err((SpawnStage::Containment, errno()));
                }
                line.write(pid);
            }
        }
        Ok(())
    }

    /// Gives a file its length.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    unsafe fn extend_file(&self) -> Result<(), SetupFailure> {
        let Some(Extension { file, length, room }) = self.extension else { return Ok(()) };
        // SAFETY: system calls with numbers, and with memory that is never written.
        let is_done = unsafe {
            match room {
                Room::OnDemand => libc::ftruncate(file, length as libc::off_t) == 0,
                Room::AtOnce => write_zeros(file, length),
            }
        };
        if is_done { Ok(()) } else { Err((SpawnStage::Containment, errno())) }
    }
}

/// Writes so many zeros to a file: not all file systems can take room for it in another way. Returns
/// `false` if that failed.
///
/// # Safety
/// As for [`ChildSetup::run`].
unsafe fn write_zeros(file: RawFd, mut length: usize) -> bool {
    static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
    while length > 0 {
        // SAFETY: a system call with a number, and with memory that is never written.
        let written = unsafe { libc::write(file, ZEROS.as_ptr().cast(), length.min(ZEROS.len())) };
        match usize::try_from(written) {
            Ok(written @ 1..) => length -= written,
            _ => return false,
        }
    }
    true
}

/// Changes the user and the groups of this process, for good.
///
/// # Safety
/// Only in a child that has one thread.
unsafe fn become_user(user: &UserIds) -> Result<(), SetupFailure> {
    let (uid, gid) = (user.uid, user.gid);
    // SAFETY: system calls with numbers and an array of this length. libc's functions for them would
    // change the threads of the host, too, with which this process shares its memory.
    let is_done = unsafe {
        drop_ambient_capabilities()
            && libc::syscall(SYS_SETGROUPS, user.groups.len(), user.groups.as_ptr()) == 0
            && libc::syscall(SYS_SETRESGID, gid, gid, gid) == 0
            && libc::syscall(SYS_SETRESUID, uid, uid, uid) == 0
    };
    if is_done { Ok(()) } else { Err((SpawnStage::User, errno())) }
}

/// Gives up the capabilities that a program would keep. The kernel takes those of root from a process
/// that becomes another user, but not those that a service manager has given to a host that is not
/// root (`AmbientCapabilities`). Returns `false` if the system refuses that.
///
/// # Safety
/// Only in a child that has one thread.
unsafe fn drop_ambient_capabilities() -> bool {
    // SAFETY: a system call with numbers. Linux before 4.3 has no such capabilities (EINVAL).
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0
            || errno() == libc::EINVAL
    }
}

/// Gives up the terminal of this process. Returns `true` if it has none now: that cannot be found
/// out without `/dev`, or without a spare descriptor.
///
/// # Safety
/// Only in a child that leads no session.
unsafe fn gives_up_terminal() -> bool {
    // SAFETY: system calls with numbers and a string that ends with NUL.
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

pub(super) fn errno() -> c_int {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}
