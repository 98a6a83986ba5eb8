//! What is known of executions: for lists, and for people.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use uuid::Uuid;

use super::FleetClient;
use crate::cluster::LogPart;
use crate::error::FleetError;
use crate::fold::{State, fold, open_part};
use crate::place::QueuePlace;
use crate::plan::title_of;
use crate::reader::{decisions, read_all};
use crate::record::{Claim, PlanTitle, Record, Ticket};
use crate::wire::decode;

/// Executions of a list that are asked for at once.
const AT_ONCE: usize = 64;

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
    /// When what became of it was recorded, if no worker reported an end: the last cancel or loss, by the clock of who
    /// recorded it, in milliseconds since 1970-01-01 UTC. `None` also if the record does not tell it.
    pub ended_at_ms: Option<u64>,
}

impl FleetClient {
    /// Returns the claims in a part of what decides about an execution, with their sequences.
    pub(super) fn claims(
        &self,
        id: Uuid,
        part: &LogPart,
    ) -> Result<impl Iterator<Item = (u64, Claim)>, FleetError> {
        Ok(claims_of(open_part(&self.verifier, &decisions(&self.tenant, id), part)?))
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
        let records = open_part(&self.verifier, &decisions(&self.tenant, id), part)?;
        let state = fold(part.first_seq, &records);
        let ended_at_ms = closed_at_ms(part.first_seq, &records);
        let ticket = queued.first().and_then(|(_, bytes)| decode::<Ticket>(bytes).ok());
        let claims: Vec<_> = claims_of(records).collect();
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
        Ok(Described {
            state,
            command,
            submitted_at_ms,
            metadata,
            plan,
            exclusive,
            claimed_at_ms,
            ended_at_ms,
        })
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
}

fn claims_of(records: Vec<(u64, Record)>) -> impl Iterator<Item = (u64, Claim)> {
    records.into_iter().filter_map(|(seq, record)| match record {
        Record::Claim(claim) => Some((seq, claim)),
        _ => None,
    })
}

/// Returns when the record was written behind which nothing can change what became of an execution, if that is not the
/// end which a worker reports.
fn closed_at_ms(first_seq: u64, records: &[(u64, Record)]) -> Option<u64> {
    let mut state = State::before(first_seq, records);
    let closing = records.iter().find(|(seq, record)| {
        state.apply(*seq, record);
        state.is_closed()
    });
    match &closing?.1 {
        Record::Cancel(cancel) => cancel.at_ms,
        Record::Lost(lost) => lost.at_ms,
        Record::Expired(expired) => expired.at_ms,
        _ => None,
    }
}
