//! `exeng rm`: removes executions that have ended.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::connect;
use crate::cli::GlobalOptions;
use crate::completions::ids;
use crate::failure::Failure;
use crate::{data, exit_code};

/// Options of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmOptions {
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(ids))]
    ids: Vec<String>,
    /// Print one array of JSON with the ids that were removed
    #[arg(long)]
    json: bool,
}

/// Removes all of them with their output. What cannot be removed does not keep the others.
pub(crate) async fn run(global: &GlobalOptions, options: &RmOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let mut ids = Vec::new();
    let mut code = 0;
    // All names before the first is removed: what is the newest changes.
    for name in &options.ids {
        ids.push((client.get(name).await).map(|execution| execution.id.to_string()));
    }
    let mut removed = Vec::new();
    for id in ids {
        let done = match id {
            Ok(id) => client.remove(&id).await.map(|()| id),
            Err(error) => Err(error),
        };
        match done {
            Ok(id) => removed.push(id),
            Err(error) => {
                Failure::from(error).report();
                code = exit_code::OURS;
            }
        }
    }
    if options.json {
        data::json(&removed)?;
    }
    Ok(code)
}
