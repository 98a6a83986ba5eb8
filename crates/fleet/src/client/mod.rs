//! A client of a fleet: submits, follows, cancels and controls executions.

mod fetch;
mod follow;
mod input;
mod key;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::cluster::{Cluster, ClusterError, ExecutionName, Expect, LogPart, NewRecord};
use crate::control::{ControlAction, ControlAnswer, ControlRequest, from_bytes, to_bytes};
use crate::error::FleetError;
use crate::fold::{Outcome, State, fold, fold_part, open_part};
use crate::place::QueuePlace;
use crate::plan::title_of;
use crate::reader::{Known, decisions, read_all, read_state, repeat};
use crate::record::{Cancel, Claim, End, PlanTitle, Record, Ticket, TicketDigest};
use crate::sign::Verifier;
use crate::wire::{decode, encode};

pub use follow::{FleetEvent, Follower, Position};

/// Executions of a list that are asked for at once.
const AT_ONCE: usize = 64;

/// How long a client repeats a call that gets no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of an execution.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its state.
    pub state: State,
    /// Its command in one line; empty if the log has lost it.
    pub command: String,
    /// When it was submitted, in milliseconds since 1970-01-01 UTC.
    pub submitted_at_ms: Option<u64>,
    /// Serde form of the engine's metadata.
    pub metadata: Option<Value>,
    /// Set if it is a plan.
    pub plan: Option<PlanTitle>,
    /// Whether no other start could live while the last one did, as its worker says.
    pub exclusive: bool,
    /// When the last start was claimed, by the clock of its worker, in milliseconds since 1970-01-01 UTC.
    pub claimed_at_ms: Option<u64>,
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

    /// Returns the claims in a part of what decides about an execution, with their sequences.
    fn claims(
        &self,
        id: Uuid,
        part: &LogPart,
    ) -> Result<impl Iterator<Item = (u64, Claim)>, FleetError> {
        let records = open_part(&self.verifier, &decisions(&self.tenant, id), part)?;
        Ok(records.into_iter().filter_map(|(seq, record)| match record {
            Record::Claim(claim) => Some((seq, claim)),
            _ => None,
        }))
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

    /// Returns what is known of an execution.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotFound`] if neither the queue nor the log knows it.
    pub async fn describe(&self, id: Uuid) -> Result<Described, FleetError> {
        let (queued, part) = self.found(id).await?;
        self.described(id, &queued, &part)
    }

    /// Returns what its ticket and its records say of an execution.
    fn described(
        &self,
        id: Uuid,
        queued: &[(QueuePlace, Bytes)],
        part: &LogPart,
    ) -> Result<Described, FleetError> {
        let state = fold_part(&self.verifier, &decisions(&self.tenant, id), part)?;
        let ticket = queued.first().and_then(|(_, bytes)| decode::<Ticket>(bytes).ok());
        let claims: Vec<_> = self.claims(id, part)?.collect();
        let start = state.starts().last();
        let of_start = start.and_then(|start| claims.iter().find(|(seq, _)| *seq == start.fence));
        let started = of_start.map(|(_, claim)| (claim.exclusive, claim.at_ms));
        let (exclusive, claimed_at_ms) = started.unwrap_or_default();
        let claim = claims.into_iter().next();
        let of_claim = || {
            claim.map(|(_, claim)| {
                (claim.command, claim.submitted_at_ms, claim.metadata, claim.plan)
            })
        };
        let of_ticket = ticket.map(|ticket| {
            let (metadata, plan) = (ticket.request.get("metadata").cloned(), title_of(&ticket));
            (ticket.command, Some(ticket.submitted_at_ms), metadata, plan)
        });
        let known = of_ticket.or_else(of_claim).unwrap_or_default();
        let (command, submitted_at_ms, metadata, plan) = known;
        Ok(Described { state, command, submitted_at_ms, metadata, plan, exclusive, claimed_at_ms })
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
        let cancel = Cancel { by: self.name.clone(), reason: reason.to_owned(), grace_ms };
        let record = NewRecord {
            subject: decisions(&self.tenant, id),
            bytes: encode(&Record::Cancel(cancel))?.into(),
            name: format!("{}.cancel.{}", id.simple(), Uuid::new_v4().simple()),
            expect,
        };
        let until = Instant::now() + PATIENCE;
        Ok(repeat(until, || self.cluster.append(record.clone())).await?)
    }

    /// Returns what is known of all executions of the tenant, in no order.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if the servers do not answer.
    pub async fn describe_all(&self) -> Result<Vec<(Uuid, Described)>, FleetError> {
        let places = self.cluster.places(&self.tenant).await?;
        let logged: BTreeSet<_> =
            self.cluster.executions(&self.tenant).await?.into_iter().collect();
        let queued = places.into_iter().map(|place| place.id);
        let ids: BTreeSet<_> = queued.chain(logged.iter().copied()).collect();
        let described = stream::iter(ids).map(|id| {
            let is_logged = logged.contains(&id);
            async move { Ok::<_, FleetError>((id, self.describe_listed(id, is_logged).await?)) }
        });
        let described: Vec<_> = described.buffered(AT_ONCE).try_collect().await?;
        Ok(described.into_iter().filter_map(|(id, described)| Some((id, described?))).collect())
    }

    /// Returns what is known of an execution of a list, from its ticket or its records alone if that is enough; `None`
    /// if it is not known any more.
    async fn describe_listed(
        &self,
        id: Uuid,
        is_logged: bool,
    ) -> Result<Option<Described>, FleetError> {
        let (mut queued, mut part) = (Vec::new(), LogPart { first_seq: 1, ..LogPart::default() });
        let is_enough = if is_logged {
            part = read_all(&*self.cluster, &decisions(&self.tenant, id), 1, 0).await?;
            self.claims(id, &part)?.next().is_some()
        } else {
            queued = self.cluster.find_tickets(&self.tenant, id).await?;
            !queued.is_empty()
        };
        if is_enough {
            return self.described(id, &queued, &part).map(Some);
        }
        match self.describe(id).await {
            Err(FleetError::NotFound(_)) => Ok(None),
            described => described.map(Some),
        }
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
