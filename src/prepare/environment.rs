//! Environment of a child.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use execution_engine_process::command_line::same_env_key;
use execution_engine_process::{TREE_VARIABLE, files};

use super::paths;
use crate::types::{EnvOptions, EnvVars, InheritEnv, OsText};

type Variables = Vec<(OsString, OsString)>;

/// Variable with the path of the working directory. Shells and others believe it.
const PWD: &str = "PWD";

/// Returns the variables that the child inherits, of this process or of the engine's own environment,
/// overridden by those of the request and of its options. Unless these have a `PWD` of their own, it
/// is the directory in which the child starts; None is that of this process.
pub(super) fn child_env(
    base: Option<&EnvVars>,
    request: &HashMap<String, String>,
    options: &EnvOptions,
    working_dir: Option<&Path>,
) -> Variables {
    let is_set = |name: &OsStr| options.set.keys().any(|key| same_env_key(key.as_ref(), name));
    let is_overridden = |name: &OsStr| is_set_by(request, options, name);
    let is_removed = |name: &OsStr| has(&options.remove, name);
    // An engine that runs this process finds the whole tree by it.
    let is_kept = |name: &OsStr| {
        name == TREE_VARIABLE || inherits(&options.inherit, name) && !is_removed(name)
    };
    let is_inherited = |(name, _): &(OsString, OsString)| !is_overridden(name) && is_kept(name);
    let more = request.len() + options.set.len() + 1;
    let mut all = match base {
        None => with_room(std::env::vars_os(), more, is_inherited),
        Some(base) => with_room(of_base(base), more, is_inherited),
    };
    if !is_overridden(PWD.as_ref()) && is_kept(PWD.as_ref()) {
        let own = all.iter().position(|(name, _)| name == PWD).map(|at| all.swap_remove(at).1);
        let path = match working_dir {
            Some(dir) => paths::without_dots(dir),
            None => own_dir(own.map(PathBuf::from)),
        };
        all.extend(path.map(|path| (PWD.into(), path.into_os_string())));
    }
    let own = request.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    all.extend(own.filter(|(name, _)| !is_set(name) && !is_removed(name)));
    let set = options.set.clone().into_iter();
    all.extend(set.map(|(name, value)| (name.into_os_string(), value.into_os_string())));
    all
}

/// Collects the variables to be kept, with room for some more.
fn with_room(
    variables: impl Iterator<Item = (OsString, OsString)>,
    more: usize,
    is_kept: impl Fn(&(OsString, OsString)) -> bool,
) -> Variables {
    let mut all = Vec::with_capacity(variables.size_hint().0 + more);
    all.extend(variables.filter(is_kept));
    all
}

/// Returns the variables of an engine's own environment. It says nothing of the tree that this
/// process is in.
fn of_base(base: &EnvVars) -> impl Iterator<Item = (OsString, OsString)> {
    let pairs = base.iter().filter(|(name, _)| *name != TREE_VARIABLE);
    let pairs = pairs.map(|(name, value)| (name.to_os_string(), value.to_os_string()));
    let tree = std::env::var_os(TREE_VARIABLE).map(|value| (TREE_VARIABLE.into(), value));
    pairs.chain(tree)
}

/// Returns `true` if the request or its options have a value for a variable.
pub(super) fn is_set_by(
    request: &HashMap<String, String>,
    options: &EnvOptions,
    name: &OsStr,
) -> bool {
    request.keys().any(|key| same_env_key(key.as_ref(), name))
        || options.set.keys().any(|key| same_env_key(key.as_ref(), name))
}

fn inherits(inherit: &InheritEnv, name: &OsStr) -> bool {
    match inherit {
        InheritEnv::All => true,
        InheritEnv::Only { names } => has(names, name),
        InheritEnv::Nothing {} => false,
    }
}

fn has(names: &[OsText], name: &OsStr) -> bool {
    names.iter().any(|listed| same_env_key(listed.as_ref(), name))
}

/// Returns the path of this process's directory: as its own `PWD` names it, if it does, and else
/// without symbolic links. None if it has no path.
fn own_dir(named: Option<PathBuf>) -> Option<PathBuf> {
    let current = std::env::current_dir().ok().filter(|dir| dir.is_absolute());
    let named = named.filter(|named| named.is_absolute() && Some(named) != current.as_ref());
    match named {
        Some(named) if files::same_file(&named, Path::new(".")) => paths::without_dots(&named),
        _ => current,
    }
}

/// Returns the value of a variable of the child.
pub(super) fn value<'a>(env: &'a Variables, name: &str) -> Option<&'a OsStr> {
    env.iter().find(|(key, _)| same_env_key(key, name.as_ref())).map(|(_, value)| value.as_os_str())
}
