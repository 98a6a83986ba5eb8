//! What is submitted when an execution is to run again. Pure.

use std::collections::BTreeMap;

use execution_engine::{OsText, Uuid};
use execution_engine_store::StoredExecution;

use crate::error::{ErrorCode, ServiceError};
use crate::view::{NewExecution, Rerun};

/// Returns the request of an execution, with the values of its variables, which are not kept.
///
/// What it followed has happened, and input that was given as bytes is erased, so neither is repeated.
///
/// # Errors
/// [`ErrorCode::MissingEnv`] names the variables without a value.
pub(crate) fn again(stored: StoredExecution, rerun: Rerun) -> Result<NewExecution, ServiceError> {
    let missing = missing(&stored, &rerun);
    if !missing.is_empty() {
        let text = format!(
            "values of variables are not kept, and execution {} was given {}",
            stored.id,
            missing.join(", ")
        );
        return Err(ServiceError::new(ErrorCode::MissingEnv, text).field("env").fix(
            "give each of them again (exeng rerun --env NAME=VALUE, or --env NAME to copy it from here)",
        ));
    }
    let inherits = match &stored.inherited_names {
        Some(names) => !names.is_empty(),
        None => !stored.env_names.is_empty(),
    };
    let mut new = NewExecution::new(stored.request);
    new.request.id = rerun.id.unwrap_or_else(Uuid::new_v4);
    new.options = stored.options;
    new.options.env.set = rerun.env;
    if inherits {
        new.inherited_env = rerun.inherited_env;
    }
    Ok(new)
}

/// Returns the names of the variables that it was asked to have and that have no value now.
fn missing(stored: &StoredExecution, rerun: &Rerun) -> Vec<String> {
    let has = |all: &BTreeMap<OsText, OsText>, name: &str| {
        all.contains_key(&OsText::from(name.to_string()))
    };
    let is_missing = |name: &&String| match &stored.inherited_names {
        _ if has(&rerun.env, name) => false,
        Some(inherited) => !inherited.contains(name),
        // It is not known which were inherited, so all that it had must have a value.
        None => !has(&rerun.inherited_env, name),
    };
    stored.env_names.iter().filter(is_missing).cloned().collect()
}
