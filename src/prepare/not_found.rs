//! What an error says of a program that was not found: where it was looked for, and what to do.

use std::path::{Path, PathBuf};

use super::paths::absolute;
use super::program::ProgramLookup;
use crate::error::unexpanded;

/// Returns the end of the message `program "x" was not found ..`.
pub(super) fn not_found_hint(lookup: &ProgramLookup<'_>, field: &str, name: &str) -> String {
    let (place, fix) = if name.contains('/') {
        (tried_path(lookup, name), "check it")
    } else {
        (searched_path(lookup), "install it, give its full path, or set PATH in env")
    };
    let mistakes: Vec<String> =
        [mistake(lookup, field, name), unexpanded(name).map(str::to_string)]
            .into_iter()
            .flatten()
            .collect();
    let fix = if mistakes.is_empty() { fix.to_string() } else { mistakes.join("; ") };
    format!("{place}; {fix}")
}

fn tried_path(lookup: &ProgramLookup<'_>, name: &str) -> String {
    let path = lookup.search.base.map_or_else(|| PathBuf::from(name), |base| base.join(name));
    let path = absolute(path);
    if path == Path::new(name) {
        return "at that path".to_string();
    }
    format!("at the path {path:?} (a relative path starts at working_dir)")
}

fn searched_path(lookup: &ProgramLookup<'_>) -> String {
    const SHOWN: usize = 4;
    let Some(path) = lookup.search.path else {
        return "in the default path (the child has no PATH)".to_string();
    };
    let dirs: Vec<PathBuf> = std::env::split_paths(path).collect();
    if lookup.sets_path {
        return format!("in the PATH of the child ({} directories, set by its env)", dirs.len());
    }
    let shown: Vec<String> = dirs.iter().take(SHOWN).map(|dir| dir.display().to_string()).collect();
    let more = match dirs.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("in the PATH of the child ({}{more})", shown.join(", "))
}

/// Returns what was probably meant, if the name is no name of a program.
fn mistake(lookup: &ProgramLookup<'_>, field: &str, name: &str) -> Option<String> {
    const LINE: &str = "use a line for a shell (ExecutionRequest::shell)";
    let mut words = name.split_whitespace();
    let first = words.next()?;
    let has_more = words.next().is_some();
    if field != "program" {
        return has_more.then(|| format!("{field} is the name of one program, without arguments"));
    }
    if name.contains(['|', '<', '>', ';', '&', '`']) {
        return Some(format!("if it is a line for a shell, {LINE}"));
    }
    if let Some(instead) = instead_of_builtin(first) {
        return Some(format!("`{first}` is a command of shells and no program: {LINE}{instead}"));
    }
    if !has_more {
        return None;
    }
    Some(match lookup.search.find(first.as_ref()) {
        Ok(_) => format!(
            "there is a program {first:?}: give it its arguments separately (args), or {LINE}"
        ),
        Err(_) => format!("blanks belong to the name: give arguments separately (args), or {LINE}"),
    })
}

/// Returns what a request has instead of a command of shells, empty if it has nothing; None if it is
/// no such command.
fn instead_of_builtin(name: &str) -> Option<&'static str> {
    const OTHERS: &[&str] = &[
        ".", "alias", "bg", "bind", "break", "builtin", "command", "continue", "declare", "dirs",
        "disown", "eval", "exec", "exit", "fg", "getopts", "hash", "history", "jobs", "let",
        "local", "logout", "popd", "pushd", "read", "readonly", "return", "shift", "shopt",
        "source", "times", "trap", "type", "typeset", "unalias", "wait",
    ];
    match name {
        "cd" => Some(", or set working_dir"),
        "export" | "set" => Some(", or set variables in env"),
        "unset" => Some(", or remove variables in the options (env_remove)"),
        "ulimit" | "umask" => Some(", or set the limits of the options"),
        name => OTHERS.contains(&name).then_some(""),
    }
}
