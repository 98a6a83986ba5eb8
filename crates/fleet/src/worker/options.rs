//! Settings of a worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::lease::LeaseSettings;
use crate::place::QueueName;
use crate::presence::Presence;
use crate::sign::{Signer, Verifier};
use crate::wire::MAX_PART_BYTES;

/// Settings of a worker.
#[derive(Debug)]
pub struct WorkerOptions {
    /// Names the worker; new for each process.
    pub id: String,
    /// The queues that it takes tickets from, with the weights of their tenants.
    pub queues: Vec<(QueueName, u32)>,
    /// How many executions it runs at a time.
    pub slots: usize,
    /// What it says of itself. What it runs is filled in.
    pub presence: Presence,
    /// Signs its records.
    pub signer: Signer,
    /// Checks the records of each tenant of the queues.
    pub verifiers: BTreeMap<String, Arc<Verifier>>,
    /// Its times.
    pub times: WorkerTimes,
    /// What becomes of output that is too much for the log.
    pub large_output: LargeOutput,
}

/// What becomes of the output of a start that is too much for the log: it goes to objects, in parts.
#[derive(Debug, Clone)]
pub struct LargeOutput {
    /// How many bytes of output of a start go to the log before that.
    pub after: u64,
    /// Most bytes of an object, from 1 to [`MAX_PART_BYTES`](crate::MAX_PART_BYTES).
    pub part_bytes: usize,
    /// How long output waits for more, to be one object.
    pub linger: Duration,
    /// What happens while the servers do not take an object.
    pub on_slow: OnSlow,
    /// How long a part is held before it is given up, where it may be.
    pub give_up_after: Duration,
}

/// What happens to a program whose output the servers take too slowly. A part that they *refuse*,
/// because they have no room, is given up in any case, and the program goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnSlow {
    /// It waits, with full pipes.
    #[default]
    Pace,
    /// It goes on, and readers are told how many bytes are missing.
    Miss,
}

impl Default for LargeOutput {
    fn default() -> Self {
        Self {
            after: 8 * 1024 * 1024,
            part_bytes: MAX_PART_BYTES,
            linger: Duration::from_secs(1),
            on_slow: OnSlow::Pace,
            give_up_after: Duration::from_secs(10),
        }
    }
}

/// Times of a worker.
#[derive(Debug, Clone)]
pub struct WorkerTimes {
    /// Those of its lease.
    pub lease: LeaseSettings,
    /// How often it says of a ticket that it is at work; a third of the time after which the servers
    /// deliver the ticket again.
    pub progress_every: Duration,
    /// How often it looks for records that it was not woken for.
    pub look_every: Duration,
    /// How long a request for tickets waits at the servers.
    pub fetch_wait: Duration,
    /// How long a ticket waits that this worker cannot judge now: another one runs the execution, or a
    /// later version wrote it.
    pub later: Duration,
    /// How often the worker that sweeps looks for dead workers. Less than the lease.
    pub sweep_every: Duration,
    /// How long the right to sweep stays with a worker that does not renew it.
    pub sweep_ttl: Duration,
    /// How long output waits for more, to be one record.
    pub linger: Duration,
    /// How often a start restates its claim: a quarter of the age at which records are removed.
    pub hold_every: Duration,
}

impl Default for WorkerTimes {
    fn default() -> Self {
        Self {
            lease: LeaseSettings::default(),
            progress_every: Duration::from_secs(15),
            look_every: Duration::from_secs(2),
            fetch_wait: Duration::from_secs(3),
            later: Duration::from_secs(20),
            sweep_every: Duration::from_secs(4),
            sweep_ttl: Duration::from_secs(10),
            linger: Duration::from_millis(20),
            hold_every: Duration::from_secs(15 * 60),
        }
    }
}
