//! `exeng ls`: executions, newest first.

use chrono::{DateTime, Utc};
use clap::Args;
use clap_complete::ArgValueCandidates;
use execution_engine::ExecutionStatus;
use execution_engine_server::client::Client;
use execution_engine_server::{ExecutionView, Query};

use super::connect;
use super::submit::label;
use super::table::{Cell, Colour, table};
use super::times::{ago, short};
use crate::cli::GlobalOptions;
use crate::completions::tags;
use crate::failure::Failure;
use crate::{data, message, moment, terminal_text};

/// Options of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsOptions {
    /// With this status: pending, running, completed, failed, cancelled, timeout, lost; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = status, value_delimiter = ',')]
    status: Vec<ExecutionStatus>,
    /// With this tag; may be repeated
    #[arg(long = "tag", value_name = "WORD", add = ArgValueCandidates::new(tags))]
    tags: Vec<String>,
    /// With this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Accepted at this moment or later: 2h (ago), today, yesterday, 2026-11-30, 2026-11-30T12:00
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<DateTime<Utc>>,
    /// Accepted before this moment
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<DateTime<Utc>>,
    /// With this text in the command
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// No more than this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    limit: usize,
    /// As many as there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print each as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Longest page that the service has.
const PAGE: usize = 1_000;

/// Lists the executions.
pub(crate) async fn run(global: &GlobalOptions, options: &LsOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    if options.json {
        each(&client, options, |execution| data::json(&execution)).await?;
        return Ok(0);
    }
    let mut rows = Vec::new();
    let now = Utc::now();
    each(&client, options, |execution| {
        rows.push(row(&execution, now));
        Ok(())
    })
    .await?;
    if !rows.is_empty() || data::is_for_people() {
        let head = ["ID", "STATUS", "CODE", "AGE", "TIME", "TAGS", "COMMAND"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(0)
}

/// Gives each of the executions to a function. Says so if there are more.
async fn each(
    client: &Client,
    options: &LsOptions,
    mut give: impl FnMut(ExecutionView) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = if options.all { usize::MAX } else { options.limit };
    let mut query = options.query();
    while left > 0 {
        query.limit = Some(left.min(PAGE));
        let page = client.list(&query).await?;
        left = left.saturating_sub(page.executions.len());
        for execution in page.executions {
            give(execution)?;
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
    message::print("there are more; use --limit N or --all");
    Ok(())
}

impl LsOptions {
    fn query(&self) -> Query {
        Query {
            status: self.status.clone(),
            tags: self.tags.clone(),
            labels: self.labels.clone(),
            group: self.group.clone(),
            since: self.since,
            until: self.until,
            text: self.search.clone(),
            ..Query::default()
        }
    }
}

/// Returns the row of an execution.
fn row(execution: &ExecutionView, now: DateTime<Utc>) -> Vec<Cell> {
    let id = execution.id.to_string();
    let code = execution.exit_code.filter(|_| execution.status.is_terminal());
    let time = match (execution.duration_ms, execution.started_at) {
        (Some(millis), _) => short(millis),
        (None, Some(started)) => ago(started, now),
        (None, None) => String::new(),
    };
    vec![
        Cell::plain(&id[..8]),
        Cell { text: status_of(execution), colour: colour(execution.status) },
        Cell::plain(code.filter(|code| *code >= 0).map_or(String::new(), |code| code.to_string())),
        Cell::plain(ago(execution.created_at, now)),
        Cell::plain(time),
        Cell::plain(terminal_text::one_line(&execution.tags.join(","))),
        Cell::plain(terminal_text::one_line(&execution.command_line)),
    ]
}

/// Returns the status of an execution in words.
pub(super) fn status_of(execution: &ExecutionView) -> String {
    let status = execution.status;
    if execution.paused { format!("{status}, paused") } else { status.to_string() }
}

fn colour(status: ExecutionStatus) -> Colour {
    match status {
        ExecutionStatus::Completed => Colour::Green,
        ExecutionStatus::Running => Colour::Cyan,
        ExecutionStatus::Pending | ExecutionStatus::Cancelled => Colour::Yellow,
        _ => Colour::Red,
    }
}

fn status(text: &str) -> Result<ExecutionStatus, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        "use pending, running, completed, failed, cancelled, timeout or lost".to_string()
    })
}
