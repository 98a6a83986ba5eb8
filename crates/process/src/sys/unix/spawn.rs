//! Starting a program with `posix_spawn`, which copies nothing of the host's memory where the system
//! has a way around that, as all current ones do.

use std::ffi::{CString, OsStr, c_char, c_int, c_short};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use rustix::fs::Access;
use rustix::process::Pid;

use super::signals;
use crate::Launch;
use crate::error::{SpawnError, SpawnStage};
use crate::sys::common::c_string;

/// Apple's systems close what is not given to the child by name.
#[cfg(target_vendor = "apple")]
const CLOSES: c_int = libc::POSIX_SPAWN_CLOEXEC_DEFAULT as c_int;
#[cfg(not(target_vendor = "apple"))]
const CLOSES: c_int = 0;

/// Starts the program of `launch` with these descriptors as 0, 1 and 2.
pub(super) fn start(launch: &Launch, stdio: [RawFd; 3]) -> Result<Pid, SpawnError> {
    let program = c_string(launch.program.as_os_str())?;
    let args = strings(launch.args.iter().map(|arg| c_string(arg)))?;
    let env = strings(launch.env.iter().map(|(name, value)| {
        let pair = [name.as_bytes(), b"=", value.as_bytes()].concat();
        c_string(OsStr::from_bytes(&pair))
    }))?;
    let process = |error| SpawnError::new(SpawnStage::Process, error);
    let mut actions = Actions::new().map_err(process)?;
    for (number, fd) in (0..).zip(stdio) {
        actions.give(fd, number).map_err(|error| SpawnError::new(SpawnStage::Stdio, error))?;
    }
    actions.close_others().map_err(process)?;
    if let Some(dir) = &launch.working_dir {
        let dir = c_string(dir.as_os_str())?;
        actions
            .enter(&dir)
            .map_err(|error| SpawnError::new(SpawnStage::WorkingDirectory, error))?;
    }
    let attributes = Attributes::of_a_clean_child().map_err(process)?;
    let (args, env) = (pointers(&args), pointers(&env));
    let mut pid = 0;
    // SAFETY: the strings end with zero and the lists with null; all of them, the actions and the
    // attributes live on until the call returns.
    let spawned = checked(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            args.as_ptr().cast(),
            env.as_ptr().cast(),
        )
    });
    spawned.map_err(|error| SpawnError::new(stage_of(&error, launch), error))?;
    Pid::from_raw(pid).ok_or_else(|| process(io::ErrorKind::InvalidData.into()))
}

/// `posix_spawn` says what failed, but not where.
fn stage_of(error: &io::Error, launch: &Launch) -> SpawnStage {
    match (error.raw_os_error(), launch.working_dir.as_deref()) {
        (Some(libc::EAGAIN | libc::ENOMEM), _) => SpawnStage::Process,
        (_, Some(dir)) if !can_be_entered(dir) => SpawnStage::WorkingDirectory,
        _ => SpawnStage::Exec,
    }
}

fn can_be_entered(dir: &Path) -> bool {
    dir.is_dir() && rustix::fs::access(dir, Access::EXEC_OK).is_ok()
}

fn strings(
    all: impl Iterator<Item = Result<CString, SpawnError>>,
) -> Result<Vec<CString>, SpawnError> {
    all.collect()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// These functions return the error instead of setting it.
fn checked(errno: c_int) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// What the child does before its program runs.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::zeroed();
        // SAFETY: if the call succeeds, it has made all of it a value.
        unsafe {
            checked(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(Self(actions.assume_init()))
        }
    }

    fn give(&mut self, fd: RawFd, number: RawFd) -> io::Result<()> {
        // SAFETY: the actions have been initialised.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd, number) })
    }

    /// Closes what the host has opened without close-on-exec, where there is a way to.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn close_others(&mut self) -> io::Result<()> {
        // SAFETY: the actions have been initialised.
        checked(unsafe { libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, 3) })
    }

    /// See [`CLOSES`]; elsewhere such descriptors are inherited.
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    fn close_others(&mut self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    fn enter(&mut self, dir: &CString) -> io::Result<()> {
        // SAFETY: the actions have been initialised, and they copy the path.
        checked(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, dir.as_ptr())
        })
    }

    /// It would have to be done by a copy of the host.
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    fn enter(&mut self, _: &CString) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the actions have been initialised and are not used any more.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// What the child is made with.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// Default signal dispositions, an empty signal mask, a group of its own.
    fn of_a_clean_child() -> io::Result<Self> {
        let mut attributes = MaybeUninit::zeroed();
        // SAFETY: if the call succeeds, it has made all of it a value.
        let mut attributes = unsafe {
            checked(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            Self(attributes.assume_init())
        };
        let signals = (libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK) as c_int;
        let flags = signals | (libc::POSIX_SPAWN_SETPGROUP as c_int) | CLOSES;
        let (default, mask) = (signals::changeable(), signals::none());
        let it = &raw mut attributes.0;
        // SAFETY: the attributes have been initialised, and they copy the sets.
        unsafe {
            checked(libc::posix_spawnattr_setsigdefault(it, &raw const default))?;
            checked(libc::posix_spawnattr_setsigmask(it, &raw const mask))?;
            // A new one, which the child leads.
            checked(libc::posix_spawnattr_setpgroup(it, 0))?;
            checked(libc::posix_spawnattr_setflags(it, flags as c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the attributes have been initialised and are not used any more.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}
