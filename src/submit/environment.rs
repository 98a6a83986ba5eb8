//! The environment a child will have.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

type Variables = Vec<(OsString, OsString)>;

/// This process's variables with those of the request over them.
pub(super) fn of_child(overrides: &HashMap<String, String>) -> Variables {
    let inherited = std::env::vars_os()
        .filter(|(name, _)| !name.to_str().is_some_and(|name| overrides.contains_key(name)));
    let own = overrides.iter().map(|(name, value)| (name.into(), value.into()));
    inherited.chain(own).collect()
}

pub(super) fn value<'a>(env: &'a Variables, name: &str) -> Option<&'a OsStr> {
    env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
}
