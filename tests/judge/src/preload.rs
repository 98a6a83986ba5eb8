//! Libraries in C that are loaded into the judged processes before all others.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A library of the judges.
#[derive(Debug, Clone, Copy)]
pub enum Library {
    /// Records what a process changes below a directory.
    Recorder,
    /// Makes writes, synchronizations and clocks go wrong on demand.
    Faults,
    /// Lets the keepers of a service have the libraries of the service.
    Keepers,
}

impl Library {
    fn name_and_source(self) -> (&'static str, &'static str) {
        match self {
            Self::Recorder => ("recorder", include_str!("../preload/recorder.c")),
            Self::Faults => ("faults", include_str!("../preload/faults.c")),
            Self::Keepers => ("keepers", include_str!("../preload/keepers.c")),
        }
    }

    /// Compiles the library into a directory and returns its path.
    pub fn build(self, dir: &Path) -> PathBuf {
        let (name, source) = self.name_and_source();
        let source_file = dir.join(format!("{name}.c"));
        let library = dir.join(format!("lib{name}.so"));
        std::fs::write(&source_file, source).unwrap();
        let mut compiler = command("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
        let status = compiler.arg(&library).arg(&source_file).status();
        assert!(status.expect("cc is installed").success(), "cc cannot compile {name}.c");
        library
    }
}

/// Loads libraries into a process.
pub fn preload(command: &mut Command, libraries: &[&Path]) {
    let paths: Vec<_> = libraries.iter().map(|library| library.as_os_str()).collect();
    command.env("LD_PRELOAD", paths.join(&OsString::from(":")));
}

/// Creates the command of a judged process, which is no execution of the engine.
#[expect(clippy::disallowed_methods, reason = "what is judged must not start itself")]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}
