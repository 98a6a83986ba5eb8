//! Creation of the child process.
//!
//! `fork` copies the host's page tables, which takes milliseconds from a host with gigabytes of
//! memory. Here the child shares the host's memory and runs on a stack of its own, and the thread
//! that made it is suspended until the child executes its program or exits, as with `vfork`.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::process::Pid;

use super::child_setup::{ChildSetup, Extension};
use super::leader::Leader;
use super::required;
use super::resources::Resources;
use super::signals::block_signals;
use super::stack::Stack;
use crate::SpawnError;
use crate::error::{SpawnStage, is_transient};

/// Control group that a child belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placement<'a> {
    /// Its host's.
    Inherit,
    /// The group of this directory. The child is created inside, so no fork comes too early.
    CloneInto(BorrowedFd<'a>),
    /// The group of this `cgroup.procs`. The child attaches itself before its other steps.
    Attach(BorrowedFd<'a>),
}

/// Starts the program of `setup`.
pub(super) fn start(
    mut setup: ChildSetup<'_>,
    placement: Placement<'_>,
) -> Result<Leader, SpawnError> {
    let leader = create(&mut setup, placement)
        .map_err(|error| SpawnError::new(stage_of(placement, &error), error))?;
    let failure = match setup.failure() {
        Some((stage, errno)) => SpawnError::new(stage, io::Error::from_raw_os_error(errno)),
        None if setup.has_begun() => return Ok(leader),
        None => SpawnError::new(SpawnStage::Containment, killed_at_birth()),
    };
    leader.reap_now();
    Err(failure)
}

/// Tries whether a child can be created there. It exits at once.
pub(super) fn probe(placement: Placement<'_>) -> io::Result<()> {
    run_probe(ChildSetup::probe(), placement)
}

/// Tries whether a child can set these limits. It exits at once.
pub(super) fn probe_limits(limits: Resources) -> io::Result<()> {
    let mut setup = ChildSetup::probe();
    setup.limit(limits);
    run_probe(setup, Placement::Inherit)
}

/// Gives a file a length, in a child with these limits. The signal of a limit does not reach it.
pub(super) fn extend(file: Extension, limits: Resources) -> io::Result<()> {
    let mut setup = ChildSetup::probe();
    setup.limit(limits);
    setup.extend(file);
    run_probe(setup, Placement::Inherit)
}

fn run_probe(mut setup: ChildSetup<'_>, placement: Placement<'_>) -> io::Result<()> {
    let _exit = create(&mut setup, placement)?.reap_now();
    match setup.failure() {
        Some((_, errno)) => Err(io::Error::from_raw_os_error(errno)),
        None if setup.has_begun() => Ok(()),
        None => Err(killed_at_birth()),
    }
}

/// Kernels since early 2025 count the kills of a group, and kill a process that is created in a
/// group with another count than that of its maker's group: in one that was killed before, or in a
/// new one if the host's own was.
fn killed_at_birth() -> io::Error {
    io::Error::other("it was killed before its first instruction")
}

/// Returns the step that an error of `clone` belongs to. A lack of room is a matter of the process;
/// a group that was removed answers ENODEV, one of another user EACCES, and a system that makes no
/// processes inside of groups has answers of its own.
fn stage_of(placement: Placement<'_>, error: &io::Error) -> SpawnStage {
    match placement {
        Placement::CloneInto(_) if !is_transient(error) => SpawnStage::Containment,
        _ => SpawnStage::Process,
    }
}

fn create(setup: &mut ChildSetup<'_>, placement: Placement<'_>) -> io::Result<Leader> {
    required::check()?;
    let cgroup = match placement {
        Placement::Inherit => None,
        Placement::CloneInto(dir) => Some(dir.as_raw_fd()),
        Placement::Attach(procs) => {
            setup.attach(procs.as_raw_fd());
            None
        }
    };
    let stack = Stack::take()?;
    // A signal handler of the host must not run in the child, where it would change the host's
    // memory. The child unblocks signals after it has reset all dispositions.
    let mask = block_signals(u64::MAX).ok_or_else(io::Error::last_os_error)?;
    let cloned = match cgroup {
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
    // SAFETY: the child runs `child_main` on a stack that is ours and given back only when the
    // child has left it: CLONE_VFORK suspends this thread until the child has executed its program
    // or exited. Until then `setup` lives on this thread's stack, and no signal handler can run in
    // the child because all signals are blocked. CLONE_PIDFD stores into `pidfd`.
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
    owned(pid, pidfd)
}

fn owned(pid: c_int, pidfd: RawFd) -> io::Result<(Pid, OwnedFd)> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel made this descriptor for us alone.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

extern "C" fn child_main(setup: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one given to `clone`, valid while the host's thread is suspended;
    // this is the child, on its own stack, with all signals blocked.
    unsafe { (*setup.cast::<ChildSetup<'_>>()).run() }
}

/// Creates the child like [`clone_child`], but in the control group of the directory `dir`.
///
/// The assembly is worth it: a child that attaches itself writes to `cgroup.procs`, and that write
/// waits for a grace period of RCU since Linux 6.0. Measured: 0.9 ms for a start after a pause with
/// `clone3`, 9.9 ms without; 11 µs more in a loop, where one grace period serves many.
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
    // at the aligned end of its stack; rax is 0 in the child, which calls `child_main` and never
    // returns, and not 0 in the parent, which jumps over that. The two registers that hold what the
    // child needs survive the call; rcx and r11 do not. `args` and `setup` live until it returns.
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
    owned(pid, pidfd)
}

#[cfg(target_arch = "x86_64")]
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Refuses the call: on other machines the child attaches itself.
#[cfg(not(target_arch = "x86_64"))]
fn clone_into(_: &Stack, _: &mut ChildSetup<'_>, _: RawFd) -> io::Result<(Pid, OwnedFd)> {
    Err(io::ErrorKind::Unsupported.into())
}
