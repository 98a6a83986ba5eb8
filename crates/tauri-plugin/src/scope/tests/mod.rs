//! Tests of the decision, against a file system in memory.

mod args;
mod files;
mod plans;
mod programs;
mod properties;
mod rules;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine::{ExecutionOptions, ExecutionRequest};
use serde_json::{Value, json};

use super::paths::FileSystem;
use super::*;
use crate::request::LaunchRequest;

/// File system of names: existing paths, and links with their targets.
#[derive(Default)]
struct FakeFileSystem {
    existing: HashSet<PathBuf>,
    links: HashMap<PathBuf, PathBuf>,
}

impl FakeFileSystem {
    fn with(paths: &[&str]) -> Self {
        let existing = paths.iter().flat_map(|path| Path::new(path).ancestors().map(PathBuf::from));
        Self { existing: existing.collect(), links: HashMap::new() }
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
}

fn compiled(rule: Value) -> Arc<CompiledRule> {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    Arc::new(CompiledRule::new(rule, |path| Ok(path.to_path_buf())).unwrap())
}

fn invalid(rule: Value) -> String {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    CompiledRule::new(rule, |path| Ok(path.to_path_buf())).unwrap_err().to_string()
}

fn allow(rules: &[Value]) -> ScopeRules {
    ScopeRules { allow: rules.iter().cloned().map(compiled).collect(), deny: Vec::new() }
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
