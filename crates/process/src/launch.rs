//! Description of a child before it is started.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::Limits;
use crate::files::InputFile;

/// Description of a child to start.
///
/// `Debug` shows the names of the environment and none of its values.
#[derive(Clone)]
pub struct Launch {
    /// The file to execute. `PATH` is not searched; see
    /// [`SearchPath`](crate::command_line::SearchPath).
    pub program: PathBuf,
    /// The arguments; the first is the name that the program sees.
    pub args: Vec<OsString>,
    /// The whole environment of the child.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it starts in; `None` is that of the host.
    pub working_dir: Option<PathBuf>,
    /// What it reads.
    pub stdin: Stdin,
    /// Where it writes.
    pub output: OutputMode,
    /// What it may use.
    pub limits: Limits,
    /// What becomes of processes that it leaves behind.
    pub leftovers: Leftovers,
}

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
            stdin: Stdin::default(),
            output: OutputMode::default(),
            limits: Limits::default(),
            leftovers: Leftovers::default(),
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
            .field("stdin", &self.stdin)
            .field("output", &self.output)
            .field("limits", &self.limits)
            .field("leftovers", &self.leftovers)
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
