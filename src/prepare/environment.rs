//! The environment a child will have.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

type Variables = Vec<(OsString, OsString)>;

/// This process's variables with those of the request over them.
pub(super) fn of_child(overrides: &HashMap<String, String>) -> Variables {
    let inherited = std::env::vars_os();
    let mut all = Vec::with_capacity(inherited.size_hint().0 + overrides.len());
    let is_overridden =
        |name: &OsStr| name.to_str().is_some_and(|name| overrides.contains_key(name));
    all.extend(inherited.filter(|(name, _)| !is_overridden(name)));
    all.extend(overrides.iter().map(|(name, value)| (name.into(), value.into())));
    all
}

pub(super) fn value<'a>(env: &'a Variables, name: &str) -> Option<&'a OsStr> {
    env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
}
