//! A client of a fleet: submits, follows, cancels and controls executions.

mod describe;
mod fetch;
mod follow;
mod input;
mod key;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::cluster::{Cluster, ClusterError, ExecutionName, Expect, LogPart, NewRecord};
use crate::control::{ControlAction, ControlAnswer, ControlRequest, from_bytes, to_bytes};
use crate::error::FleetError;
use crate::fold::{Outcome, State, fold, fold_part, open_part};
use crate::place::QueuePlace;
use crate::reader::{Known, decisions, read_all, read_state, repeat};
use crate::record::{Cancel, End, Record, Ticket, TicketDigest};
use crate::sign::Verifier;
use crate::wire::{decode, encode};

pub use describe::Described;
pub use follow::{FleetEvent, Follower, Position};

/// How long a client repeats a call that gets no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the time in milliseconds since 1970-01-01 UTC.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default()
}

/// Submits and follows executions for one tenant. Clones are cheap and share the connection.
#[derive(Clone)]
pub struct FleetClient {
    cluster: Arc<dyn Cluster>,
    tenant: String,
    /// Who cancels, for people.
    name: String,
    verifier: Arc<Verifier>,
}

impl FleetClient {
    /// Creates a client of a tenant. `name` stands in the records of what it cancels. The verifier is
    /// that of the tenant.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        verifier: Arc<Verifier>,
        tenant: &str,
        name: &str,
    ) -> Self {
        Self { cluster, tenant: tenant.to_owned(), name: name.to_owned(), verifier }
    }

    pub(crate) async fn known(&self, id: Uuid, until: u64) -> Result<Known, FleetError> {
        let subject = decisions(&self.tenant, id);
        read_state(&*self.cluster, &self.verifier, &subject, until).await
    }

    /// Submits a ticket. `Ok` means that a majority of servers has it, or one of the same request with
    /// the same id: submitting again is harmless. What was asked for by an execution that was cancelled before its
    /// start is not known any more, and taken for the same.
    ///
    /// # Errors
    ///
    /// [`FleetError::AlreadyExists`] if a ticket of another request has the id. [`FleetError::OutcomeUnknown`] if no
    /// answer came: the ticket may have been taken. With all other errors it was not.
    pub async fn submit(&self, ticket: &Ticket, place: &QueuePlace) -> Result<(), FleetError> {
        let bytes: Bytes = encode(ticket)?.into();
        let id = place.id;
        let until = Instant::now() + PATIENCE;
        if repeat(until, || self.is_known(ticket, &bytes)).await? {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        let unknown = |reason| FleetError::OutcomeUnknown { id, reason };
        match repeat(until, || self.cluster.enqueue(place, bytes.clone())).await {
            Ok(()) => Ok(()),
            // By another ticket, or by this one, if an answer got lost.
            Err(ClusterError::AlreadyQueued) => {
                match repeat(until, || self.is_known(ticket, &bytes)).await {
                    Ok(true) => Ok(()),
                    // It has left the queue in this moment: the log says whose it was.
                    Ok(false) => Err(FleetError::AlreadyExists(id)),
                    Err(FleetError::Cluster(ClusterError::NoAnswer(reason))) => {
                        Err(unknown(reason))
                    }
                    Err(error) => Err(error),
                }
            }
            Err(ClusterError::NoAnswer(reason)) => Err(unknown(reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns `true` if this ticket, or one of the same request, was taken before.
    ///
    /// # Errors
    ///
    /// [`FleetError::AlreadyExists`] if another ticket with its id was.
    async fn is_known(&self, ticket: &Ticket, bytes: &Bytes) -> Result<bool, FleetError> {
        let (id, subject) = (ticket.id, decisions(&self.tenant, ticket.id));
        let is_same = |asked: &Option<Bytes>| asked.is_some() && *asked == ticket.asked;
        let queued = self.cluster.find_tickets(&self.tenant, id).await?;
        let is_own = |other: &Bytes| {
            other == bytes || decode::<Ticket>(other).is_ok_and(|other| is_same(&other.asked))
        };
        if queued.iter().any(|(_, other)| is_own(other)) {
            return Ok(true);
        }
        let newest = self.cluster.newest(&subject).await?;
        if newest == 0 && queued.is_empty() {
            return Ok(false);
        }
        let part = read_all(&*self.cluster, &subject, 1, newest).await?;
        let state = fold_part(&self.verifier, &subject, &part)?;
        let claim = self.claims(id, &part)?.next();
        let is_same = match claim {
            Some((_, claim)) => claim.ticket == TicketDigest::of(bytes) || is_same(&claim.asked),
            None => queued.is_empty() && state.outcome().is_some(),
        };
        if is_same { Ok(true) } else { Err(FleetError::AlreadyExists(id)) }
    }

    /// Returns what decides about an execution.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotFound`] if neither the queue nor the log knows it.
    async fn found(&self, id: Uuid) -> Result<(Vec<(QueuePlace, Bytes)>, LogPart), FleetError> {
        let subject = decisions(&self.tenant, id);
        // The queue first: a ticket leaves it after the record that says why.
        let queued = self.cluster.find_tickets(&self.tenant, id).await?;
        let mut part = read_all(&*self.cluster, &subject, 1, 0).await?;
        if part.records.is_empty() && queued.is_empty() {
            // A server may be behind. The one that is not says whether there is anything.
            match self.cluster.newest(&subject).await? {
                0 => return Err(FleetError::NotFound(id)),
                newest => part = read_all(&*self.cluster, &subject, 1, newest).await?,
            }
        }
        Ok((queued, part))
    }

    /// Returns the state of an execution; that of one without records if it is queued.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotFound`] if neither the queue nor the log knows it.
    pub async fn state(&self, id: Uuid) -> Result<State, FleetError> {
        let (_, part) = self.found(id).await?;
        Ok(fold_part(&self.verifier, &decisions(&self.tenant, id), &part)?)
    }

    /// Returns the ticket of an execution, as long as it is in the queue.
    pub(crate) async fn queued(&self, id: Uuid) -> Result<Option<Ticket>, FleetError> {
        let queued = self.cluster.find_tickets(&self.tenant, id).await?;
        Ok(queued.first().map(|(_, bytes)| decode::<Ticket>(bytes)).transpose()?)
    }

    /// Returns the state of an execution with all records up to a sequence, and what the worker of its
    /// last start reported. An id without any record has a state, too.
    pub(crate) async fn look(
        &self,
        id: Uuid,
        until: u64,
    ) -> Result<(Known, Option<Box<End>>), FleetError> {
        let subject = decisions(&self.tenant, id);
        let part = read_all(&*self.cluster, &subject, 1, until).await?;
        let records = open_part(&self.verifier, &subject, &part)?;
        let state = fold(part.first_seq, &records);
        let last = records.last().map_or(0, |(seq, _)| *seq);
        let reported = state.report().map(|report| report.seq);
        let end = records.into_iter().find_map(|(seq, record)| match record {
            Record::End(end) if Some(seq) == reported => Some(Box::new(end)),
            _ => None,
        });
        Ok((Known { state, last }, end))
    }

    /// Appends a cancel, also for an id that nothing knows: then no ticket with it is ever started.
    /// Returns its sequence.
    pub(crate) async fn append_cancel(
        &self,
        id: Uuid,
        reason: &str,
        grace: Option<Duration>,
        expect: Expect,
    ) -> Result<u64, FleetError> {
        let grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let (by, at_ms) = (self.name.clone(), Some(now_ms()));
        let cancel = Cancel { by, reason: reason.to_owned(), grace_ms, at_ms };
        let record = NewRecord {
            subject: decisions(&self.tenant, id),
            bytes: encode(&Record::Cancel(cancel))?.into(),
            name: format!("{}.cancel.{}", id.simple(), Uuid::new_v4().simple()),
            expect,
        };
        let until = Instant::now() + PATIENCE;
        Ok(repeat(until, || self.cluster.append(record.clone())).await?)
    }

    /// Returns the ids of all executions of the tenant that the queue or the log knows.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if the servers do not answer.
    pub async fn list(&self) -> Result<BTreeSet<Uuid>, FleetError> {
        let places = self.cluster.places(&self.tenant).await?;
        let mut ids: BTreeSet<_> = places.into_iter().map(|place| place.id).collect();
        ids.extend(self.cluster.executions(&self.tenant).await?);
        Ok(ids)
    }

    /// Cancels an execution. `Ok` means that [`Outcome::Cancelled`] is what became of it, by this
    /// cancel or an earlier one. With a grace its program has this long to end by itself, in place of what its
    /// request says, and no longer than that if it is being stopped already.
    ///
    /// # Errors
    ///
    /// [`FleetError::AlreadyEnded`] if something else had decided before. After
    /// [`ClusterError::NoAnswer`] it may be cancelled or not; cancelling again tells.
    pub async fn cancel(
        &self,
        id: Uuid,
        reason: &str,
        grace: Option<Duration>,
    ) -> Result<(), FleetError> {
        let mut state = self.state(id).await?;
        let hastens = grace.is_some() && state.running().is_some();
        if state.outcome().is_none() || hastens {
            let seq = self.append_cancel(id, reason, grace, Expect::Anything).await?;
            let until = Instant::now() + PATIENCE;
            state = repeat(until, || self.known(id, seq)).await?.state;
        }
        match state.outcome() {
            Some(Outcome::Cancelled { .. }) => Ok(()),
            Some(_) => Err(FleetError::AlreadyEnded { id, state: Box::new(state) }),
            None => Err(ClusterError::NoAnswer("the cancel is not in the log".to_owned()).into()),
        }
    }

    /// Sends a signal, pauses or resumes. Returns the number of processes that were reached.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotRunning`] if no worker runs it now, [`FleetError::AlreadyEnded`] if it has
    /// ended, [`FleetError::Refused`] with what the worker says. After [`ClusterError::NoAnswer`] it may
    /// have been done or not.
    pub async fn control(&self, id: Uuid, action: ControlAction) -> Result<u32, FleetError> {
        let state = self.state(id).await?;
        if state.outcome().is_some() {
            return Err(FleetError::AlreadyEnded { id, state: Box::new(state) });
        }
        let start = state.running().ok_or(FleetError::NotRunning(id))?;
        let request = to_bytes(&ControlRequest { fence: start.fence, action });
        let of = ExecutionName { tenant: self.tenant.clone(), id };
        let answer = self.cluster.ask(&start.worker, Some(&of), request).await?;
        let refused = |reason| FleetError::Refused { id, worker: start.worker.clone(), reason };
        from_bytes::<ControlAnswer>(&answer).and_then(|answer| answer).map_err(refused)
    }

    /// Follows an execution from its beginning ([`Position::default`]), or behind an event that was
    /// seen.
    pub fn follow(&self, id: Uuid, after: Position) -> Follower {
        let verifier = Arc::clone(&self.verifier);
        Follower::new(Arc::clone(&self.cluster), verifier, &self.tenant, id, after)
    }
}
