//! What a verb does with each of several executions.

use execution_engine_server::client::Client;

use crate::exit_code;
use crate::failure::Failure;

/// Does something with each of the executions that are named, by their ids. What fails is told and does not keep the
/// others from it. Returns what was done, and the code to exit with.
pub(super) async fn each<T>(
    client: &Client,
    names: &[String],
    mut action: impl AsyncFnMut(String) -> Result<T, Failure>,
) -> (Vec<T>, u8) {
    let mut ids = Vec::new();
    // All names before the first is changed: what is the newest changes.
    for name in names {
        ids.push(client.get(name).await.map(|execution| execution.id.to_string()));
    }
    let (mut done, mut code) = (Vec::new(), 0);
    for id in ids {
        let result = match id {
            Ok(id) => action(id).await,
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(value) => done.push(value),
            Err(failure) => {
                failure.report();
                code = exit_code::OURS;
            }
        }
    }
    (done, code)
}
