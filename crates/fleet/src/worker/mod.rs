//! A worker of a fleet: takes tickets, makes starts, reports endings.
//!
//! | module | content |
//! |---|---|
//! | `options` | settings and times |
//! | `runner` | [`Runner`]: what makes the starts |
//! | `lease` | announces the worker, and knows until when it may run anything |
//! | `intake` | takes tickets while there are free slots |
//! | `attend` | what becomes of one ticket: claim, start, end |
//! | `start` | one start, from its claim until it is over |
//! | `input` | standard input of a start |
//! | `publisher` | output of a start, as records |
//! | `parts` | output that is too much for the log, as objects |
//! | `look` | wakes starts whose records changed |
//! | `certificate` | ends the worker before its certificate is over |
//! | `calls` | answers requests about executions that run |
//! | `sweep` | declares the starts of dead workers lost |

mod attend;
mod calls;
mod certificate;
mod input;
mod intake;
mod lease;
mod look;
mod options;
mod parts;
mod publisher;
mod runner;
mod start;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cluster::{Cluster, ClusterError, LogSubject};
use crate::error::FleetError;
use crate::lease::Lease;
use crate::place::QueueName;
use crate::presence::Presence;
use crate::reader::{Known, read_state};
use crate::record::Record;
use crate::wire::encode;
use lease::HeldLease;

pub use lease::{Clock, LeaseGuard};
pub use options::{LargeOutput, OnSlow, WorkerOptions, WorkerTimes};
pub use runner::{Description, Program, ProgramEvent, ProgramEvents, Runner, RunningProgram};

/// Why a worker ended that was not told to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It could not renew its lease in time: all that it ran is stopped, and others may take its work.
    #[error("the lease of worker {0} is over; start a worker anew, with a new name")]
    LeaseOver(String),
    /// A task of it has panicked, which is a bug. What it runs is given up with its lease.
    #[error("a task of worker {0} has panicked; start a worker anew, with a new name")]
    Panicked(String),
    /// Its certificate is over, so that nothing that it records would count.
    #[error("the certificate of worker {0} is over; ask for a new one, and start a worker with it")]
    CertificateOver(String),
    /// The servers do not know the fleet, or refuse the worker.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// How far a worker is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Working,
    /// It takes no tickets, and ends when nothing runs.
    Draining,
    /// What runs is stopped and given back.
    Evicting,
}

/// A worker of a fleet. Clones are handles of the same one.
#[derive(Clone)]
pub struct Worker(Arc<Core>);

/// Plans that a worker conducts, beside the executions that it runs: with slots of their own, so that
/// they never take those that their steps need.
pub struct PlanIntake {
    /// Conducts them.
    pub runner: Arc<dyn Runner>,
    /// The queues that they are taken from, with the weights of their tenants.
    pub queues: Vec<(QueueName, u32)>,
    /// How many are conducted at a time.
    pub slots: usize,
}

/// Tickets that are taken, and how many at a time.
struct Intake {
    queues: Vec<(QueueName, u32)>,
    slots: Arc<Semaphore>,
}

/// What the tasks of a worker share.
struct Core {
    cluster: Arc<dyn Cluster>,
    runner: Arc<dyn Runner>,
    /// Conducts plans.
    plans: Option<Arc<dyn Runner>>,
    options: WorkerOptions,
    clock: Arc<dyn Clock>,
    /// Random, and in the name of each record: servers take a record with a name that they know for a
    /// repeat, and others could write one first.
    nonce: String,
    intakes: Vec<Intake>,
    lease: HeldLease,
    phase: watch::Sender<Phase>,
    /// The starts that were made, by their executions and fences. Executions are named by their decisions here
    /// and below: tenants may use the same id.
    begun: Mutex<BTreeSet<(LogSubject, u64)>>,
    /// Executions whose tickets are attended to.
    attended: Mutex<BTreeSet<LogSubject>>,
    /// What runs. An execution has one start here at a time.
    running: Mutex<BTreeMap<LogSubject, Arc<Running>>>,
}

/// A start that this worker makes, as its other tasks see it.
struct Running {
    subject: LogSubject,
    fence: u64,
    is_plan: bool,
    program: Arc<dyn Program>,
    /// Sequence of the last record that decides, as far as it was read.
    seen: Mutex<u64>,
    /// Notified when there is a later one.
    changed: Notify,
}

impl Worker {
    /// Creates a worker, which does nothing before [`run`](Self::run). The guard is told until when
    /// the worker and what it runs may live.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        guard: Arc<dyn LeaseGuard>,
        options: WorkerOptions,
    ) -> Self {
        Self::with_plans(cluster, runner, clock, guard, options, None)
    }

    /// Creates a worker that also conducts plans.
    pub fn with_plans(
        cluster: Arc<dyn Cluster>,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        guard: Arc<dyn LeaseGuard>,
        options: WorkerOptions,
        plans: Option<PlanIntake>,
    ) -> Self {
        let intake = |queues, slots| Intake { queues, slots: Arc::new(Semaphore::new(slots)) };
        let mut intakes = vec![intake(options.queues.clone(), options.slots)];
        let plans = plans.map(|plans| {
            intakes.push(intake(plans.queues, plans.slots));
            plans.runner
        });
        Self(Arc::new(Core {
            cluster,
            runner,
            plans,
            intakes,
            lease: HeldLease::new(guard, Arc::clone(&clock), Lease::new(options.times.lease)),
            options,
            clock,
            nonce: Uuid::new_v4().simple().to_string(),
            begun: Mutex::default(),
            phase: watch::Sender::new(Phase::Working),
            attended: Mutex::default(),
            running: Mutex::default(),
        }))
    }

    /// Works until it was [drained](Self::drain) or [evicted](Self::evict) and nothing runs.
    ///
    /// # Errors
    ///
    /// [`WorkerError::LeaseOver`] if the servers could not be reached for too long: the programs are
    /// told to stop at once. [`WorkerError::Cluster`] if they refuse the worker,
    /// [`WorkerError::CertificateOver`] if it may not sign, [`WorkerError::Panicked`] after a bug.
    pub async fn run(&self) -> Result<(), WorkerError> {
        let core = &self.0;
        let certificate = core.certificate()?;
        core.first_announcement().await?;
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(core).keep_announcing());
        background.spawn(Arc::clone(core).keep_looking());
        background.spawn(Arc::clone(core).keep_answering());
        background.spawn(Arc::clone(core).keep_sweeping());
        background.spawn(Arc::clone(core).keep_to(certificate));
        tokio::select! {
            biased;
            () = core.lease.over() => return Err(WorkerError::LeaseOver(core.options.id.clone())),
            // None of them ends by itself.
            Some(_) = background.join_next() => {
                return Err(WorkerError::Panicked(core.options.id.clone()));
            }
            _ = join_all(core.intakes.iter().map(|intake| core.take_tickets(intake))) => {}
        }
        // Nothing of this worker is left that would have to be swept.
        background.shutdown().await;
        if let Err(error) = core.cluster.withdraw(&core.options.id).await {
            tracing::debug!(%error, "the presence of the worker passes by itself");
        }
        Ok(())
    }

    /// Takes no more tickets. [`run`](Self::run) returns when what runs has ended.
    pub fn drain(&self) {
        self.0.set_phase(Phase::Draining);
    }

    /// Takes no more tickets, and stops what runs: executions with attempts left are started again
    /// by another worker, the others end as lost.
    pub fn evict(&self) {
        self.0.set_phase(Phase::Evicting);
    }

    /// Returns how many executions this worker runs now, with plans that it conducts.
    pub fn running(&self) -> usize {
        self.0.running.lock().len()
    }
}

impl Core {
    fn set_phase(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_later = *phase < next;
            *phase = next.max(*phase);
            is_later
        });
    }

    /// Waits until the worker has come to this phase. Cancel safe.
    async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as `self`.
        let _closed = phases.wait_for(|now| *now >= phase).await;
    }

    /// Returns what makes the starts of plans, or of executions.
    fn runner_of(&self, is_plan: bool) -> &dyn Runner {
        let plans = self.plans.as_deref().filter(|_| is_plan);
        plans.unwrap_or(&*self.runner)
    }

    /// Returns what the worker says of itself now.
    fn presence(&self) -> Bytes {
        let presence = Presence {
            running: self.running.lock().values().filter(|running| !running.is_plan).count() as u32,
            draining: *self.phase.borrow() != Phase::Working,
            ..self.options.presence.clone()
        };
        // What was given is checked by the first announcement; an empty one names the worker alone.
        encode(&presence).unwrap_or_default().into()
    }

    /// Reads the state of an execution, with all records up to a sequence.
    async fn known(&self, subject: &LogSubject, until: u64) -> Result<Known, FleetError> {
        let verifier = self.options.verifiers.get(&subject.tenant);
        let unknown = || ClusterError::Refused(format!("tenant {} is not known", subject.tenant));
        read_state(&*self.cluster, verifier.ok_or_else(unknown)?, subject, until).await
    }

    /// Returns the name of a record, under which it is repeated.
    fn record_name(&self, subject: &LogSubject, what: &str) -> String {
        format!("{}.{what}.{}", subject.id.simple(), self.nonce)
    }

    /// Returns the bytes of a record of this worker.
    fn signed(&self, subject: &LogSubject, record: &Record) -> Result<Bytes, FleetError> {
        Ok(self.options.signer.sign(subject, record, self.clock.unix_ms())?)
    }
}
