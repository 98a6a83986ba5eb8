//! `exeng keepers`: the processes that run the programs. Needs no service and starts none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use execution_engine_keeper::{KeeperClient, KeeperInfo, ListedState};
use serde::Serialize;

use super::places;
use super::table::{Cell, table};
use super::times::ago;
use crate::cli::GlobalOptions;
use crate::data;
use crate::failure::Failure;

/// Options of `keepers`.
#[derive(Debug, Args)]
pub(crate) struct KeepersOptions {
    /// Print one array of JSON
    #[arg(long)]
    json: bool,
}

/// A keeper that lives.
#[derive(Debug, Serialize)]
pub(super) struct Keeper {
    /// Name of its directory.
    name: String,
    pub(super) pid: u32,
    since: DateTime<Utc>,
    build: String,
    /// Executions that run in it; None if it does not answer.
    running: Option<usize>,
    /// Executions that have ended and that the service has not stored yet.
    unstored: Option<usize>,
    /// Whether it takes no new work.
    draining: Option<bool>,
}

/// Longest time that a keeper has to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Lists the keepers that live.
pub(crate) async fn run(global: &GlobalOptions, options: &KeepersOptions) -> Result<u8, Failure> {
    let keepers = living(global).await?;
    if options.json {
        data::json(&keepers)?;
        return Ok(0);
    }
    let number =
        |number: Option<usize>| number.map_or("?".to_string(), |number| number.to_string());
    let now = Utc::now();
    let rows: Vec<_> = keepers
        .iter()
        .map(|keeper| {
            let state = if keeper.draining == Some(true) { "draining" } else { "" };
            vec![
                Cell::plain(&keeper.name),
                Cell::plain(keeper.pid.to_string()),
                Cell::plain(ago(keeper.since, now)),
                Cell::plain(number(keeper.running)),
                Cell::plain(state),
            ]
        })
        .collect();
    if !rows.is_empty() || data::is_for_people() {
        let head = ["NAME", "PID", "AGE", "RUNNING", "STATE"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(0)
}

/// Returns the keepers that live, by their locks.
pub(super) async fn living(global: &GlobalOptions) -> Result<Vec<Keeper>, Failure> {
    let found = execution_engine_keeper::keepers(places(global)?.path()).map_err(Failure::new)?;
    let mut keepers = Vec::new();
    for info in found.into_iter().filter(|info| info.alive) {
        keepers.push(ask(info).await);
    }
    Ok(keepers)
}

/// Asks a keeper what it does.
async fn ask(info: KeeperInfo) -> Keeper {
    let answer = tokio::time::timeout(ANSWER_LIMIT, async {
        let client = KeeperClient::connect(&info.dir).await.ok()?;
        Some((client.list().await.ok()?, client.hello().draining))
    });
    let answer = answer.await.ok().flatten();
    let count = |state: ListedState| {
        let (list, _) = answer.as_ref()?;
        Some(list.iter().filter(|listed| listed.state == state).count())
    };
    let (running, unstored) = (count(ListedState::Running), count(ListedState::Ended));
    let draining = answer.as_ref().map(|(_, draining)| *draining);
    let name = info.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let KeeperInfo { pid, since, build, .. } = info;
    Keeper { name, pid, since, build, running, unstored, draining }
}
