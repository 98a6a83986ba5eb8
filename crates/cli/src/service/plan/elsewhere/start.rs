//! `exeng plan run --on`: gives a plan to a fleet.

use std::path::Path;

use execution_engine::{ExecutionError, PlanSpec, StdinSource};
use serde_json::json;

use super::{Follow, follow};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::elsewhere::{Remote, other_of_key};
use crate::service::plan::{RunPlanOptions, junit};
use crate::{data, message, plan_file};

/// Submits the plan, shows how it goes, and returns the code to exit with.
pub(crate) async fn run(global: &GlobalOptions, options: &RunPlanOptions) -> Result<u8, Failure> {
    let then = &options.then;
    let mut spec = spec(options)?;
    let junit = then.junit.as_deref().map(junit::create).transpose()?;
    let remote = Remote::connect(global).await?;
    // Its fields are those of the file, and no options of the command line.
    if let Some(key) = &options.key {
        spec.plan.id = remote.client.id_of_plan_key(key);
    }
    let submitted = remote.backend.submit_plan(spec).await;
    let id = submitted.map_err(|error| match (&options.key, error) {
        (Some(key), ExecutionError::DuplicateId(id)) => other_of_key(key, id, "plan"),
        (_, error) => Failure::new(error),
    })?;
    if then.detach {
        return match then.json {
            true => data::json(&json!({ "id": id })),
            false => data::line(&id.to_string()),
        }
        .map(|()| 0);
    }
    message::note(format!("plan {id}"));
    follow(&remote, id, Follow { junit, json: then.json, logs: then.logs }).await
}

/// Returns the plan of the file. Its directories are those of the workers.
fn spec(options: &RunPlanOptions) -> Result<PlanSpec, Failure> {
    let mut spec = plan_file::read(&options.file, options.format)?.spec;
    if let Some(cwd) = &options.cwd {
        if !cwd.is_absolute() {
            return Err(Failure::new(format!(
                "--cwd {}: is relative, and a worker has another current directory; use an absolute path",
                cwd.display()
            )));
        }
        let own = spec.options.working_dir.take().unwrap_or_default();
        spec.options.working_dir = Some(cwd.join(own));
    }
    options.add_to(&mut spec)?;
    let own = spec.options.steps.iter_mut().filter_map(|step| step.options.as_mut());
    for step in own.chain([&mut spec.options.defaults]) {
        if let StdinSource::File { path } = &step.stdin {
            step.stdin = StdinSource::bytes(read_input(path)?);
        }
    }
    Ok(spec)
}

/// Reads a file of this machine that a step has as input. The size of the whole plan is bounded.
fn read_input(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(format!("the input {} cannot be read: {error}", path.display()))
    })
}
