//! `exeng show`: everything about one execution.

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine::ExecutionStatus;
use execution_engine_server::client::Client;
use execution_engine_server::{ExecutionView, GroupWait};

use super::connect;
use super::ls::status_of;
use super::times::{local, short};
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::data;
use crate::failure::Failure;
use crate::option_names::of_command_line;
use crate::terminal_text;

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The execution: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCompleter::new(Ids::Any))]
    pub(super) id: String,
    /// Print it as one document of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Shows the execution.
pub(crate) async fn run(global: &GlobalOptions, options: &ShowOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let execution = client.get(&options.id).await?;
    if options.json {
        data::json(&execution)?;
    } else {
        let waits = why_it_waits(&client, &execution).await;
        data::bytes(page(&execution, waits).as_bytes())?;
    }
    Ok(0)
}

/// Returns the text for people: a line for each thing that is known.
fn page(execution: &ExecutionView, waits: Option<String>) -> String {
    let labels = execution.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let ids = |ids: &[execution_engine::Uuid]| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let lines = [
        ("id", Some(execution.id.to_string())),
        ("command", Some(execution.command_line.clone())),
        ("status", Some(status_of(execution))),
        ("waits", waits),
        ("ending", execution.ending.as_ref().map(|ending| of_command_line(&ending.to_string()))),
        ("description", execution.description.clone()),
        ("directory", execution.working_dir.as_ref().map(|dir| dir.display().to_string())),
        ("accepted", Some(local(execution.created_at))),
        ("starts at", execution.start_at.filter(|_| execution.started_at.is_none()).map(local)),
        ("started", execution.started_at.map(local)),
        ("ended", execution.ended_at.map(local)),
        ("ran for", execution.duration_ms.map(short)),
        ("attempts", Some(execution.attempts.to_string()).filter(|_| execution.attempts > 1)),
        ("output", Some(output(execution))),
        ("missing", execution.output_error.clone()),
        ("left behind", survivors(execution)),
        ("tags", Some(execution.tags.join(", ")).filter(|tags| !tags.is_empty())),
        ("labels", Some(labels.collect::<Vec<_>>().join(", ")).filter(|all| !all.is_empty())),
        ("group", execution.group.clone()),
        ("priority", Some(execution.priority.to_string()).filter(|_| execution.priority != 0)),
        ("after", Some(ids(&execution.after_ended)).filter(|ids| !ids.is_empty())),
        ("after ok", Some(ids(&execution.after)).filter(|ids| !ids.is_empty())),
        ("plan", execution.plan.map(|plan| plan.to_string())),
        ("schedule", schedule(execution)),
        ("pinned", execution.pinned.then(|| "yes".to_string())),
        ("keeper", execution.keeper.clone()),
    ];
    let known = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| format!("{name:<12} {}\n", terminal_text::one_line(&value))).collect()
}

/// Returns the schedule that it is a run of, and the moment that it runs for.
fn schedule(execution: &ExecutionView) -> Option<String> {
    let id = execution.schedule?;
    let moment = execution.schedule_moment.map_or("run by hand".to_string(), local);
    Some(format!("{id}, {moment}"))
}

/// Returns why an execution waits in the queue, if it does. A pause and a moment are in lines of their own.
async fn why_it_waits(client: &Client, execution: &ExecutionView) -> Option<String> {
    if execution.status != ExecutionStatus::Pending {
        return None;
    }
    let known = execution.start_error.clone().or_else(|| group_wait(execution));
    if known.is_some() || execution.paused || execution.start_at.is_some() {
        return known;
    }
    for id in execution.after.iter().chain(&execution.after_ended) {
        let other = client.get(&id.to_string()).await.ok();
        if other.is_some_and(|other| !other.status.is_terminal()) {
            return Some(format!("for the end of {id}"));
        }
    }
    let status = client.status().await.ok()?;
    let why = format!("{} programs run, and max_running allows no more", status.running);
    (status.running >= status.max_running).then_some(why)
}

/// Returns why an execution waits for its group, if it does.
fn group_wait(execution: &ExecutionView) -> Option<String> {
    let group = execution.group.as_deref()?;
    let why = match execution.group_wait? {
        GroupWait::Full => "as many of its group run as may",
        GroupWait::Paused => "its group is paused",
        _ => "it waits for its group",
    };
    Some(format!("{why} (exeng group show {group})"))
}

fn output(execution: &ExecutionView) -> String {
    let bytes = execution.bytes;
    format!("{} bytes on stdout, {} on stderr", bytes.stdout, bytes.stderr)
}

/// Returns the processes that could not be stopped, if there are any.
fn survivors(execution: &ExecutionView) -> Option<String> {
    let receipt = execution.containment.as_ref()?;
    let names = receipt.survivors.iter().map(|left| format!("{} ({})", left.name, left.pid));
    Some(names.collect::<Vec<_>>().join(", ")).filter(|all| !all.is_empty())
}
