//! `exeng submit --on`: gives a command to a fleet.

use execution_engine::{ExecutionError, ExecutionOptions, ExecutionRequest, StdinSource};
use serde_json::json;

use super::output::follow_id;
use super::{Remote, other_of_key, refuse};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::submit::SubmitOptions;
use crate::{data, exit_code, message};

/// Submits the command, and returns the code to exit with.
pub(super) async fn submit(global: &GlobalOptions, options: &SubmitOptions) -> Result<u8, Failure> {
    refuse(&[
        (!options.after.is_empty(), "--after"),
        (!options.after_ok.is_empty(), "--after-ok"),
        (options.at.is_some(), "--at"),
        (options.group.is_some(), "--group"),
        (options.every.is_asked_for(), "--every"),
    ])?;
    let (mut request, mut execution) = request(options)?;
    let remote = Remote::connect(global).await?;
    if let Some(key) = &options.key {
        request.id = remote.client.id_of_key(key);
    }
    options.request.store_inputs(&remote.backend, &mut execution).await?;
    let accepted = remote.engine.start_with(request, execution).await;
    let accepted = accepted.map_err(|error| match (&options.key, &error) {
        (Some(key), ExecutionError::DuplicateId(id)) => other_of_key(key, *id, "request"),
        _ => Failure::of_execution(&error),
    });
    let id = accepted?.id();
    let then = &options.then;
    match (then.is_json(), then.follows()) {
        (true, _) => data::json(&json!({"id": id}))?,
        (false, true) => message::note(id),
        (false, false) => data::line(&id.to_string())?,
    }
    if then.follows() || then.waits() {
        let ended = follow_id(&remote, id, then.follows()).await?;
        return Ok(exit_code::of_end(&ended.ending, ended.signal));
    }
    Ok(0)
}

fn request(options: &SubmitOptions) -> Result<(ExecutionRequest, ExecutionOptions), Failure> {
    let (mut request, mut execution) = options.request.to_request(StdinSource::Null)?;
    options.request.of_fleet(&mut execution)?;
    execution.priority = options.priority.unwrap_or_default();
    request.metadata.tags.clone_from(&options.tags);
    request.metadata.labels.extend(options.labels.iter().cloned());
    Ok((request, execution))
}
