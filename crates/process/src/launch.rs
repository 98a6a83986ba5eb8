//! Description of a child before it is started.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::files::InputFile;
use crate::{Limits, PassedDescriptors, UserIds};

/// Description of a child to start.
///
/// `Debug` shows the names of the environment and none of its values.
#[derive(Clone)]
pub struct Launch {
    /// The file to execute. `PATH` is not searched; see
    /// [`SearchPath`](crate::command_line::SearchPath). A relative path starts at `working_dir`.
    pub program: PathBuf,
    /// The arguments; the first is the name that the program sees.
    pub args: Vec<OsString>,
    /// The whole environment of the child.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it starts in; `None` is that of the host.
    pub working_dir: Option<PathBuf>,
    /// Whether the path of that directory may have links in it.
    pub links: Links,
    /// What it reads.
    pub stdin: Stdin,
    /// Where it writes.
    pub output: OutputMode,
    /// What it may use.
    pub limits: Limits,
    /// What becomes of processes that it leaves behind.
    pub leftovers: Leftovers,
    /// The user it runs as; `None` is that of the host.
    pub user: Option<UserIds>,
    /// Descriptors of the host that it gets beside its standard streams.
    pub passed: PassedDescriptors,
    /// Whether it has the host's terminal.
    pub terminal: Terminal,
}

/// Environment variable by which the processes of a tree are found where there is no control group.
///
/// Its value is a list, so that a tree within a tree belongs to both. A host that is itself in a tree
/// passes its own value on to its programs, whatever else they inherit.
pub const TREE_VARIABLE: &str = "EXECUTION_ENGINE_TREE";

/// Fate of the processes that are alive when the main program has ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Leftovers {
    /// They are stopped.
    #[default]
    Stop,
    /// They live on, also when their host ends. A tree that had to be stopped leaves none.
    Leave,
}

/// Whether a child has the controlling terminal of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Terminal {
    /// It has none, and leads a process group of its own: Ctrl-C in the host's terminal does not reach
    /// it, and it cannot ask there for a password.
    #[default]
    None,
    /// It has the host's, and is in the host's session and process group, as if the host had replaced
    /// itself with it: it gets Ctrl-C and Ctrl-Z with its host, and it is in the foreground or not as
    /// its host is. Signals of a terminal that the host ignores (SIGHUP, SIGINT, SIGQUIT, SIGTSTP,
    /// SIGTTIN, SIGTTOU) stay ignored.
    ///
    /// A signal to the host's process group reaches the child, and one of the child to its own group
    /// reaches the host. Signals of a terminal that the host ignores are ignored by the child, too.
    ///
    /// But for ignored signals the same as [`None`](Self::None) for a host without a terminal, at
    /// [`Level::ProcessGroup`](crate::Level::ProcessGroup), where the group is what holds the tree,
    /// and on systems other than Linux.
    Shared,
}

/// What a link in the path of a directory or a file means.
///
/// A path that was looked at may lead elsewhere when it is used: a program that may write to one of its
/// directories can put a link there. With [`Refuse`](Self::Refuse) such a change is an error, and
/// what was opened is used by its descriptor, so it cannot be exchanged any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Links {
    /// It is followed.
    #[default]
    Follow,
    /// It is an error: no part of the path may be a symbolic link, or a link of `/proc` to an open
    /// file. On Linux before 5.6, and on other systems, the parts are opened one after the other;
    /// other systems than Linux need the right to list the directories of the path for that.
    Refuse,
}

/// Standard input of a child.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Stdin {
    /// Nothing: the null device.
    #[default]
    Null,
    /// A pipe whose other end is [`Spawned::stdin`](crate::Spawned::stdin).
    Piped,
    /// This file.
    File(InputFile),
    /// The standard input of the host.
    Inherit,
}

/// Standard output and standard error of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum OutputMode {
    /// A pipe for each stream.
    #[default]
    Separate,
    /// One pipe for both streams. The order of what was written is exact then, but the streams
    /// cannot be distinguished.
    Merged,
    /// A pipe for stdout alone; stderr is that of the host.
    InheritStderr,
    /// No pipe: both streams are those of the host.
    Inherit,
}

impl Launch {
    /// Describes a program without arguments and with an empty environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            args: vec![program.clone().into_os_string()],
            program,
            env: Vec::new(),
            working_dir: None,
            links: Links::default(),
            stdin: Stdin::default(),
            output: OutputMode::default(),
            limits: Limits::default(),
            leftovers: Leftovers::default(),
            user: None,
            passed: PassedDescriptors::new(),
            terminal: Terminal::default(),
        }
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Launch")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env (names)", &names)
            .field("working_dir", &self.working_dir)
            .field("links", &self.links)
            .field("stdin", &self.stdin)
            .field("output", &self.output)
            .field("limits", &self.limits)
            .field("leftovers", &self.leftovers)
            .field("user", &self.user)
            .field("passed", &self.passed)
            .field("terminal", &self.terminal)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_names_of_variables_and_no_value() {
        let mut launch = Launch::new("/bin/true");
        launch.env = vec![("TOKEN".into(), "secret".into())];
        let shown = format!("{launch:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("secret"), "{shown}");
    }
}
