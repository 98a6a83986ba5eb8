//! `exeng group`: groups of executions, with their limits and pauses.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use execution_engine_server::client::Client;
use execution_engine_server::{GroupChange, GroupView};

use super::connect;
use super::table::{Cell, Colour, table};
use crate::cli::GlobalOptions;
use crate::completions::groups;
use crate::failure::Failure;
use crate::{data, message, terminal_text};

/// Options of `group`.
#[derive(Debug, Args)]
pub(crate) struct GroupVerbOptions {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    /// List groups that are set, and those that have executions which wait or run
    #[command(visible_alias = "list")]
    Ls(ListOptions),
    /// Show a group
    Show(OneOptions),
    /// Set how many executions of a group run at a time; it counts at once, and what runs goes on
    Set(SetOptions),
    /// Let a group start nothing until it is resumed; what runs goes on
    Pause(OneOptions),
    /// Let a paused group start executions again
    Resume(OneOptions),
    /// Remove limit and pause of a group; its executions keep its name
    Rm(RemoveOptions),
}

#[derive(Debug, Args)]
struct ListOptions {
    /// Print one array of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OneOptions {
    /// Name of the group, as `submit --group` has it
    #[arg(value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(groups))]
    name: String,
    /// Print the group as it is then as one document of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SetOptions {
    #[command(flatten)]
    one: OneOptions,
    /// How many of its executions run at a time, at least 1; none takes the limit away
    #[arg(long, value_name = "N|none", required = true, value_parser = limit)]
    #[arg(allow_negative_numbers = true)]
    max_running: Limit,
}

#[derive(Debug, Args)]
struct RemoveOptions {
    /// Name of the group, as `submit --group` has it
    #[arg(value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(groups))]
    name: String,
    /// Change nothing, and show what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print the group as it was as one document of JSON
    #[arg(long)]
    json: bool,
}

/// Number of executions that may run at a time; `None` is any.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u32>);

/// Reads a limit.
fn limit(text: &str) -> Result<Limit, String> {
    match text.parse() {
        Ok(0) => Err("nothing of the group would run; write 1 or more, or pause the group".into()),
        Ok(limit) => Ok(Limit(Some(limit))),
        Err(_) if text == "none" => Ok(Limit(None)),
        Err(_) => Err(format!("{text:?} is no limit; write a number from 1 on, or none")),
    }
}

/// Does what the verb of the verb says.
pub(crate) async fn run(global: &GlobalOptions, options: &GroupVerbOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    match &options.verb {
        GroupVerb::Ls(options) => list(&client, options).await?,
        GroupVerb::Show(one) => print(&client.group(&one.name).await?, one.json)?,
        GroupVerb::Set(SetOptions { one, max_running }) => {
            let change = GroupChange { max_running: Some(max_running.0), paused: None };
            changed(&client.set_group(&one.name, &change).await?, one.json)?;
        }
        GroupVerb::Pause(one) => {
            let change = GroupChange { max_running: None, paused: Some(true) };
            changed(&client.set_group(&one.name, &change).await?, one.json)?;
        }
        GroupVerb::Resume(one) => changed(&resume(&client, &one.name).await?, one.json)?,
        GroupVerb::Rm(options) => remove(&client, options).await?,
    }
    Ok(0)
}

async fn list(client: &Client, options: &ListOptions) -> Result<(), Failure> {
    let groups = client.groups().await?.groups;
    if options.json {
        return data::json(&groups);
    }
    print_table(&groups)
}

/// Lets a group go on. One that is not known is a mistake, and nothing is set for it.
async fn resume(client: &Client, name: &str) -> Result<GroupView, Failure> {
    let group = client.group(name).await?;
    if !group.paused {
        message::note(format!("the group {name} is not paused"));
        return Ok(group);
    }
    let change = GroupChange { max_running: None, paused: Some(false) };
    Ok(client.set_group(name, &change).await?)
}

async fn remove(client: &Client, options: &RemoveOptions) -> Result<(), Failure> {
    let name = &options.name;
    let group = client.group(name).await?;
    if !group.set {
        return Err(Failure::new(format!(
            "the group {name} has no limit and is not paused, so there is nothing to remove; stop its executions to end \
             them (exeng stop --group)"
        )));
    }
    if options.dry_run {
        return print(&group, options.json);
    }
    client.remove_group(name).await?;
    changed(&group, options.json)
}

/// Prints a group that was changed, if that is wanted.
fn changed(group: &GroupView, json: bool) -> Result<(), Failure> {
    if json { data::json(group) } else { Ok(()) }
}

/// Prints a group.
fn print(group: &GroupView, json: bool) -> Result<(), Failure> {
    if json { data::json(group) } else { print_table(std::slice::from_ref(group)) }
}

/// Prints groups as a table for people.
fn print_table(groups: &[GroupView]) -> Result<(), Failure> {
    let rows: Vec<_> = groups.iter().map(row).collect();
    if !rows.is_empty() || data::is_for_people() {
        let head = ["NAME", "LIMIT", "RUNNING", "WAITING", "STATE"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(())
}

fn row(group: &GroupView) -> Vec<Cell> {
    let limit = group.max_running.map_or("none".to_string(), |limit| limit.to_string());
    let (state, colour) =
        if group.paused { ("paused", Colour::Yellow) } else { ("", Colour::None) };
    vec![
        Cell::plain(terminal_text::one_line(&group.name)),
        Cell::plain(limit),
        Cell::plain(group.running.to_string()),
        Cell::plain(group.waiting.to_string()),
        Cell { text: state.to_string(), colour },
    ]
}
