//! `exeng rm`: removes executions that have ended.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::connect;
use super::ls::print_table;
use super::selection::{Changes, Selected, Selection, dry_run};
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;
use crate::{data, message};

/// Options of `rm`.
#[derive(Debug, Args)]
#[command(mut_arg("ids", |ids| ids.add(ArgValueCompleter::new(Ids::Ended))))]
pub(crate) struct RmOptions {
    #[command(flatten)]
    selection: Selection,
    /// Print one array of JSON with the ids that were removed
    #[arg(long)]
    json: bool,
}

/// Removes all of them with their output. What cannot be removed does not keep the others. Conditions select what
/// has ended.
pub(crate) async fn run(global: &GlobalOptions, options: &RmOptions) -> Result<u8, Failure> {
    options.selection.check()?;
    let client = connect(global).await?;
    let selected = options.selection.select(&client, Changes::Ended).await?;
    if options.selection.dry_run {
        let (executions, code) = dry_run(&client, &selected, Changes::Ended).await;
        match options.json {
            true => data::json(&executions.iter().map(|it| it.id.to_string()).collect::<Vec<_>>())?,
            false => print_table(&executions)?,
        }
        return Ok(code);
    }
    let remove = async |id: String| client.remove(&id).await.map(|()| id);
    let (removed, code) = selected.each(&client, remove).await;
    if options.json {
        data::json(&removed)?;
    } else if let Selected::Found(_) = selected {
        message::note(format!("{} removed", removed.len()));
    }
    Ok(code)
}
