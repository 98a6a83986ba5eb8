//! `exeng schedule`: what is run again and again.

pub(super) mod every;
mod show;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use execution_engine_server::client::{Client, ClientError};
use serde::Serialize;

use super::connect;
use super::each::Results;
use super::then::ThenOptions;
use crate::cli::GlobalOptions;
use crate::completions::schedules;
use crate::data;
use crate::failure::Failure;

/// Options of `schedule`.
#[derive(Debug, Args)]
pub(crate) struct ScheduleVerbOptions {
    #[command(subcommand)]
    verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
enum ScheduleVerb {
    /// List schedules, the oldest first
    #[command(visible_alias = "list")]
    Ls(LsScheduleOptions),
    /// Show everything about a schedule: its next time, its runs, what was left out, and what went wrong
    Show(ShowScheduleOptions),
    /// Let the times of schedules pass without a run, until they are resumed
    Pause(ManyOptions),
    /// Let schedules go on with their next time; those that passed meanwhile are not made up for
    Resume(ManyOptions),
    /// Run a schedule now, once, and print the id of the execution
    Run(RunScheduleOptions),
    /// Remove schedules; what they have run or started stays
    Rm(RmScheduleOptions),
}

#[derive(Debug, Args)]
struct LsScheduleOptions {
    /// Print each as a line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowScheduleOptions {
    /// The schedule: its name, its id, or the unique beginning of that
    #[arg(value_name = "ID", add = ArgValueCandidates::new(schedules))]
    id: String,
    /// Print it as one document of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ManyOptions {
    /// Schedules: their names, their ids, or unique beginnings of those
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(schedules))]
    ids: Vec<String>,
    /// Print one array of JSON with the schedules as they are then
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunScheduleOptions {
    /// The schedule: its name, its id, or the unique beginning of that
    #[arg(value_name = "ID", add = ArgValueCandidates::new(schedules))]
    id: String,
    #[command(flatten)]
    then: ThenOptions,
}

#[derive(Debug, Args)]
struct RmScheduleOptions {
    /// Schedules: their names, their ids, or unique beginnings of those
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(schedules))]
    ids: Vec<String>,
    /// Remove nothing, and list what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print one array of JSON with the ids that were removed
    #[arg(long)]
    json: bool,
}

/// Does what is asked for, and returns the code to exit with.
pub(crate) async fn run(
    global: &GlobalOptions,
    options: &ScheduleVerbOptions,
) -> Result<u8, Failure> {
    let client = connect(global).await?;
    match &options.verb {
        ScheduleVerb::Ls(LsScheduleOptions { json: true }) => {
            client.schedules().await?.iter().try_for_each(data::json)?;
        }
        ScheduleVerb::Ls(LsScheduleOptions { json: false }) => {
            show::print_table(&client.schedules().await?)?;
        }
        ScheduleVerb::Show(ShowScheduleOptions { id, json }) => {
            let schedule = client.schedule(id).await?;
            match json {
                true => data::json(&schedule)?,
                false => data::bytes(show::page(&schedule).as_bytes())?,
            }
        }
        ScheduleVerb::Pause(many) => return set_paused(&client, many, true).await,
        ScheduleVerb::Resume(many) => return set_paused(&client, many, false).await,
        ScheduleVerb::Run(RunScheduleOptions { id, then }) => {
            return then.follow_up(&client, &client.run_schedule(id).await?).await;
        }
        ScheduleVerb::Rm(rm) => return remove(&client, rm).await,
    }
    Ok(0)
}

async fn set_paused(client: &Client, many: &ManyOptions, paused: bool) -> Result<u8, Failure> {
    let change = async |id: &str| client.pause_schedule(id, paused).await;
    let done = each(&many.ids, change).await;
    print_if(many.json, &done.done)?;
    Ok(done.code)
}

async fn remove(client: &Client, rm: &RmScheduleOptions) -> Result<u8, Failure> {
    let found = each(&rm.ids, async |id: &str| client.schedule(id).await).await;
    let ids: Vec<String> = found.done.iter().map(|schedule| schedule.id.to_string()).collect();
    if rm.dry_run {
        match rm.json {
            true => data::json(&ids)?,
            false => show::print_table(&found.done)?,
        }
        return Ok(found.code);
    }
    let remove = async |id: &str| client.remove_schedule(id).await.map(|()| id.to_string());
    let removed = each(&ids, remove).await;
    print_if(rm.json, &removed.done)?;
    Ok(found.code.max(removed.code))
}

/// Does something with each. What fails is told and does not keep the others from it.
async fn each<T>(
    ids: &[String],
    mut action: impl AsyncFnMut(&str) -> Result<T, ClientError>,
) -> Results<T> {
    let mut results = Results::default();
    for id in ids {
        results.add(action(id).await);
    }
    results
}

fn print_if(is_wanted: bool, done: &impl Serialize) -> Result<(), Failure> {
    if is_wanted { data::json(done) } else { Ok(()) }
}
