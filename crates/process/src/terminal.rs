//! The controlling terminal of this process, as a program that runs others in it needs it.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp,
};

use crate::sys;

/// Controlling terminal of this process, and the state it was found in.
///
/// For a host whose children [share](crate::Terminal::Shared) it: a child that was stopped may have
/// left it in a state that its host's caller cannot use.
///
/// ```
/// use execution_engine_process::ControllingTerminal;
///
/// // A test may have one or none.
/// if let Some(terminal) = ControllingTerminal::open() {
///     terminal.restore_group();
///     terminal.restore_modes();
/// }
/// ```
#[derive(Debug)]
pub struct ControllingTerminal {
    file: OwnedFd,
    modes: Option<Termios>,
}

impl ControllingTerminal {
    /// Opens the terminal and notes its modes. Returns `None` for a process that has none.
    pub fn open() -> Option<Self> {
        let file = open()?;
        let modes = tcgetattr(&file).ok();
        Some(Self { file, modes })
    }

    /// Returns `true` if the process group of this process is in the foreground.
    pub fn is_foreground(&self) -> bool {
        tcgetpgrp(&self.file).ok() == Some(getpgrp())
    }

    /// Returns `true` if a program reads single keys now, as line editors and full-screen programs
    /// do, instead of lines.
    pub fn reads_keys(&self) -> bool {
        tcgetattr(&self.file).is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON))
    }

    /// Puts a process group of this session into the foreground. It is one call of the system, which
    /// refuses a group that has no member, or is in another session.
    pub fn give_to(&self, group: u32) {
        if let Some(group) = Pid::from_raw(group.cast_signed()) {
            // A process in the background waits for the user, as it would have.
            let _set = sys::hold_terminal_signal(|| tcsetpgrp(&self.file, group));
        }
    }

    /// Returns the process group in the foreground.
    pub fn foreground(&self) -> Option<u32> {
        tcgetpgrp(&self.file).ok().map(|group| group.as_raw_nonzero().get().cast_unsigned())
    }

    /// Puts the process group of this process into the foreground if the group that is there has
    /// ended: that of a shell which was stopped, for instance. Otherwise nothing is changed: the user
    /// may have moved this process to the background.
    pub fn restore_group(&self) {
        let is_gone = match tcgetpgrp(&self.file) {
            Ok(group) => test_kill_process_group(group) == Err(Errno::SRCH),
            // There is none.
            Err(_) => true,
        };
        if is_gone {
            // Without it a shell takes the terminal back by itself.
            let _set = sys::hold_terminal_signal(|| tcsetpgrp(&self.file, getpgrp()));
        }
    }

    /// Sets the modes that were found, if this process is in the foreground: whether input comes in
    /// lines, is echoed, and the like.
    pub fn restore_modes(&self) {
        if let Some(modes) = &self.modes
            && self.is_foreground()
        {
            // Output that is on its way is not lost, and not waited for.
            let set = || tcsetattr(&self.file, OptionalActions::Now, modes);
            let _set = sys::hold_terminal_signal(set);
        }
    }
}

/// Returns `true` if this process has a controlling terminal.
#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
pub(crate) fn is_there() -> bool {
    open().is_some()
}

fn open() -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()
}
