//! `exeng gc`: retention, now.

use std::time::Duration;

use clap::Args;
use execution_engine_server::{Gc, GcPart, GcReport};

use super::connect;
use super::table::{Cell, table};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, duration, message, size};

/// Options of `gc`.
#[derive(Debug, Args)]
pub(crate) struct GcOptions {
    /// Remove what ended longer ago than this [without: `max_age` of the configuration]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    older_than: Option<Duration>,
    /// Keep no more than this many that have ended, those that ended last [without: `max_count`]
    #[arg(long, value_name = "N")]
    keep: Option<u64>,
    /// Remove those that ended first until database and outputs have no more bytes on disk [without: `max_bytes`]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_bytes: Option<u64>,
    /// Remove nothing, and say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print one document of JSON
    #[arg(long)]
    json: bool,
}

/// Removes what is not to be kept, and says what that was.
pub(crate) async fn run(global: &GlobalOptions, options: &GcOptions) -> Result<u8, Failure> {
    let gc = Gc {
        dry_run: options.dry_run,
        max_age_ms: options
            .older_than
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        max_count: options.keep,
        max_bytes: options.max_bytes,
    };
    let report = connect(global).await?.gc(&gc).await?;
    if report.incomplete {
        message::print("the service died meanwhile; what it had removed before is not counted");
    }
    if options.json {
        data::json(&report)?;
    } else if report.executions == 0 {
        message::note("there is nothing to remove");
    } else {
        print_table(&report)?;
    }
    Ok(0)
}

/// Prints what was removed, a line for each reason.
fn print_table(report: &GcReport) -> Result<(), Failure> {
    let GcReport { executions, bytes, .. } = *report;
    let parts = [
        ("too old", report.by_age),
        ("too many", report.by_count),
        ("too large", report.by_bytes),
        ("all", GcPart { executions, bytes }),
    ];
    let rows: Vec<_> = parts
        .iter()
        .filter(|(_, part)| part.executions > 0)
        .map(|(reason, part)| {
            let numbers =
                [part.executions, part.bytes].map(|number| Cell::plain(number.to_string()));
            [vec![Cell::plain(*reason)], numbers.to_vec()].concat()
        })
        .collect();
    let head = [if report.dry_run { "WOULD GO" } else { "REMOVED" }, "EXECUTIONS", "BYTES"];
    data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())
}
