//! `exeng plan`: plans of the service, from files.

mod bad;
mod kills;
mod verbs;

use std::fs;

use serde_json::Value;

use crate::support::{Done, Host, until};

/// Writes a plan, and returns the path.
fn write(host: &Host, name: &str, text: &str) -> String {
    let path = host.file(name);
    fs::write(&path, text).unwrap();
    path
}

/// Returns what `plan show --json` says.
fn show(host: &Host, id: &str) -> Value {
    serde_json::from_str(&host.ok(&["plan", "show", "--json", id])).unwrap()
}

/// Returns the status of each step.
fn statuses(plan: &Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

/// Submits a plan without waiting for it, and returns its id.
fn detach(host: &Host, path: &str) -> String {
    host.ok(&["plan", "run", "--detach", path])
}

/// Returns the lines of a file, sorted.
fn lines(host: &Host, name: &str) -> Vec<String> {
    let text = fs::read_to_string(host.file(name)).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// Returns the messages of a verb without their beginning.
fn messages(done: &Done) -> Vec<&str> {
    done.err.lines().map(|line| line.strip_prefix("exeng: ").unwrap_or(line)).collect()
}
