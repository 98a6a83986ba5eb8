//! `exeng ls`: executions, newest first.

use chrono::{DateTime, Utc};
use clap::Args;
use execution_engine::ExecutionStatus;
use execution_engine_server::{ExecutionView, GroupWait};

use super::connect;
use super::selection::{Conditions, each_found};
use super::table::{Cell, Colour, table};
use super::times::{ago, short};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, message, terminal_text};

/// Options of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsOptions {
    #[command(flatten)]
    pub(super) conditions: Conditions,
    /// No more than this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
    /// As many as there are
    #[arg(long, conflicts_with = "limit")]
    pub(super) all: bool,
    /// Print each as a line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Lists the executions.
pub(crate) async fn run(global: &GlobalOptions, options: &LsOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let most = if options.all { usize::MAX } else { options.limit };
    let query = options.conditions.query(&client).await?;
    let has_more = if options.json {
        each_found(&client, query, most, |execution| data::json(&execution)).await?
    } else {
        let mut found = Vec::new();
        let has_more = each_found(&client, query, most, |execution| {
            found.push(execution);
            Ok(())
        })
        .await?;
        print_table(&found)?;
        has_more
    };
    if has_more {
        message::note("there are more; use --limit N or --all");
    }
    Ok(0)
}

/// Prints executions as a table for people.
pub(super) fn print_table(executions: &[ExecutionView]) -> Result<(), Failure> {
    let now = Utc::now();
    let rows: Vec<_> = executions.iter().map(|execution| row(execution, now)).collect();
    if !rows.is_empty() || data::is_for_people() {
        let head = ["ID", "STATUS", "CODE", "AGE", "TIME", "TAGS", "COMMAND"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(())
}

/// Returns how long it is until one starts that waits for a moment.
fn starts_in(execution: &ExecutionView, now: DateTime<Utc>) -> Option<String> {
    let left = execution.start_at.filter(|_| !execution.status.is_terminal())? - now;
    let millis = u64::try_from(left.num_milliseconds()).ok()?;
    Some(format!("in {}", short(millis)))
}

/// Returns the row of an execution.
fn row(execution: &ExecutionView, now: DateTime<Utc>) -> Vec<Cell> {
    let id = execution.id.to_string();
    let code = execution.exit_code.filter(|_| execution.status.is_terminal());
    let time = match (execution.duration_ms, execution.started_at) {
        (Some(millis), _) => short(millis),
        (None, Some(started)) => ago(started, now),
        (None, None) => starts_in(execution, now).unwrap_or_default(),
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
    match execution.group_wait {
        _ if execution.paused => format!("{status}, paused"),
        Some(GroupWait::Full) => format!("{status}, group full"),
        Some(GroupWait::Paused) => format!("{status}, group paused"),
        _ => status.to_string(),
    }
}

pub(super) fn colour(status: ExecutionStatus) -> Colour {
    match status {
        ExecutionStatus::Completed => Colour::Green,
        ExecutionStatus::Running => Colour::Cyan,
        ExecutionStatus::Pending | ExecutionStatus::Cancelled => Colour::Yellow,
        _ => Colour::Red,
    }
}
