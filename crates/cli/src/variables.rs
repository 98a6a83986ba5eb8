//! Options that set variables, and those of this process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use execution_engine::OsText;

use crate::env_file::{self, Variable};
use crate::message;
use crate::request::{UsageError, WHERE};

/// Variables for a program.
#[derive(Debug, Default, Args)]
pub(crate) struct VariableOptions {
    /// Set a variable, or copy one from here (NAME); may be repeated. Values on a command line can
    /// be read by other processes
    #[arg(long, short, value_name = "NAME[=VALUE]", help_heading = WHERE)]
    env: Vec<OsString>,
    /// Set the variables of a file, a line for each: NAME=VALUE, or NAME to copy it from here
    #[arg(long = "env-file", value_name = "FILE", help_heading = WHERE)]
    env_files: Vec<PathBuf>,
}

impl VariableOptions {
    /// Returns the variables to set. A later one replaces an earlier one of the same name. What is to be copied and
    /// is not here is left out.
    ///
    /// # Errors
    /// Names the option that is wrong, and the fix.
    pub(crate) fn read(&self) -> Result<BTreeMap<OsText, OsText>, UsageError> {
        let mut variables = Vec::new();
        for path in &self.env_files {
            let read = env_file::read(path);
            variables
                .extend(read.map_err(|fault| UsageError::new(format!("--env-file: {fault}")))?);
        }
        for word in &self.env {
            let variable = Variable::parse(word);
            let fault = || UsageError::new("--env has no name; write NAME=VALUE or NAME");
            variables.push(variable.ok_or_else(fault)?);
        }
        let value_of = |Variable { name, value }| {
            let value = value.or_else(|| std::env::var_os(&name))?;
            Some((name.into(), value.into()))
        };
        Ok(variables.into_iter().filter_map(value_of).collect())
    }
}

/// Returns the variables of this process.
pub(crate) fn environment() -> BTreeMap<OsText, OsText> {
    std::env::vars_os().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Leaves out the variables whose names cannot be written to JSON, and says so.
pub(crate) fn keep_text_names(variables: &mut BTreeMap<OsText, OsText>) {
    variables.retain(|name, _| {
        let is_text = name.as_os_str().to_str().is_some();
        if !is_text {
            message::print(format!("the variable {name} is left out: its name is not UTF-8"));
        }
        is_text
    });
}
