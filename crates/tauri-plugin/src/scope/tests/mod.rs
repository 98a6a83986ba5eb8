//! Tests of the decision, against a file system in memory.

mod args;
mod bounds;
mod deny;
mod files;
mod plans;
mod programs;
mod properties;
mod real_files;
mod rules;
mod shebangs;
mod sidecars;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine::{ExecutionOptions, ExecutionRequest};
use serde_json::{Value, json};

use super::paths::FileSystem;
use super::sidecar::Sidecars;
use super::*;
use crate::request::LaunchRequest;

/// File system of names: existing paths, and links with their targets.
#[derive(Default)]
struct FakeFileSystem {
    existing: HashSet<PathBuf>,
    links: HashMap<PathBuf, PathBuf>,
    /// Hard links: other names of existing files.
    names: HashMap<PathBuf, PathBuf>,
    heads: HashMap<PathBuf, Vec<u8>>,
    /// Files of which the beginning was asked for.
    read: RefCell<Vec<PathBuf>>,
}

impl FakeFileSystem {
    fn with(paths: &[&str]) -> Self {
        let existing = paths.iter().flat_map(|path| Path::new(path).ancestors().map(PathBuf::from));
        Self { existing: existing.collect(), ..Self::default() }
    }

    fn hard_link(mut self, from: &str, to: &str) -> Self {
        self.existing.insert(from.into());
        self.names.insert(from.into(), to.into());
        self
    }

    fn script(self, path: &str, interpreter: &str) -> Self {
        self.file(path, format!("#!{interpreter}\n"))
    }

    fn file(mut self, path: &str, head: impl Into<Vec<u8>>) -> Self {
        self.existing.insert(path.into());
        self.heads.insert(path.into(), head.into());
        self
    }

    fn link(mut self, from: &str, to: &str) -> Self {
        self.links.insert(from.into(), to.into());
        self
    }
}

impl FileSystem for FakeFileSystem {
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let mut real = PathBuf::new();
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
                    real.pop();
                }
                part => real.push(part),
            }
            if let Some(to) = self.links.get(&real) {
                real = to.clone();
            }
        }
        self.existing.contains(&real).then_some(real)
    }

    fn has_entry(&self, path: &Path) -> bool {
        self.existing.contains(path) || self.links.contains_key(path)
    }

    type Identity = PathBuf;

    fn identity(&self, path: &Path) -> Option<PathBuf> {
        let real = self.canonical(path)?;
        Some(self.names.get(&real).cloned().unwrap_or(real))
    }

    fn search_path(&self) -> Vec<PathBuf> {
        vec!["/usr/bin".into(), "/opt/bin".into()]
    }

    fn head(&self, path: &Path) -> Option<Vec<u8>> {
        self.read.borrow_mut().push(path.to_path_buf());
        self.heads.get(&self.canonical(path)?).cloned()
    }
}

fn compiled(rule: Value) -> Arc<CompiledRule> {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    Arc::new(CompiledRule::new(rule, &sidecars(), |path| Ok(path.to_path_buf())).unwrap())
}

/// Sidecars of an app that declares two.
fn sidecars() -> Sidecars {
    let declared = ["binaries/ffmpeg", "tool.exe"].map(str::to_string).to_vec();
    Sidecars::new(Some(Path::new("/opt/app/bin/app")), declared)
}

fn allow(rules: &[Value]) -> ScopeRules {
    let allow = rules.iter().cloned().map(compiled).collect();
    ScopeRules { allow, ..ScopeRules::default() }
}

fn ask(rules: &ScopeRules, request: Value) -> Result<ExecutionRequest, Refusal> {
    ask_in(rules, request, &FakeFileSystem::default())
}

fn ask_in(
    rules: &ScopeRules,
    request: Value,
    files: &FakeFileSystem,
) -> Result<ExecutionRequest, Refusal> {
    ask_with(rules, request, ExecutionOptions::default(), files).map(|allowed| allowed.request)
}

fn ask_with(
    rules: &ScopeRules,
    request: Value,
    options: ExecutionOptions,
    files: &FakeFileSystem,
) -> Result<AllowedLaunch, Refusal> {
    let request: LaunchRequest = serde_json::from_value(request).unwrap();
    check(rules, LaunchCheck { request, options, input_variables: Vec::new() }, files)
}

fn exec(program: &str, args: &[&str]) -> Value {
    json!({ "command": { "type": "exec", "program": program, "args": args } })
}
