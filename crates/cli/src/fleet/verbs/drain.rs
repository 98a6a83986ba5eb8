//! `exeng fleet drain`: lets a worker take no more executions.

use clap::Args;
use execution_engine_fleet::{ClusterError, FleetError, drain_worker};
use serde_json::json;

use super::{connect, presences};
use crate::cli::GlobalOptions;
use crate::data;
use crate::failure::Failure;
use crate::fleet::servers::Access;

/// Options of `fleet drain`.
#[derive(Debug, Args)]
pub(super) struct DrainOptions {
    /// The worker: its name, or a unique beginning of it
    #[arg(value_name = "WORKER")]
    worker: String,
    /// Print {"worker": .., "running": ..}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Tells the worker, and prints how many executions it waits for.
pub(super) async fn run(global: &GlobalOptions, options: &DrainOptions) -> Result<u8, Failure> {
    let cluster = connect(global, &options.access).await?;
    let present = presences(&cluster).await?;
    let names: Vec<_> = present.iter().map(|presence| &*presence.worker).collect();
    let worker = found(&names, &options.worker)?;
    let running = drain_worker(&cluster, worker).await.map_err(|error| match error {
        FleetError::Cluster(ClusterError::NoAnswer(_)) => Failure::new(format!(
            "worker {worker} does not answer; it may be cut off, or about to end: see exeng fleet workers, and try again"
        )),
        error => Failure::new(error),
    })?;
    if options.json {
        data::json(&json!({"worker": worker, "running": running}))?;
    } else {
        data::line(&format!("{worker} drains; it runs {running}"))?;
    }
    Ok(0)
}

/// Returns the name that is this one or begins with it.
fn found<'a>(names: &[&'a str], wanted: &str) -> Result<&'a str, Failure> {
    if let Some(name) = names.iter().find(|name| **name == wanted) {
        return Ok(name);
    }
    let matching: Vec<_> = names.iter().filter(|name| name.starts_with(wanted)).collect();
    match matching[..] {
        [name] => Ok(name),
        [] => Err(Failure::new(format!("no worker {wanted} is there; see exeng fleet workers"))),
        _ => Err(Failure::new(format!(
            "{} workers begin with {wanted}; write more of it",
            matching.len()
        ))),
    }
}
