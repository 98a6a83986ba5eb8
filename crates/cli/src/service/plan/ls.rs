//! `exeng plan ls`: plans, newest first.

use chrono::Utc;
use clap::Args;
use execution_engine::ExecutionStatus;
use execution_engine_server::{PlanQuery, PlanView};

use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::connect;
use crate::service::ls::colour;
use crate::service::selection::status;
use crate::service::table::{Cell, table};
use crate::service::times::{ago, short};
use crate::{data, message, terminal_text};

/// Longest page that the service has.
const PAGE: usize = 1_000;

/// Options of `plan ls`.
#[derive(Debug, Args)]
pub(crate) struct LsPlanOptions {
    /// With this status: running, completed, failed, cancelled, timeout; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = status, value_delimiter = ',')]
    pub(super) status: Vec<ExecutionStatus>,
    /// No more than this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
    /// Print each as a line of JSON, without its steps
    #[arg(long)]
    pub(super) json: bool,
}

/// Lists the plans.
pub(crate) async fn ls(global: &GlobalOptions, options: &LsPlanOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let mut found = Vec::new();
    let mut cursor = None;
    while found.len() < options.limit {
        let limit = Some((options.limit - found.len()).min(PAGE));
        let query = PlanQuery { status: options.status.clone(), limit, cursor };
        let page = client.plans(&query).await?;
        found.extend(page.plans);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if options.json {
        found.iter().try_for_each(data::json)?;
    } else if !found.is_empty() || data::is_for_people() {
        let rows: Vec<_> = found.iter().map(row).collect();
        let head = ["ID", "STATUS", "STEPS", "AGE", "TIME", "TAGS", "DESCRIPTION"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    if cursor.is_some() {
        message::note("there are more; use --limit N");
    }
    Ok(0)
}

fn row(plan: &PlanView) -> Vec<Cell> {
    let description = plan.description.as_deref().unwrap_or_default();
    vec![
        Cell::plain(&plan.id.to_string()[..8]),
        Cell { text: plan.status.to_string(), colour: colour(plan.status) },
        Cell::plain(format!("{}/{}", plan.counts.over(), plan.counts.total)),
        Cell::plain(ago(plan.created_at, Utc::now())),
        Cell::plain(short(plan.duration_ms)),
        Cell::plain(terminal_text::one_line(&plan.tags.join(","))),
        Cell::plain(terminal_text::one_line(description)),
    ]
}
