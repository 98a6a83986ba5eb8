//! Check of the capability files of an app, for its build script.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tauri_utils::acl::capability::{Capability, CapabilityFile, PermissionEntry};

use crate::{ExecutionsRule, InvalidRule, Rule};

/// Prefix of the permissions of the plugin.
const PLUGIN: &str = "execution-engine";
/// Permissions whose scope says what may be run. All others read or control.
const LAUNCHING: &[&str] = &["launch", "allow-execute", "allow-run", "allow-execute-plan", "scope"];

/// Invalid entry of a capability file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidEntry {
    /// The file.
    pub file: PathBuf,
    /// The permission, for instance `execution-engine:launch`.
    pub permission: String,
    /// Position of the entry, for instance `allow[0]`.
    pub entry: String,
    /// What is wrong with it.
    pub error: InvalidRule,
}

/// `capabilities/main.json: execution-engine:launch: allow[0]: rule ..`
impl fmt::Display for InvalidEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, permission, entry, error } = self;
        write!(f, "{}: {permission}: {entry}: {error}", file.display())
    }
}

/// Checks the capability files in a directory, and those in `tauri.conf.json` beside it. For build
/// scripts: an invalid entry fails the build and is reported with its file, its name and its field.
///
/// The directory is relative to that of the package; `"capabilities"` is Tauri's default. Cargo runs
/// the build script again when a file changes.
///
/// ```no_run
/// tauri_plugin_execution_engine_rules::check_capabilities("capabilities");
/// ```
pub fn check_capabilities(dir: impl AsRef<Path>) {
    let dir = dir.as_ref();
    // Cargo takes a file that does not exist for one that has always just changed.
    for path in [dir.to_path_buf(), config_beside(dir)].iter().filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let invalid = invalid_entries(dir);
    for entry in &invalid {
        // One line: cargo takes the next for an instruction of its own.
        println!("cargo::error={}", entry.to_string().replace('\n', " "));
    }
    if !invalid.is_empty() {
        std::process::exit(1);
    }
}

/// Returns the invalid entries that [`check_capabilities`] reports.
///
/// A file that is no capability file is passed over: Tauri reports it itself.
pub fn invalid_entries(dir: impl AsRef<Path>) -> Vec<InvalidEntry> {
    let dir = dir.as_ref();
    let mut files = Vec::new();
    collect_files(dir, &mut files);
    files.sort();
    let mut invalid = Vec::new();
    for file in files {
        let capabilities = match CapabilityFile::load(&file) {
            Ok(CapabilityFile::Capability(one)) => vec![one],
            Ok(CapabilityFile::List(list) | CapabilityFile::NamedList { capabilities: list }) => {
                list
            }
            Err(_) => continue,
        };
        capabilities.iter().for_each(|capability| check(capability, &file, &mut invalid));
    }
    let config = config_beside(dir);
    for capability in inline_capabilities(&config) {
        check(&capability, &config, &mut invalid);
    }
    invalid
}

fn config_beside(dir: &Path) -> PathBuf {
    dir.with_file_name("tauri.conf.json")
}

/// Collects the files at any depth that Tauri takes for capability files.
fn collect_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "schemas") {
                collect_files(&path, files);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json" || extension == "toml")
        {
            files.push(path);
        }
    }
}

/// Returns the capabilities that are written in the configuration itself.
fn inline_capabilities(config: &Path) -> Vec<Capability> {
    let text = fs::read_to_string(config).unwrap_or_default();
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let listed = config.pointer("/app/security/capabilities").and_then(Value::as_array).cloned();
    listed
        .into_iter()
        .flatten()
        .filter(Value::is_object)
        .filter_map(|capability| serde_json::from_value(capability).ok())
        .collect()
}

fn check(capability: &Capability, file: &Path, invalid: &mut Vec<InvalidEntry>) {
    for permission in &capability.permissions {
        let PermissionEntry::ExtendedPermission { identifier, scope } = permission else {
            continue;
        };
        if identifier.get_prefix() != Some(PLUGIN) {
            continue;
        }
        let launches = LAUNCHING.contains(&identifier.get_base());
        for (list, entries) in [("allow", &scope.allow), ("deny", &scope.deny)] {
            for (index, entry) in entries.iter().flatten().enumerate() {
                let entry = Value::from(entry.clone());
                let checked = match launches {
                    true => Rule::read(entry).map(|_| ()),
                    false => ExecutionsRule::read(entry).map(|_| ()),
                };
                if let Err(error) = checked {
                    invalid.push(InvalidEntry {
                        file: file.to_path_buf(),
                        permission: identifier.get().to_string(),
                        entry: format!("{list}[{index}]"),
                        error,
                    });
                }
            }
        }
    }
}
