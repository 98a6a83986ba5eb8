//! Environment of a child.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use execution_engine_process::command_line::same_env_key;

type Variables = Vec<(OsString, OsString)>;

/// Returns the variables of this process, overridden by those of the request.
pub(super) fn child_env(overrides: &HashMap<String, String>) -> Variables {
    let inherited = std::env::vars_os();
    let mut all = Vec::with_capacity(inherited.size_hint().0 + overrides.len());
    let is_overridden = |name: &OsStr| overrides.keys().any(|key| same_env_key(key.as_ref(), name));
    all.extend(inherited.filter(|(name, _)| !is_overridden(name)));
    all.extend(overrides.iter().map(|(name, value)| (name.into(), value.into())));
    all
}

/// Returns the value of a variable of the child.
pub(super) fn value<'a>(env: &'a Variables, name: &str) -> Option<&'a OsStr> {
    env.iter().find(|(key, _)| same_env_key(key, name.as_ref())).map(|(_, value)| value.as_os_str())
}
