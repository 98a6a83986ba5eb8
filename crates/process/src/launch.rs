use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::Limits;
use crate::files::InputFile;

/// What to start.
///
/// `Debug` shows the names of the environment and none of its values.
#[derive(Clone)]
pub struct Launch {
    /// The file to execute, as it stands; PATH is not searched.
    pub program: PathBuf,
    /// The arguments; the first is the name the program sees.
    pub args: Vec<OsString>,
    /// The whole environment of the child.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it starts in; None is that of the host.
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

/// What becomes of processes that are alive when the main program has ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Leftovers {
    /// They are stopped.
    #[default]
    Stop,
    /// They live on, also when their host ends. A tree that had to be stopped leaves none.
    Leave,
}

/// Where a child reads from.
#[derive(Debug, Clone, Default)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// A pipe whose other end is [`Spawned::stdin`](crate::Spawned::stdin).
    Piped,
    /// This file.
    File(InputFile),
}

/// Where a child writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum OutputMode {
    /// A pipe for each stream.
    #[default]
    Separate,
    /// One pipe for both, so that their order is exact and they cannot be told apart.
    Merged,
}

impl Launch {
    /// A program without arguments, with an empty environment.
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
