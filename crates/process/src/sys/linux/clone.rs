//! Making the child process: it shares the host's memory and runs on a stack of its own, and the
//! thread that made it is suspended until the child executes its program or ends.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::process::Pid;

use super::child_setup::{ChildSetup, block_signals};
use super::leader::Leader;
use super::resources::Resources;
use super::stack::Stack;
use crate::error::{SpawnError, SpawnStage};

/// Where the child comes to life.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placement<'a> {
    /// Where its host is.
    Inherit,
    /// In the control group of this directory.
    CloneInto(BorrowedFd<'a>),
    /// Where its host is; it writes itself into this list of a control group before anything else.
    Attach(BorrowedFd<'a>),
}

/// Starts the program of `orders`.
pub(super) fn start(
    mut setup: ChildSetup<'_>,
    placement: Placement<'_>,
) -> Result<Leader, SpawnError> {
    let leader = make(&mut setup, placement)
        .map_err(|error| SpawnError::new(stage_of(placement, &error), error))?;
    let failure = match setup.failure() {
        Some((stage, errno)) => SpawnError::new(stage, io::Error::from_raw_os_error(errno)),
        None if setup.have_begun() => return Ok(leader),
        None => SpawnError::new(SpawnStage::Containment, killed_at_birth()),
    };
    leader.reap_now();
    Err(failure)
}

/// Makes a child that ends at once, to see whether it can be made there.
pub(super) fn probe(placement: Placement<'_>) -> io::Result<()> {
    attempt(ChildSetup::none(), placement)
}

/// Makes a child that ends at once, to see whether it can set these limits.
pub(super) fn probe_limits(limits: Resources) -> io::Result<()> {
    let mut setup = ChildSetup::none();
    setup.limit(limits);
    attempt(setup, Placement::Inherit)
}

fn attempt(mut setup: ChildSetup<'_>, placement: Placement<'_>) -> io::Result<()> {
    let _ended = make(&mut setup, placement)?.reap_now();
    match setup.failure() {
        Some((_, errno)) => Err(io::Error::from_raw_os_error(errno)),
        None if setup.have_begun() => Ok(()),
        None => Err(killed_at_birth()),
    }
}

/// Kernels since early 2025 count the kills of a group, and kill whoever is born into a group with
/// another count than that of its maker's group: into one that was killed before, or into a new one
/// if the host's own was.
fn killed_at_birth() -> io::Error {
    io::Error::other("it was killed before its first instruction")
}

/// A group that has been removed under us says ENODEV.
fn stage_of(placement: Placement<'_>, error: &io::Error) -> SpawnStage {
    match (placement, error.raw_os_error()) {
        (Placement::CloneInto(_), Some(libc::ENODEV | libc::ENOENT)) => SpawnStage::Containment,
        _ => SpawnStage::Process,
    }
}

fn make(setup: &mut ChildSetup<'_>, placement: Placement<'_>) -> io::Result<Leader> {
    let group = match placement {
        Placement::Inherit => None,
        Placement::CloneInto(dir) => Some(dir.as_raw_fd()),
        Placement::Attach(list) => {
            setup.join(list.as_raw_fd());
            None
        }
    };
    let stack = Stack::take()?;
    // A handler of the host's must not run in the child, which would run it in the host's memory.
    let mask = block_signals(u64::MAX);
    let cloned = match group {
        None => clone_child(&stack, setup),
        Some(dir) => clone_into(&stack, setup, dir),
    };
    block_signals(mask);
    stack.give_back();
    let (pid, pidfd) = cloned?;
    Ok(Leader::new(pid, pidfd))
}

const FLAGS: c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;

fn clone_child(stack: &Stack, setup: &mut ChildSetup<'_>) -> io::Result<(Pid, OwnedFd)> {
    let (base, size) = stack.usable();
    let mut pidfd: c_int = -1;
    // SAFETY: the child runs `child_main` on a stack that is ours and given back only when it is
    // gone from it: CLONE_VFORK suspends this thread until the child has executed its program or
    // ended. Until then `orders` lives on this thread's stack, and no signal handler can run in the
    // child because all signals are blocked. CLONE_PIDFD stores into `pidfd`.
    let pid = unsafe {
        libc::clone(
            child_main,
            base.wrapping_add(size).cast::<c_void>(),
            FLAGS | libc::SIGCHLD,
            std::ptr::from_mut(setup).cast::<c_void>(),
            &raw mut pidfd,
        )
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    born(pid, pidfd)
}

fn born(pid: c_int, pidfd: RawFd) -> io::Result<(Pid, OwnedFd)> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel made this descriptor for us alone.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

extern "C" fn child_main(setup: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one given to `clone`, valid while the host's thread is suspended;
    // this is the child, on its own stack, with all signals blocked.
    unsafe { (*setup.cast::<ChildSetup<'_>>()).run() }
}

/// As [`clone_child`], in the control group of the directory `dir`.
#[cfg(target_arch = "x86_64")]
fn clone_into(stack: &Stack, setup: &mut ChildSetup<'_>, dir: RawFd) -> io::Result<(Pid, OwnedFd)> {
    let (base, size) = stack.usable();
    let mut pidfd: c_int = -1;
    // SAFETY: all zero is a value of this structure of numbers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(FLAGS.cast_unsigned()) | CLONE_INTO_CGROUP;
    args.pidfd = (&raw mut pidfd).expose_provenance() as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.stack = base.expose_provenance() as u64;
    args.stack_size = size as u64;
    args.cgroup = u64::try_from(dir).map_err(|_| io::ErrorKind::InvalidInput)?;
    let result: isize;
    // SAFETY: as for `clone_child`, whose flags these are. glibc has no function for this call, so
    // it is made here: the kernel starts the child at the next instruction with the stack pointer
    // at the aligned end of its stack; rax tells the child, which calls `child_main` and never
    // returns, from the parent, which goes on behind. The two registers that hold what the child
    // needs survive the call; rcx and r11 do not. `args` and `orders` live until it returns.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") &raw const args,
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") std::ptr::from_mut(setup),
            in("r13") child_main as extern "C" fn(*mut c_void) -> c_int,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    let pid = c_int::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid));
    }
    born(pid, pidfd)
}

#[cfg(target_arch = "x86_64")]
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// On other machines the child joins its group before it executes its program.
#[cfg(not(target_arch = "x86_64"))]
fn clone_into(_: &Stack, _: &mut ChildSetup<'_>, _: RawFd) -> io::Result<(Pid, OwnedFd)> {
    Err(io::ErrorKind::Unsupported.into())
}
