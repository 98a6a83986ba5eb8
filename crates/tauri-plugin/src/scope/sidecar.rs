//! Finds sidecars, the programs that are bundled with an app, where Tauri puts them: beside the
//! executable of the app, without the directory and the target triple that they have in the source.
//! `tauri-build` copies them there in development, and the bundler in a bundle.

use std::path::{Path, PathBuf};

use tauri::utils::platform;
use tauri::{AppHandle, Runtime};

use super::paths::FileSystem;
use super::refusal::Refusal;

/// What is known of the sidecars of an app.
#[derive(Debug, Default)]
pub(crate) struct Sidecars {
    /// The directory that they are in. None if the app does not know its own executable.
    dir: Option<PathBuf>,
    /// The entries of `bundle.externalBin`.
    declared: Vec<String>,
}

impl Sidecars {
    pub(super) fn of_app<R: Runtime>(app: &AppHandle<R>) -> Self {
        let executable = platform::current_exe().ok();
        let declared = app.config().bundle.external_bin.clone().unwrap_or_default();
        Self::new(executable.as_deref(), declared)
    }

    pub(super) fn new(executable: Option<&Path>, declared: Vec<String>) -> Self {
        let dir = executable.and_then(Path::parent);
        // The executable of a test is one directory below that of the app.
        let dir = dir.map(|dir| match dir.parent() {
            Some(parent) if dir.ends_with("deps") => parent,
            _ => dir,
        });
        Self { dir: dir.map(Path::to_path_buf), declared }
    }
}

/// Sidecar that a rule names.
#[derive(Debug)]
pub(super) struct Sidecar {
    /// As in the rule and in `bundle.externalBin`.
    pub(super) name: String,
    /// The file, if the app's directory is known.
    file: Option<PathBuf>,
    is_declared: bool,
}

impl Sidecar {
    /// Finds the sidecar of a validated rule.
    pub(super) fn new(name: &str, sidecars: &Sidecars) -> Self {
        let written = without_exe(name);
        let file = |dir: &PathBuf| {
            let mut file_name = Path::new(written).file_name()?.to_os_string();
            if cfg!(windows) {
                file_name.push(".exe");
            }
            Some(dir.join(file_name))
        };
        Self {
            name: name.to_string(),
            file: sidecars.dir.as_ref().and_then(file),
            is_declared: sidecars.declared.iter().any(|entry| without_exe(entry) == written),
        }
    }

    /// Returns the file, if the app's directory is known.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns `true` if this program is the sidecar.
    pub(super) fn is(&self, program: &str) -> bool {
        self.file.as_deref() == Some(Path::new(program))
    }

    /// Returns an error if the bundler does not know of the sidecar.
    pub(super) fn check_declared(&self, rule: &str) -> Result<(), Refusal> {
        if self.is_declared {
            return Ok(());
        }
        Err(Refusal::SidecarUndeclared { rule: rule.to_string(), sidecar: self.name.clone() })
    }

    /// Returns the program to run, if it is there and the bundler knows of it.
    pub(super) fn program(&self, rule: &str, files: &impl FileSystem) -> Result<String, Refusal> {
        self.check_declared(rule)?;
        let file = self.file.as_ref().filter(|file| files.canonical(file).is_some());
        match file.and_then(|file| file.to_str()) {
            Some(program) => Ok(program.to_string()),
            None => Err(Refusal::SidecarMissing {
                rule: rule.to_string(),
                file: self.file.as_ref().map_or_else(
                    || "the directory of the app's executable".to_string(),
                    |file| file.display().to_string(),
                ),
                source_file: source_file(without_exe(&self.name)),
            }),
        }
    }
}

/// Returns the name of the file that the bundler takes, relative to the directory `src-tauri`.
fn source_file(name: &str) -> String {
    let triple = platform::target_triple().unwrap_or_else(|_| "TARGET-TRIPLE".to_string());
    let extension = if cfg!(windows) { ".exe" } else { "" };
    format!("{name}-{triple}{extension}")
}

/// The bundler adds `.exe` itself, so names with and without it mean the same.
fn without_exe(name: &str) -> &str {
    name.strip_suffix(".exe").unwrap_or(name)
}
