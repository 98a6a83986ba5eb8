//! Puts the values of a matrix where a step names them: `${matrix.python}`. No shell ever reads them as
//! text: in a line for a shell they are environment variables.

use std::path::Path;

use super::fault::{Fault, did_you_mean, listed};
use super::matrix::{Combination, variable};
use super::node::{Node, Value};

const BEGIN: &str = "${matrix.";

/// Programs whose argument after `-c` and the like is a line that they run.
const SHELLS: [&str; 13] = [
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "mksh",
    "ash",
    "fish",
    "csh",
    "tcsh",
    "pwsh",
    "powershell",
    "cmd",
];

/// Bytes that substitution may still write: a short text may become long in each of many steps.
pub(super) struct Room(pub(super) usize);

impl Room {
    /// Takes some of it. Returns `false` if there is not enough.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

pub(super) const NO_ROOM: &str =
    "the steps of the matrix take more than 64 MiB; use fewer values, or shorter texts";

/// Replaces everything in a step. Without a combination there must be nothing to replace.
///
/// # Errors
/// Each place that names no axis, or that a shell would read.
pub(super) fn fill(
    step: &mut Node,
    combination: Option<&Combination>,
    room: &mut Room,
) -> Result<(), Vec<Fault>> {
    let mut filler = Filler { combination, room, faults: Vec::new(), field: String::new() };
    let Value::Table(entries) = &mut step.value else { return Ok(()) };
    for entry in entries {
        filler.field.clone_from(&entry.key);
        match &*entry.key {
            "command" => filler.command(&mut entry.node),
            _ => filler.all(&mut entry.node),
        }
    }
    if filler.faults.is_empty() { Ok(()) } else { Err(filler.faults) }
}

/// Returns `true` if a text names an axis.
pub(super) fn names_axis(text: &str) -> bool {
    text.contains(BEGIN)
}

struct Filler<'a> {
    combination: Option<&'a Combination>,
    room: &'a mut Room,
    faults: Vec<Fault>,
    field: String,
}

impl Filler<'_> {
    fn fault(&mut self, at: usize, text: String) {
        let field = self.field.clone();
        self.faults.push(Fault { at, step: None, field, text });
    }

    fn command(&mut self, command: &mut Node) {
        match &mut command.value {
            Value::Text(_) => self.line(command),
            Value::List(words) => self.words(words),
            Value::Table(_) => {
                let is_shell = command.get("type").and_then(Node::as_text) == Some("shell");
                let program = command.get("program").and_then(Node::as_text).map(str::to_string);
                let Value::Table(entries) = &mut command.value else { return };
                for entry in entries {
                    match (&*entry.key, &mut entry.node.value) {
                        ("command", _) if is_shell => self.line(&entry.node),
                        ("args", Value::List(args)) => self.arguments(program.as_deref(), args),
                        _ => self.all(&mut entry.node),
                    }
                }
            }
            _ => {}
        }
    }

    fn words(&mut self, words: &mut [Node]) {
        let Some((program, args)) = words.split_first_mut() else { return };
        let name = program.as_text().map(str::to_string);
        self.all(program);
        self.arguments(name.as_deref(), args);
    }

    fn arguments(&mut self, program: Option<&str>, args: &mut [Node]) {
        let is_shell = program.is_some_and(is_shell);
        let mut is_line = false;
        for arg in args {
            if is_line {
                self.line(arg);
            } else {
                self.all(arg);
            }
            is_line = is_shell && arg.as_text().is_some_and(is_line_flag);
        }
    }

    /// Refuses what a shell would run.
    fn line(&mut self, line: &Node) {
        let Some(text) = line.as_text() else { return };
        let Some((_, rest)) = text.split_once(BEGIN) else { return };
        let axis = rest.split('}').next().unwrap_or_default();
        let text = match self.combination.map(|it| it.value(axis)) {
            None => no_matrix(axis),
            Some(None) => self.no_axis(axis),
            Some(Some(_)) => format!(
                "a shell would run what stands for ${{matrix.{axis}}}; use \"${}\", the variable with \
                 the same value",
                variable(axis)
            ),
        };
        self.fault(line.at, text);
    }

    fn all(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Text(text) if names_axis(text) => match self.replaced(text) {
                Ok(new) => *text = new,
                Err(fault) => self.fault(node.at, fault),
            },
            Value::List(items) => items.iter_mut().for_each(|item| self.all(item)),
            Value::Table(entries) => {
                for entry in entries {
                    if names_axis(&entry.key) {
                        let text = "the name of a field has no ${matrix..}; use it in the value";
                        self.fault(entry.at, text.to_string());
                    }
                    self.all(&mut entry.node);
                }
            }
            _ => {}
        }
    }

    fn replaced(&mut self, text: &str) -> Result<String, String> {
        let mut new = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(BEGIN) {
            let Some((axis, after)) = after.split_once('}') else {
                return Err("${matrix. has no end; write ${matrix.AXIS}".to_string());
            };
            let Some(combination) = self.combination else { return Err(no_matrix(axis)) };
            let value = combination.value(axis).ok_or_else(|| self.no_axis(axis))?;
            if !self.room.take(before.len() + value.len()) {
                return Err(NO_ROOM.to_string());
            }
            new.push_str(before);
            new.push_str(value);
            rest = after;
        }
        new.push_str(rest);
        Ok(new)
    }

    fn no_axis(&self, axis: &str) -> String {
        let axes = self.combination.iter().flat_map(|it| it.0.iter().map(|(name, _)| &**name));
        let fix = did_you_mean(axis, axes.clone())
            .unwrap_or_else(|| format!("the axes are {}", listed(axes)));
        format!("the matrix has no axis `{axis}`; {fix}")
    }
}

fn no_matrix(axis: &str) -> String {
    format!("${{matrix.{axis}}} stands for nothing here: the step has no `matrix`; add one")
}

fn is_shell(program: &str) -> bool {
    let name = Path::new(program).file_stem().unwrap_or_default().to_string_lossy();
    SHELLS.contains(&&*name.to_ascii_lowercase())
}

/// Returns `true` for `-c`, also among other flags (`-ec`), and for what PowerShell and cmd have.
fn is_line_flag(arg: &str) -> bool {
    let lower = arg.to_ascii_lowercase();
    let is_short = |flags: &str| !flags.starts_with('-') && flags.ends_with('c');
    lower.strip_prefix('-').is_some_and(is_short) || ["-command", "/c", "/k"].contains(&&*lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_that_a_shell_runs_is_known() {
        for (program, flag) in [("sh", "-c"), ("/bin/bash", "-ec"), ("pwsh", "-Command")] {
            assert!(is_shell(program) && is_line_flag(flag), "{program} {flag}");
        }
        assert!(!is_shell("shellcheck") && !is_line_flag("--cc") && !is_line_flag("-x"));
    }
}
