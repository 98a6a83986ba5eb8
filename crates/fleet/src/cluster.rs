//! What a fleet asks of the servers that keep its records.
//!
//! One trait, so that the loops of workers and clients run over NATS and over a simulation alike.
//! What counts is decided by reading the log ([`fold`](crate::fold())); conditions and
//! deduplication of the servers only save work.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;
use uuid::Uuid;

use crate::place::{QueueName, QueuePlace};

/// The three sequences of records of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// What decides: [`Record`](crate::Record).
    Decisions,
    /// [`Output`](crate::Output).
    Output,
    /// [`Input`](crate::Input).
    Input,
}

/// One sequence of records. All lanes of an execution have one order: a record that is appended
/// later has a higher sequence, in whichever lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogSubject {
    /// For whom it runs.
    pub tenant: String,
    /// The execution.
    pub id: Uuid,
    /// Which of its sequences.
    pub lane: Lane,
}

/// A condition of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// None.
    Anything,
    /// The last record of the subject has this sequence; 0 if it has none.
    Last(u64),
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRecord {
    /// Where.
    pub subject: LogSubject,
    /// Its bytes, as [`encode`](crate::encode) makes them.
    pub bytes: Bytes,
    /// Names the record: a repeat with the same name is acknowledged and appended once, for as long
    /// as the servers remember it (minutes).
    pub name: String,
    /// The condition.
    pub expect: Expect,
}

/// A part of a sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPart {
    /// The first sequence that the log still has, of any execution. 1 if nothing was removed.
    pub first_seq: u64,
    /// Records with their sequences, which grow.
    pub records: Vec<(u64, Bytes)>,
    /// Whether there are more records behind these.
    pub more: bool,
}

/// What an object is for. Clients store artifacts alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Output of a start.
    Output,
    /// A file, under the SHA-256 of its content.
    Artifact,
}

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// Whose it is.
    pub tenant: String,
    /// What it is for.
    pub kind: ObjectKind,
    /// Which one it is: 1 to 1024 bytes, of any characters.
    pub name: String,
}

/// What survives which fault, as the servers are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// What was acknowledged survives a power failure of all servers.
    Power,
    /// It survives the death of any process, and the loss of a minority of machines.
    Process,
    /// The servers do not say. Never counts as more.
    Unknown,
}

/// Names a delivery to the servers. Any worker may settle it: the one that claimed its ticket may be
/// gone. At most [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES) long, so that it fits into a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryHandle(pub String);

/// A ticket, as a worker got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where the ticket lies.
    pub place: QueuePlace,
    /// Its bytes.
    pub ticket: Bytes,
    /// For [`Cluster::settle`].
    pub handle: DeliveryHandle,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settle {
    /// The ticket is done; confirmed by the servers, which remove it in a moment.
    Done,
    /// Not yet done: the ticket stays with the worker for another while.
    Progress,
    /// The ticket is delivered again at once, also if another worker has it by now: servers do not
    /// compare deliveries. Then two have it, and the log decides.
    Again,
    /// The ticket is delivered again after this time.
    Later(Duration),
}

/// Why the servers did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClusterError {
    /// The answer did not come: it may have been done or not.
    #[error("the cluster gave no answer: {0}; whether it was done is not known")]
    NoAnswer(String),
    /// The condition of an append did not hold. Nothing was appended.
    #[error("another record came first; the last one has sequence {last}")]
    Conflict {
        /// Sequence of the last record, as far as the server said; else 0.
        last: u64,
    },
    /// There is a ticket at this place.
    #[error("the queue has a ticket with this id")]
    AlreadyQueued,
    /// The queue of the tenant has as many tickets as it may.
    #[error("the queue of tenant {tenant:?} is full; try again later, or ask for a larger quota")]
    QueueFull {
        /// The tenant.
        tenant: String,
        /// How many it may have; 0 if the servers do not say.
        limit: usize,
    },
    /// The object was never whole, is too old, or is damaged. Another try would find the same.
    #[error("the object {name:?} {what}")]
    NoObject {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The cluster is not set up for this, or refuses it.
    #[error("the cluster refuses it: {0}")]
    Refused(String),
}

/// Wakes a reader of a subject. It may miss a change: readers look on their own, too, from time to
/// time.
pub struct Changes(Box<dyn FnMut() -> ChangeFuture + Send + Sync>);

type ChangeFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Changes {
    /// Creates it from a function whose futures end at the next change.
    pub fn new(next: impl FnMut() -> ChangeFuture + Send + Sync + 'static) -> Self {
        Self(Box::new(next))
    }

    /// Waits for the next change.
    pub async fn next(&mut self) {
        (self.0)().await;
    }
}

/// An execution of a tenant. Two tenants may have executions with the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecutionName {
    /// For whom it runs.
    pub tenant: String,
    /// Its id.
    pub id: Uuid,
}

/// A request to a worker.
pub struct ControlCall {
    /// The execution that it is about; `None` for the worker itself. The servers let clients name their own
    /// tenants alone, and admins the worker.
    pub about: Option<ExecutionName>,
    /// What is asked.
    pub bytes: Bytes,
    /// Takes the answer.
    pub answer: Box<dyn FnOnce(Bytes) -> ChangeFuture + Send>,
}

/// The servers that keep the records of a fleet.
///
/// Each method tries for a bounded time and then returns [`ClusterError::NoAnswer`]. All are cancel
/// safe in this sense: a dropped call was done or was not, and repeating it is harmless.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Returns what survives which fault.
    fn durability(&self) -> Durability;

    /// Appends a record and returns its sequence, once a majority has it. A repeat returns the
    /// sequence of the first.
    async fn append(&self, record: NewRecord) -> Result<u64, ClusterError>;

    /// Reads records of a subject from a sequence on. If `until` is not 0, the answer has been given
    /// by a server that has all records up to that sequence.
    async fn read(
        &self,
        subject: &LogSubject,
        from: u64,
        until: u64,
    ) -> Result<LogPart, ClusterError>;

    /// Returns the sequence of the last record of a subject, as the server says that gives records their
    /// order; 0 if it has none. Costs more than [`read`](Self::read), which any server answers.
    async fn newest(&self, subject: &LogSubject) -> Result<u64, ClusterError>;

    /// Returns the last record of each of these subjects, in their order; `None` for one without.
    /// All are of the same lane. It may be behind.
    async fn last(
        &self,
        subjects: &[LogSubject],
    ) -> Result<Vec<Option<(u64, Bytes)>>, ClusterError>;

    /// Wakes at changes of a subject.
    async fn changes(&self, subject: &LogSubject) -> Result<Changes, ClusterError>;

    /// Puts a ticket into its place. Returns once a majority has it.
    async fn enqueue(&self, place: &QueuePlace, ticket: Bytes) -> Result<(), ClusterError>;

    /// Returns the tickets of an id, whichever queues they are in.
    async fn find_tickets(
        &self,
        tenant: &str,
        id: Uuid,
    ) -> Result<Vec<(QueuePlace, Bytes)>, ClusterError>;

    /// Returns the places of all tickets of a tenant, delivered or not.
    async fn places(&self, tenant: &str) -> Result<Vec<QueuePlace>, ClusterError>;

    /// Returns the ids of all executions of a tenant that the log has decisions of, in no order.
    async fn executions(&self, tenant: &str) -> Result<Vec<Uuid>, ClusterError>;

    /// Returns up to `most` tickets. If there is none at once, waits up to `wait` for the first.
    async fn fetch(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ClusterError>;

    /// Settles a delivery of a tenant. A handle of another one is refused: handles come from records, which clients
    /// can write.
    async fn settle(
        &self,
        tenant: &str,
        handle: &DeliveryHandle,
        how: Settle,
    ) -> Result<(), ClusterError>;

    /// Stores what a worker says of itself, for a time. Returns once it is stored. The lease of the
    /// worker runs from before this call.
    async fn announce(
        &self,
        worker: &str,
        presence: Bytes,
        ttl: Duration,
    ) -> Result<(), ClusterError>;

    /// Removes the presence of a worker that ends, and has nothing left.
    async fn withdraw(&self, worker: &str) -> Result<(), ClusterError>;

    /// Returns the workers whose presence has not passed, with what they say.
    async fn workers(&self) -> Result<Vec<(String, Bytes)>, ClusterError>;

    /// Takes or renews the right to sweep for a tenant, for a time. Returns `true` for the worker that has it.
    /// Two may believe to have it for a moment; sweeping twice is harmless.
    async fn take_sweep(
        &self,
        tenant: &str,
        worker: &str,
        ttl: Duration,
    ) -> Result<bool, ClusterError>;

    /// Asks a worker once, about an execution or itself, and returns its answer. If no process listens
    /// for the worker, it is [`ClusterError::NoAnswer`], too.
    async fn ask(
        &self,
        worker: &str,
        about: Option<&ExecutionName>,
        bytes: Bytes,
    ) -> Result<Bytes, ClusterError>;

    /// Receives the next request to a worker, about itself or executions of these tenants. Call it again
    /// for the one after, with the same tenants.
    async fn next_call(
        &self,
        worker: &str,
        tenants: &[String],
    ) -> Result<ControlCall, ClusterError>;

    /// Stores an object and returns its size. Under one name there is always the same content, so a
    /// repeat is harmless. An object that was cut off is none.
    ///
    /// What the servers have no room for is [`ClusterError::Refused`].
    async fn put_object(
        &self,
        object: &ObjectName,
        content: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<u64, ClusterError>;

    /// Reads a part of an object: `length` bytes from `from`, less at its end.
    async fn read_object(
        &self,
        object: &ObjectName,
        from: u64,
        length: u64,
    ) -> Result<Bytes, ClusterError>;

    /// Returns the pools of the fleet as stored, by name.
    async fn pools(&self) -> Result<Vec<(String, Bytes)>, ClusterError>;
}
