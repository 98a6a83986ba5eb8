//! What a verb does with each of several executions.

use execution_engine_server::ErrorCode;
use execution_engine_server::client::{Client, ClientError};

use serde::Serialize;

use super::connect;
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, exit_code, message};

/// Does something with each of the executions that are named, by their ids. What fails is told and does not keep the
/// others from it. Returns what was done, and the code to exit with.
pub(super) async fn each<T>(
    client: &Client,
    names: &[String],
    mut action: impl AsyncFnMut(String) -> Result<T, ClientError>,
) -> (Vec<T>, u8) {
    let mut ids = Vec::new();
    // All names before the first is changed: what is the newest changes.
    for name in names {
        ids.push(client.get(name).await.map(|execution| execution.id.to_string()));
    }
    let mut results = Results::default();
    for id in ids {
        results.add(match id {
            Ok(id) => action(id).await,
            Err(error) => Err(error),
        });
    }
    (results.done, results.code)
}

/// Connects, does something with each of the executions that are named, and prints what was done if that is wanted.
/// Returns the code to exit with.
pub(super) async fn each_printed<T: Serialize>(
    global: &GlobalOptions,
    names: &[String],
    json: bool,
    mut action: impl AsyncFnMut(&Client, String) -> Result<T, ClientError>,
) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let (done, code) = each(&client, names, async |id| action(&client, id).await).await;
    if json {
        data::json(&done)?;
    }
    Ok(code)
}

/// Does something with each of the executions that were there a moment ago, by their ids. One that was removed since is
/// no failure: it has ended, and its user has named none.
pub(super) async fn each_there<T>(
    ids: &[String],
    mut action: impl AsyncFnMut(String) -> Result<T, ClientError>,
) -> (Vec<T>, u8) {
    let mut results = Results::default();
    for id in ids {
        match action(id.clone()).await {
            Err(error) if error.code() == Some(ErrorCode::UnknownExecution.as_str()) => {
                message::note(format!("{id} was removed meanwhile"));
            }
            result => results.add(result),
        }
    }
    (results.done, results.code)
}

/// What was done, and the code to exit with.
pub(super) struct Results<T> {
    pub(super) done: Vec<T>,
    pub(super) code: u8,
}

impl<T> Default for Results<T> {
    fn default() -> Self {
        Self { done: Vec::new(), code: 0 }
    }
}

impl<T> Results<T> {
    /// Adds a result. A failure is told.
    pub(super) fn add(&mut self, result: Result<T, ClientError>) {
        match result {
            Ok(value) => self.done.push(value),
            Err(error) => {
                Failure::from(error).report();
                self.code = exit_code::OURS;
            }
        }
    }
}
