//! Signals by name and by number.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Signal to a process tree.
///
/// Two signals are equal if their numbers are, however they are named. In JSON a signal is its name
/// (`"terminate"`), or a number for [`Other`](Self::Other).
///
/// ```
/// use execution_engine_process::Signal;
///
/// assert_eq!(Signal::Terminate.name(), "SIGTERM");
/// assert_eq!(Signal::Other(9), Signal::Kill);
/// ```
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(remote = "Self", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Signal {
    /// SIGHUP: the terminal was closed; many daemons reload their configuration.
    Hangup,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGQUIT: what Ctrl-\ sends; ends with a core file.
    Quit,
    /// SIGTERM: request termination.
    Terminate,
    /// SIGKILL: ends a process at once and cannot be caught.
    Kill,
    /// SIGSTOP: suspends a process and cannot be caught.
    Stop,
    /// SIGCONT: resumes a process.
    Continue,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGXCPU: the limit of CPU time is reached.
    CpuLimit,
    /// SIGXFSZ: the limit of a file's size is reached.
    FileSizeLimit,
    /// Any other signal, by its number on this platform.
    #[cfg_attr(feature = "serde", serde(skip))]
    Other(i32),
}

impl Signal {
    /// All signals that have a name here.
    const NAMED: [Self; 11] = [
        Self::Hangup,
        Self::Interrupt,
        Self::Quit,
        Self::Terminate,
        Self::Kill,
        Self::Stop,
        Self::Continue,
        Self::User1,
        Self::User2,
        Self::CpuLimit,
        Self::FileSizeLimit,
    ];

    /// Returns the signal with this number on this platform.
    pub fn from_number(number: i32) -> Self {
        let named = Self::NAMED.into_iter().find(|signal| signal.number() == number);
        named.unwrap_or(Self::Other(number))
    }

    /// Returns its number on this platform.
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

    /// Returns `true` if its number is one that a signal can have.
    pub fn is_valid(self) -> bool {
        (1..=64).contains(&self.number())
    }

    /// Returns `true` if it ends a program that does not handle it: others are ignored by default,
    /// suspend the program, or resume it.
    pub fn ends_by_default(self) -> bool {
        !matches!(
            self.number(),
            libc::SIGCHLD
                | libc::SIGCONT
                | libc::SIGSTOP
                | libc::SIGTSTP
                | libc::SIGTTIN
                | libc::SIGTTOU
                | libc::SIGURG
                | libc::SIGWINCH
        )
    }

    /// Returns its name as the system writes it: `SIGTERM`.
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
        f.pad(&self.name())
    }
}

#[cfg(feature = "serde")]
mod serde_form {
    use serde::de::{Deserialize, Deserializer, IntoDeserializer as _};
    use serde::ser::{Serialize, Serializer};

    use super::Signal;

    impl Serialize for Signal {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Self::Other(number) => serializer.serialize_i32(*number),
                named => Self::serialize(named, serializer),
            }
        }
    }

    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "expected the name of a signal or its number")]
    enum NameOrNumber {
        Name(String),
        Number(i32),
    }

    impl<'de> Deserialize<'de> for Signal {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match NameOrNumber::deserialize(deserializer)? {
                // By the derived function, whose error lists the names.
                NameOrNumber::Name(name) => Self::deserialize(name.into_deserializer()),
                NameOrNumber::Number(number) => Ok(Self::from_number(number)),
            }
        }
    }
}

/// Makes writes of this thread to a pipe without a reader, and to a file beyond the limit of file
/// sizes, fail with an error, whatever the host does with SIGPIPE and SIGXFSZ elsewhere: by default
/// they would end the host.
///
/// Call it in threads of your own only: it changes their signal mask.
pub fn hold_write_signals() {
    crate::sys::hold_write_signals();
}

/// Returns `true` if this process ignores a signal, by its own doing or because it was started so:
/// by `nohup`, or in the background of a shell without job control.
///
/// ```
/// use execution_engine_process::{Signal, is_ignored};
///
/// assert!(!is_ignored(Signal::Kill));
/// ```
pub fn is_ignored(signal: Signal) -> bool {
    crate::sys::is_ignored(signal.number())
}

/// Returns the name of a signal by its number on this platform: `SIGSEGV`, or `signal 40` for one
/// without a name.
///
/// ```
/// assert_eq!(execution_engine_process::signal_name(9), "SIGKILL");
/// ```
pub fn signal_name(number: i32) -> Cow<'static, str> {
    macro_rules! named {
        ($($name:ident),*) => { [$((libc::$name, stringify!($name))),*] };
    }
    const NAMES: [(i32, &str); 27] = named![
        SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGIO, SIGKILL,
        SIGPIPE, SIGPROF, SIGQUIT, SIGSEGV, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN,
        SIGTTOU, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ
    ];
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("signal {number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_the_same_by_its_name_and_by_its_number() {
        for signal in Signal::NAMED {
            let again = Signal::from_number(signal.number());
            assert!(!matches!(again, Signal::Other(_)), "{signal}");
            assert_eq!(again, signal);
            assert_eq!(Signal::Other(signal.number()), signal);
        }
        assert!(matches!(Signal::from_number(40), Signal::Other(40)));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn in_json_a_signal_is_a_name_or_a_number() {
        use serde::de::IntoDeserializer as _;
        use serde::de::value::{Error, I32Deserializer, StrDeserializer};

        let by_name = |name: &'static str| {
            let name: StrDeserializer<'_, Error> = name.into_deserializer();
            <Signal as serde::Deserialize>::deserialize(name)
        };
        let by_number = |number: i32| {
            let number: I32Deserializer<Error> = number.into_deserializer();
            <Signal as serde::Deserialize>::deserialize(number).unwrap()
        };
        assert!(matches!(by_name("cpu_limit"), Ok(Signal::CpuLimit)));
        assert!(matches!(by_number(15), Signal::Terminate));
        assert!(matches!(by_number(40), Signal::Other(40)));
        let error = by_name("other").unwrap_err().to_string();
        assert!(error.contains("`other`, expected one of `hangup`"), "{error}");
    }
}
