//! Where a ticket lies in the queue, and what it requires of a worker.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::name::{NameError, check_name};

/// What a worker must have to run an execution. The default requires nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requires {
    /// The pool by its name; `None` takes the first pool whose workers have the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Labels with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Cores, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u64>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Other resources by name, such as `gpu`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
}

/// One queue: tickets of one pool, size class, tenant and priority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueName {
    /// For whom it runs.
    pub tenant: String,
    /// Which workers run it.
    pub pool: String,
    /// The size class of the pool.
    pub class: String,
    /// 0 is first, 2 is last.
    pub priority: u8,
}

/// Lowest priority of a queue, as a number the highest.
pub(crate) const LAST_PRIORITY: u8 = 2;

impl QueueName {
    /// Checks the names and the priority.
    ///
    /// # Errors
    ///
    /// [`NameError`] with the first field that could not be a part of a subject.
    pub fn check(&self) -> Result<(), NameError> {
        check_name("tenant", &self.tenant)?;
        check_name("pool", &self.pool)?;
        check_name("class", &self.class)?;
        match self.priority {
            0..=LAST_PRIORITY => Ok(()),
            other => Err(NameError { field: "priority", name: other.to_string() }),
        }
    }
}

/// The place of one ticket: the servers take one ticket for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueuePlace {
    /// The queue.
    pub queue: QueueName,
    /// The execution.
    pub id: Uuid,
}

/// Returns the shard of the log that has the records of an execution, from 0 to below `shards`. It is
/// the same in all versions.
///
/// ```
/// use execution_engine_fleet::shard_of;
/// use uuid::Uuid;
///
/// let shards = 16.try_into().unwrap();
/// assert_eq!(shard_of(Uuid::from_u128(1), shards), 12);
/// assert!((0..1000).all(|id| shard_of(Uuid::from_u128(id), shards) < 16));
/// ```
pub fn shard_of(id: Uuid, shards: NonZeroU16) -> u16 {
    // A digest, since ids that callers choose may be numbers in a row.
    let digest = Sha256::digest(id.as_bytes());
    u16::from_be_bytes([digest[0], digest[1]]) % shards
}
