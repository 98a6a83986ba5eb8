//! Starts a program with `posix_spawn`, which does not copy the host's memory on any current
//! system.

use std::ffi::{CString, c_int, c_short};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::path::Path;

use rustix::fs::Access;
use rustix::process::Pid;

use crate::error::SpawnStage;
use crate::sys::exec_image::ExecImage;
use crate::sys::pipes::PassedNumber;
use crate::{Launch, SpawnError};

/// Apple's systems close every descriptor that is not given to the child by name.
#[cfg(target_vendor = "apple")]
const CLOSE_FLAG: c_int = libc::POSIX_SPAWN_CLOEXEC_DEFAULT as c_int;
#[cfg(not(target_vendor = "apple"))]
const CLOSE_FLAG: c_int = 0;

/// Starts the program of `launch` with these descriptors as 0, 1 and 2, and those that are passed on,
/// in the directory `dir` if that is held.
pub(super) fn start(
    launch: &Launch,
    stdio: [RawFd; 3],
    passed: &[PassedNumber],
    dir: Option<BorrowedFd<'_>>,
) -> Result<Pid, SpawnError> {
    let image = ExecImage::new(launch, None)?;
    let at = |stage| move |error: io::Error| SpawnError::new(stage, error);
    if launch.user.is_some() {
        let refused = io::Error::other("only Linux can run a program as another user; use sudo");
        return Err(at(SpawnStage::User)(refused));
    }
    let mut actions = FileActions::new().map_err(at(SpawnStage::Process))?;
    // Before the descriptors get their numbers, one of which it may have.
    if let Some(dir) = dir {
        actions.fchdir(dir).map_err(at(SpawnStage::WorkingDirectory))?;
    }
    for (number, fd) in (0..).zip(stdio) {
        actions.dup2(fd, number).map_err(at(SpawnStage::Stdio))?;
    }
    for PassedNumber { source, target } in passed {
        actions.dup2(*source, *target).map_err(at(SpawnStage::Stdio))?;
    }
    actions.close_others(passed).map_err(at(SpawnStage::Process))?;
    if let Some(dir) = &image.working_dir {
        actions.chdir(dir).map_err(at(SpawnStage::WorkingDirectory))?;
    }
    let attributes = SpawnAttributes::of_clean_child().map_err(at(SpawnStage::Process))?;
    let mut pid = 0;
    // SAFETY: the strings end with NUL and the lists with null; all of them, the actions and the
    // attributes live on until the call returns.
    let spawned = checked(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            image.program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            image.args.as_ptr().cast(),
            image.env.as_ptr().cast(),
        )
    });
    spawned.map_err(|error| SpawnError::new(stage_of(&error, launch), error))?;
    Pid::from_raw(pid).ok_or_else(|| at(SpawnStage::Process)(io::ErrorKind::InvalidData.into()))
}

/// Guesses the stage: `posix_spawn` reports what failed, but not at which step.
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

/// Converts the result of functions that return the error instead of setting it.
fn checked(errno: c_int) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// Steps of the child before its program runs.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::zeroed();
        // SAFETY: if the call succeeds, it has made all of it a value.
        unsafe {
            checked(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(Self(actions.assume_init()))
        }
    }

    fn dup2(&mut self, fd: RawFd, number: RawFd) -> io::Result<()> {
        // SAFETY: the actions have been initialised.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd, number) })
    }

    /// Closes descriptors that the host has opened without close-on-exec, where that is possible.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn close_others(&mut self, passed: &[PassedNumber]) -> io::Result<()> {
        let mut first_unused = 3;
        for PassedNumber { target, .. } in passed {
            for unused in first_unused..*target {
                // SAFETY: the actions have been initialised. Closing what is not open is no failure
                // in glibc.
                checked(unsafe {
                    libc::posix_spawn_file_actions_addclose(&raw mut self.0, unused)
                })?;
            }
            first_unused = target + 1;
        }
        // SAFETY: the actions have been initialised.
        checked(unsafe {
            libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, first_unused)
        })
    }

    /// Leaves that to [`CLOSE_FLAG`]; on other systems such descriptors are inherited.
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    fn close_others(&mut self, _: &[PassedNumber]) -> io::Result<()> {
        Ok(())
    }

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    fn chdir(&mut self, dir: &CString) -> io::Result<()> {
        // SAFETY: the actions have been initialised, and they copy the path.
        checked(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, dir.as_ptr())
        })
    }

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    fn fchdir(&mut self, dir: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the actions have been initialised.
        checked(unsafe {
            libc::posix_spawn_file_actions_addfchdir_np(&raw mut self.0, dir.as_raw_fd())
        })
    }

    /// Refuses: only a copy of the host could change the directory here.
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    fn chdir(&mut self, _: &CString) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Refuses, as above.
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    fn fchdir(&mut self, _: BorrowedFd<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the actions have been initialised and are not used any more.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// Attributes of the new process.
struct SpawnAttributes(libc::posix_spawnattr_t);

impl SpawnAttributes {
    /// Returns default signal dispositions, an empty signal mask, and a group of its own.
    fn of_clean_child() -> io::Result<Self> {
        let mut attributes = MaybeUninit::zeroed();
        // SAFETY: if the call succeeds, it has made all of it a value.
        let mut attributes = unsafe {
            checked(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            Self(attributes.assume_init())
        };
        let signals = (libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK) as c_int;
        let flags = signals | (libc::POSIX_SPAWN_SETPGROUP as c_int) | CLOSE_FLAG;
        let (mut all, mut none) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let it = &raw mut attributes.0;
        // SAFETY: the first calls make the sets values; the attributes have been initialised, and
        // they copy the sets.
        unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigfillset(all.as_mut_ptr());
            // The dispositions of these two cannot be changed.
            libc::sigdelset(all.as_mut_ptr(), libc::SIGKILL);
            libc::sigdelset(all.as_mut_ptr(), libc::SIGSTOP);
            checked(libc::posix_spawnattr_setsigdefault(it, all.as_ptr()))?;
            checked(libc::posix_spawnattr_setsigmask(it, none.as_ptr()))?;
            // 0 is a new group that the child leads.
            checked(libc::posix_spawnattr_setpgroup(it, 0))?;
            checked(libc::posix_spawnattr_setflags(it, flags as c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for SpawnAttributes {
    fn drop(&mut self) {
        // SAFETY: the attributes have been initialised and are not used any more.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}
