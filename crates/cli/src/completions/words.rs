//! Words of command lines: programs, files, and verbs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use clap::CommandFactory as _;
use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter};
use rustix::fs::{Access, access};

use crate::cli::Cli;

/// A program and its arguments: programs of `PATH` first, and files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandLine;

impl ValueCompleter for CommandLine {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        self.complete_at(0, current)
    }

    fn complete_at(&self, place: usize, current: &OsStr) -> Vec<CompletionCandidate> {
        let mut offered = PathCompleter::any().complete(current);
        // The first word and the second have this place.
        if place == 0 && !current.as_bytes().contains(&b'/') {
            offered.splice(..0, programs(current));
        }
        offered
    }
}

/// Returns the programs of `PATH` whose names begin with a text.
fn programs(current: &OsStr) -> Vec<CompletionCandidate> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let files = std::env::split_paths(&path).filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let fits = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let path = entry.path();
        name.as_bytes().starts_with(current.as_bytes())
            && access(&path, Access::EXEC_OK).is_ok()
            && !path.is_dir()
    };
    let names = files.flatten().filter(fits).map(|entry| entry.file_name());
    let names: BTreeSet<_> = names.collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Offers verbs, and the verbs below them.
pub(crate) fn verbs() -> Vec<CompletionCandidate> {
    let exeng = Cli::command();
    let verbs: Vec<_> = exeng.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    let below = verbs.iter().flat_map(|verb| verb.get_subcommands());
    let mut named = BTreeMap::new();
    for verb in verbs.iter().copied().chain(below) {
        named.entry(verb.get_name()).or_insert(verb);
    }
    let candidate = |verb: &clap::Command| {
        CompletionCandidate::new(verb.get_name()).help(verb.get_about().cloned())
    };
    named.into_values().map(candidate).collect()
}
