use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A signal to a process tree. One that is given by its number is the same as the one with that name.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Signal {
    /// SIGHUP: the terminal has gone; often, read your configuration again.
    Hangup,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGQUIT: what Ctrl-\ sends; ends with a core file.
    Quit,
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL: ends at once and cannot be refused.
    Kill,
    /// SIGSTOP: stands still and cannot refuse.
    Stop,
    /// SIGCONT: goes on.
    Continue,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGXCPU: the limit of CPU time is reached.
    CpuLimit,
    /// SIGXFSZ: the limit of a file's size is reached.
    FileSizeLimit,
    /// Another one, by its number on this platform.
    Other(i32),
}

impl Signal {
    /// Its number on this platform.
    pub fn number(self) -> i32 {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
            Self::User1 => libc::SIGUSR1,
            Self::User2 => libc::SIGUSR2,
            Self::CpuLimit => libc::SIGXCPU,
            Self::FileSizeLimit => libc::SIGXFSZ,
            Self::Other(number) => number,
        }
    }

    /// Whether the system has a signal of this number.
    pub fn is_valid(self) -> bool {
        (1..=64).contains(&self.number())
    }

    /// Its name: `SIGTERM`.
    pub fn name(self) -> Cow<'static, str> {
        signal_name(self.number())
    }
}

impl PartialEq for Signal {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for Signal {}

impl Hash for Signal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number().hash(state);
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Lets writes of this thread to a pipe that nobody reads fail with an error, whatever the host does
/// with SIGPIPE elsewhere: by default it would end the host. For threads of one's own.
pub fn hold_broken_pipe_signals() {
    crate::sys::hold_broken_pipe_signals();
}

/// The name of a signal by its number on this platform: `SIGSEGV`, or `signal 40` for one without.
///
/// ```
/// assert_eq!(execution_engine_process::signal_name(9), "SIGKILL");
/// ```
pub fn signal_name(number: i32) -> Cow<'static, str> {
    const NAMES: [(i32, &str); 27] = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGCHLD, "SIGCHLD"),
        (libc::SIGCONT, "SIGCONT"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGIO, "SIGIO"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGPROF, "SIGPROF"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGSTOP, "SIGSTOP"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGTSTP, "SIGTSTP"),
        (libc::SIGTTIN, "SIGTTIN"),
        (libc::SIGTTOU, "SIGTTOU"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGVTALRM, "SIGVTALRM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
    ];
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("signal {number}")),
    }
}
