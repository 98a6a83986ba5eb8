//! Requests to the worker of an execution that runs, and to a worker itself, and their answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::error::FleetError;

/// What the worker of an execution is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRequest {
    /// Fence of the start that is meant. A worker that makes another start refuses the request.
    pub fence: u64,
    /// What to do.
    pub action: ControlAction,
}

/// What to do with a program that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlAction {
    /// Sends a signal, by its number, to all processes.
    Signal {
        /// The number.
        signal: i32,
    },
    /// Pauses all processes.
    Pause,
    /// Lets them go on.
    Resume,
}

/// What came of a request: the number of processes that were reached, or why there were none.
pub type ControlAnswer = Result<u32, String>;

/// What a worker itself is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum WorkerRequest {
    /// To take no more tickets, and to end when nothing runs.
    Drain,
}

/// Tells a worker to take no more tickets, and to end when nothing runs. Returns how many executions it
/// runs now. Telling it again is harmless.
///
/// # Errors
///
/// [`FleetError::Cluster`] if the worker does not answer: it may drain or not, or may be gone.
/// [`FleetError::WorkerRefused`] with what it says.
pub async fn drain_worker(cluster: &dyn Cluster, worker: &str) -> Result<u32, FleetError> {
    let answer = cluster.ask(worker, None, to_bytes(&WorkerRequest::Drain)).await?;
    let refused = |reason| FleetError::WorkerRefused { worker: worker.to_owned(), reason };
    from_bytes::<ControlAnswer>(&answer).and_then(|answer| answer).map_err(refused)
}

/// Returns the bytes of a request or an answer.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Returns the request or the answer that bytes hold.
pub(crate) fn from_bytes<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}
