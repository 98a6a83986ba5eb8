//! Variables with their values, which may be secrets.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ffi::{OsStr, OsString};
use std::fmt;

use execution_engine_process::command_line::same_env_key;

use super::{OsText, shown_name};

/// Environment variables by their names. The `Debug` output shows the names and none of the values.
///
/// ```
/// use execution_engine::*;
///
/// let mut env = EnvVars::default();
/// env.insert("TOKEN", "hunter2");
/// assert_eq!(env.get("TOKEN").unwrap(), "hunter2");
/// assert_eq!(format!("{env:?}"), r#"EnvVars(["TOKEN"])"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvVars(BTreeMap<OsText, OsText>);

impl EnvVars {
    /// Returns the variables of this process.
    pub fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Returns the value of a variable. On Windows upper and lower case are the same.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        let is = |key: &OsText| same_env_key(key.as_ref(), name);
        self.0.iter().find(|(key, _)| is(key)).map(|(_, value)| value.as_os_str())
    }

    /// Adds or replaces a variable.
    pub fn insert(&mut self, name: impl Into<OsText>, value: impl Into<OsText>) {
        let name = name.into();
        self.remove(name.as_os_str());
        self.0.insert(name, value.into());
    }

    /// Removes a variable.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) {
        let name = name.as_ref();
        self.0.retain(|key, _| !same_env_key(key.as_ref(), name));
    }

    /// Returns all variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl fmt::Debug for EnvVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.keys().map(|name| shown_name(&name.to_string()).to_string());
        f.debug_tuple("EnvVars").field(&names.collect::<Vec<_>>()).finish()
    }
}

impl FromIterator<(OsString, OsString)> for EnvVars {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl IntoIterator for EnvVars {
    type Item = (OsText, OsText);
    type IntoIter = btree_map::IntoIter<OsText, OsText>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
