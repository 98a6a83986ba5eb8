//! Records of one execution, in their serde form.
//!
//! | type | subject | content |
//! |---|---|---|
//! | [`Ticket`] | the queue | what is to run |
//! | [`Record`] | `.s` of the execution | all that decides, in one order |
//! | [`Output`] | `.o` | output of one start |
//! | [`Input`] | `.i` | standard input |
//!
//! Endings, results and requests are JSON here, in the forms of the engine. A reader takes a record
//! without understanding them, so that readers of different versions agree on what decided.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{DeliveryHandle, Requires};

/// SHA-256 of the bytes of a ticket, as they are in the queue.
///
/// Two tickets with the same id differ in it. So an execution that is started again is started from
/// the ticket of its first start.
///
/// ```
/// use execution_engine_fleet::TicketDigest;
///
/// assert_eq!(TicketDigest::of(b"a"), TicketDigest::of(b"a"));
/// assert_ne!(TicketDigest::of(b"a"), TicketDigest::of(b"b"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TicketDigest([u8; 32]);

impl TicketDigest {
    /// Returns the digest of a ticket. The bytes are those of the queue: a ticket that was decoded
    /// and encoded again has lost the fields of later versions.
    pub fn of(ticket: &[u8]) -> Self {
        Self(Sha256::digest(ticket).into())
    }
}

/// The digest in hexadecimal.
impl fmt::Display for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketDigest({self})")
    }
}

/// What is to run, as it lies in the queue.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Id of the execution.
    pub id: Uuid,
    /// For whom it runs.
    pub tenant: String,
    /// The command in one line, for people.
    pub command: String,
    /// Serde form of the engine's request, without values of environments and without stdin.
    pub request: Value,
    /// Serde form of the engine's options, without values of environments and without stdin.
    pub options: Value,
    /// What the worker must have.
    #[serde(default)]
    pub requires: Requires,
    /// How often the execution may be started, from 1 to [`MAX_ATTEMPTS`](crate::MAX_ATTEMPTS).
    pub max_attempts: u32,
    /// No start is made after this moment, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by_ms: Option<u64>,
    /// When it was submitted, in milliseconds since 1970-01-01 UTC. For people: it orders nothing.
    pub submitted_at_ms: u64,
    /// Values of environments and stdin, readable for the workers of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// Set if it is a plan: the serde form of the engine's plan, without values of environments and
    /// stdin. A worker submits its steps. Such a ticket has a version of its own, so that a worker
    /// that knows no plans leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// SHA-256 of what the submitter asked for, without what is sealed. Two tickets of an id with the same one are of
    /// the same request, submitted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Bytes>,
}

impl Ticket {
    /// Returns `true` if it is too late to start the execution, so that a worker writes
    /// [`Expired`] instead of a claim. `now_ms` is in milliseconds since 1970-01-01 UTC.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.start_by_ms.is_some_and(|start_by_ms| now_ms > start_by_ms)
    }
}

/// What lists show of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTitle {
    /// Number of its steps.
    pub steps: u32,
    /// The first words of its description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Shows the id and no values: a request has secrets in its arguments, too.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Bytes that only holders of a key can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which key of the pool it is sealed to.
    pub key_id: String,
    /// The sealed bytes.
    #[serde(rename = "box")]
    pub bytes: Bytes,
}

/// One start of an execution, as records name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Start {
    /// Which attempt it is; the first is 1.
    pub attempt: u32,
    /// How many attempts there may be.
    pub of: u32,
    /// Sequence of the claim in the log. Each start has a higher one than those before it.
    pub fence: u64,
    /// The worker that claimed it.
    pub worker: String,
    /// Public key that signed the claim; empty without signatures. Only what this key signs is the
    /// word of the worker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

/// A record that decides about an execution. Their order in the log is what counts.
///
/// A kind that this version does not know is read as [`Record::Unknown`]. A kind that decides anything
/// needs a new version of the format, which older readers refuse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A worker wants to make the next start.
    Claim(Claim),
    /// The worker of a start restates its claim, before the log forgets it.
    Hold(Hold),
    /// A worker reports how its start ended.
    End(End),
    /// The worker of a start is gone.
    Lost(Lost),
    /// It is too late to start the execution.
    Expired(Expired),
    /// A client wants the execution to end.
    Cancel(Cancel),
    /// A kind of a later version, which decides nothing.
    #[serde(other)]
    Unknown,
}

impl Record {
    /// Returns the start that the record names; a claim and a cancel name none.
    pub fn start(&self) -> Option<&Start> {
        match self {
            Self::Hold(hold) => Some(&hold.start),
            Self::End(end) => Some(&end.start),
            Self::Lost(lost) => Some(&lost.start),
            Self::Expired(expired) => expired.after.as_ref(),
            Self::Claim(_) | Self::Cancel(_) | Self::Unknown => None,
        }
    }
}

/// A worker wants to make a start. The sequence of this record is the fence of the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Which attempt it would be; the first is 1.
    pub attempt: u32,
    /// How many attempts the ticket allows.
    pub of: u32,
    /// The worker, which wrote this.
    pub worker: String,
    /// The command of the ticket, for readers when the ticket is gone.
    pub command: String,
    /// When the ticket was submitted, in milliseconds since 1970-01-01 UTC. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at_ms: Option<u64>,
    /// [`Ticket::asked`], for readers when the ticket is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Bytes>,
    /// Serde form of the metadata of the request, if that is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Set if it is a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanTitle>,
    /// Whether a lease guard ends all that the worker runs when its lease is over, also if the worker
    /// is stopped, and control groups hold all of its processes.
    #[serde(default)]
    pub exclusive: bool,
    /// Public key of the worker, which signs this; empty without signatures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The ticket that the worker has.
    pub ticket: TicketDigest,
    /// Handle of the delivery of the ticket: when the worker is gone, another one gives the ticket
    /// back by it.
    pub delivery: DeliveryHandle,
    /// Version of the engine of the worker.
    pub engine: String,
    /// Containment level of the worker, in the engine's words.
    pub containment: String,
    /// Sandbox level of the worker.
    pub sandbox: String,
    /// When it was written, by the clock of the worker, in milliseconds since 1970-01-01 UTC. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// The worker of a start, which wrote this, restates its claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The start.
    pub start: Start,
    /// The ticket of the claim.
    pub ticket: TicketDigest,
    /// Handle of the delivery, as in the claim.
    pub delivery: DeliveryHandle,
    /// How many bytes of output the start has published.
    pub output: u64,
}

/// The worker of a start, which wrote this, reports its ending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The start.
    pub start: Start,
    /// Serde form of the engine's ending.
    pub ending: Value,
    /// Serde form of the engine's result, without the text of the output.
    pub result: Value,
    /// How many bytes of output the start has published.
    pub output_end: u64,
    /// Set if the program ran, for readers that no [`Output`] has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
}

/// The worker of a start is gone. The next attempt may begin, if there is one left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The start.
    pub start: Start,
    /// The worker that found it, which wrote this.
    pub by: String,
    /// What was found.
    pub reason: String,
    /// When it was written, by the clock of its writer, in milliseconds since 1970-01-01 UTC. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// It is too late to start the execution, for the first time or again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The last start, which was lost; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Start>,
    /// The worker that had the ticket, which wrote this.
    pub by: String,
    /// The moment of the ticket, in milliseconds since 1970-01-01 UTC.
    pub start_by_ms: u64,
    /// When it was written, by the clock of its writer, in milliseconds since 1970-01-01 UTC. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// A client wants the execution to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Who, as a client names itself.
    pub by: String,
    /// Why, for people.
    pub reason: String,
    /// How long the program has to end by itself, in milliseconds, in place of what its request says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// When it was written, by the clock of its writer, in milliseconds since 1970-01-01 UTC. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Output of one start, in the order in which it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Which attempt it belongs to; the first is 1.
    pub attempt: u32,
    /// Fence of the start.
    pub fence: u64,
    /// How many bytes the start has written before these, with those that are missing.
    pub from: u64,
    /// Bytes that are missing right before these; they count in `from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<(Stream, u64)>,
    /// Which bytes are of which stream: lengths, whose sum is that of `bytes` or of `object`.
    pub runs: Vec<(Stream, u32)>,
    /// The bytes; none if they are in an object, or the record tells of the start alone.
    pub bytes: Bytes,
    /// The object with the bytes, if the start has written too much for the log. A reader that does not
    /// know this field finds that the sum of the runs does not fit, ignores the record, and counts the
    /// bytes as missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<OutputObject>,
    /// Set in the first record of a start: its program runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
}

/// Output that lies in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputObject {
    /// Name of the object, of the kind [`ObjectKind::Output`](crate::ObjectKind::Output).
    pub name: String,
    /// Its size in bytes, from 1 to [`MAX_PART_BYTES`](crate::MAX_PART_BYTES).
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// The program of a start runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its process id on the worker.
    pub pid: u32,
    /// When, in milliseconds since 1970-01-01 UTC. For people: it orders nothing.
    pub at_ms: u64,
}

/// Standard input of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// How many bytes were sent before these, as the program reads them.
    pub from: u64,
    /// The bytes; may be empty at the end.
    pub bytes: Bytes,
    /// How many bytes the program reads of them, if they are sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<u64>,
    /// The key of the pool that the bytes are sealed to; `None` if they are as the program reads
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Whether the input ends behind them.
    #[serde(default)]
    pub eof: bool,
}

impl Input {
    /// Returns how many bytes of the input were sent up to the end of this piece, as the program reads
    /// them.
    pub fn end(&self) -> u64 {
        self.from.saturating_add(self.opened.unwrap_or(self.bytes.len() as u64))
    }
}
