//! `exeng fleet workers`: who runs executions.

use execution_engine_fleet::Presence;

use super::{ShowOptions, connect, presences};
use crate::cli::GlobalOptions;
use crate::data;
use crate::failure::Failure;
use crate::service::table::{Cell, Colour, table};
use crate::terminal_text::one_line;

/// Lists the workers.
pub(super) async fn run(global: &GlobalOptions, options: &ShowOptions) -> Result<u8, Failure> {
    let cluster = connect(global, &options.access).await?;
    let present = presences(&cluster).await?;
    if options.json {
        present.iter().try_for_each(data::json)?;
        return Ok(0);
    }
    let rows: Vec<_> = present.iter().map(row).collect();
    if !rows.is_empty() || data::is_for_people() {
        let head = ["WORKER", "STATE", "RUNNING", "CONTAINMENT", "ENGINE", "HOST", "POOLS"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(0)
}

fn row(worker: &Presence) -> Vec<Cell> {
    let (state, colour) = match worker.draining {
        true => ("draining", Colour::Yellow),
        false => ("working", Colour::Green),
    };
    let host = worker.labels.get("host").map_or("", String::as_str);
    vec![
        Cell::plain(one_line(&worker.worker)),
        Cell { text: state.to_owned(), colour },
        Cell::plain(format!("{}/{}", worker.running, worker.slots)),
        Cell::plain(one_line(&worker.containment)),
        Cell::plain(one_line(&worker.engine)),
        Cell::plain(one_line(host)),
        Cell::plain(one_line(&worker.pools.join(","))),
    ]
}
