//! Errors of clients and workers of a fleet.

use uuid::Uuid;

use crate::cluster::ClusterError;
use crate::fold::State;
use crate::keys::KeyError;
use crate::seal::SealError;
use crate::sign::SignError;
use crate::wire::RecordError;

/// Why a fleet did not do something.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The servers did not do it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A record could not be written, or a later version wrote it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A key of a pool is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The answer to a submit got lost: the execution was accepted or not. Asking by the id tells.
    #[error(
        "whether execution {id} was accepted is not known: {reason}; ask for its status by this id"
    )]
    OutcomeUnknown {
        /// The execution.
        id: Uuid,
        /// What happened.
        reason: String,
    },
    /// Another execution has this id.
    #[error("an execution with id {0} exists; use another id")]
    AlreadyExists(Uuid),
    /// Neither the queue nor the log knows it.
    #[error("there is no execution {0}; its id may be wrong, or its records have passed their age")]
    NotFound(Uuid),
    /// The execution has ended.
    #[error("execution {id} has ended")]
    AlreadyEnded {
        /// The execution.
        id: Uuid,
        /// Its state, which has an outcome.
        state: Box<State>,
    },
    /// The id is that of an execution and of no plan.
    #[error("{0} is an execution and no plan; ask for it as one")]
    NoPlan(Uuid),
    /// The log has lost events of the plan.
    #[error("events of plan {0} are missing: its records have passed their age, or are damaged")]
    EventsLost(Uuid),
    /// The input of the execution was closed.
    #[error("the input of execution {0} was closed before")]
    InputClosed(Uuid),
    /// Input could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The execution does not run on a worker now.
    #[error("execution {0} is still queued and has no process")]
    NotRunning(Uuid),
    /// The worker did not do it.
    #[error("worker {worker} of execution {id} refuses it: {reason}")]
    Refused {
        /// The execution.
        id: Uuid,
        /// The worker.
        worker: String,
        /// What the worker said.
        reason: String,
    },
    /// A worker refuses what it itself was asked.
    #[error("worker {worker} refuses it: {reason}")]
    WorkerRefused {
        /// The worker.
        worker: String,
        /// Why.
        reason: String,
    },
}
