//! What becomes of one ticket: claim, start, end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Core;
use super::start::StartOutcome;
use crate::cluster::{ClusterError, Delivery, Expect, LogSubject, NewRecord, Settle};
use crate::error::FleetError;
use crate::fold::State;
use crate::pause::pause;
use crate::plan::title_of;
use crate::reader::{Known, NoAnswer as _, decisions, repeat};
use crate::record::{Claim, End, Expired, Lost, Record, Start, Ticket, TicketDigest};
use crate::wire::{MAX_TEXT_BYTES, RecordError, decode, encode};

/// How long the servers are asked again before that is told, and they are asked on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the log says that is to be done with a ticket.
enum Next {
    /// The start is this worker's.
    Start(Start),
    /// The start is another worker's, or there is none.
    None(Box<State>),
    /// The start was this worker's, and its end was never told.
    Lost(Start),
    Settle(Settle),
}

/// One ticket of an execution at a time, for as long as this lives.
struct Attended<'a> {
    core: &'a Core,
    subject: LogSubject,
}

impl<'a> Attended<'a> {
    /// Returns `None` if another ticket of the execution is attended to.
    fn new(core: &'a Core, subject: LogSubject) -> Option<Self> {
        let is_new = core.attended.lock().insert(subject.clone());
        is_new.then(|| Self { core, subject })
    }
}

impl Drop for Attended<'_> {
    fn drop(&mut self) {
        self.core.attended.lock().remove(&self.subject);
    }
}

impl Core {
    /// Attends to a ticket until its execution is over, or is another worker's.
    pub(super) async fn attend(self: Arc<Self>, delivery: Delivery) {
        let id = delivery.place.id;
        // A ticket may come again while its execution runs here.
        let subject = decisions(&delivery.place.queue.tenant, id);
        let Some(_attended) = Attended::new(&self, subject.clone()) else {
            return self.give_back(&delivery, self.later()).await;
        };
        let how = match self.attend_despite_panics(&delivery).await {
            Ok(how) => how,
            Err(FleetError::Record(RecordError::Newer { version })) => {
                tracing::warn!(%id, version, "a later version wrote the ticket or its records");
                self.later()
            }
            Err(error) => {
                tracing::warn!(%id, %error, "an execution could not be started here");
                self.later()
            }
        };
        if how == Settle::Done {
            // No start of it will ever count.
            self.begun.lock().retain(|(of, _)| *of != subject);
        }
        self.give_back(&delivery, how).await;
    }

    /// Tries once more after a panic: then a start that it has interrupted is found, and told to be lost.
    async fn attend_despite_panics(&self, delivery: &Delivery) -> Result<Settle, FleetError> {
        for _ in 0..2 {
            let attending = AssertUnwindSafe(self.try_attend(delivery)).catch_unwind();
            if let Ok(attended) = attending.await {
                return attended;
            }
            let id = delivery.place.id;
            tracing::error!(%id, "a task of this worker has panicked, which is a bug in it");
        }
        Ok(self.later())
    }

    async fn try_attend(&self, delivery: &Delivery) -> Result<Settle, FleetError> {
        let subject = decisions(&delivery.place.queue.tenant, delivery.place.id);
        let ticket = match decode::<Ticket>(&delivery.ticket) {
            Err(error @ RecordError::Newer { .. }) => return Err(error.into()),
            // What is sealed in it would be opened for others.
            Ok(ticket) if (&ticket.tenant, ticket.id) != (&subject.tenant, subject.id) => {
                Err(RecordError::Damaged { what: "it is of another execution".to_owned() })
            }
            ticket => ticket,
        };
        let plan = ticket.as_ref().ok().filter(|ticket| ticket.plan.is_some()).cloned();
        if plan.is_some() && self.plans.is_none() {
            return Ok(self.later());
        }
        if let Some(plan) = plan.as_ref().filter(|plan| !self.runner_of(true).can_open(plan)) {
            return self.leave_closed(&subject, plan).await;
        }
        let next = self.claim(&subject, delivery, ticket.as_ref().ok()).await?;
        // Without a lease nothing is started; the end of the worker is near.
        self.lease_is_held().await;
        let by = self.options.id.clone();
        let lost = |start, reason: &str| {
            let (reason, at_ms) = (reason.to_owned(), Some(self.clock.unix_ms()));
            Record::Lost(Lost { start, by, reason, at_ms })
        };
        let (start, record) = match (next, ticket) {
            (Next::Settle(how), _) => return Ok(how),
            (Next::None(state), _) => return self.settle_by(&state, plan.as_ref()).await,
            (Next::Lost(start), _) => {
                (start.clone(), lost(start, "its worker could not tell its end"))
            }
            (Next::Start(start), Err(error)) => {
                (start.clone(), Record::End(damaged(&start, &error)))
            }
            (Next::Start(start), Ok(ticket)) => {
                let made = self.make_start(&subject, delivery, ticket, &start).await;
                let record = match made {
                    StartOutcome::Ended(end) => Record::End(writable(*end)),
                    StartOutcome::GivenUp(reason) => lost(start.clone(), reason),
                };
                (start, record)
            }
        };
        let name = self.record_name(&subject, &format!("{}.end", start.fence));
        let (_, known) = self.write(&subject, &record, name, Expect::Anything).await?;
        self.settle_by(&known.state, plan.as_ref()).await
    }

    /// Returns at once while the lease is held, and never once it is over.
    pub(super) async fn lease_is_held(&self) {
        if !self.lease.is_held() {
            std::future::pending::<()>().await;
        }
    }

    /// Writes a record and reads what became of it. It is repeated for as long as this worker lives:
    /// until then nothing else may judge its start. Returns the sequence of the record, if its
    /// condition held.
    async fn write(
        &self,
        subject: &LogSubject,
        record: &Record,
        name: String,
        expect: Expect,
    ) -> Result<(Option<u64>, Known), FleetError> {
        let bytes = self.signed(subject, record)?;
        let record = NewRecord { subject: subject.clone(), bytes, name, expect };
        loop {
            let until = Instant::now() + PATIENCE;
            let (own, seq) = match repeat(until, || self.cluster.append(record.clone())).await {
                Ok(seq) => (Some(seq), seq),
                Err(ClusterError::Conflict { last }) => (None, last),
                // An end is written once the servers take it; a start is another worker's, then.
                Err(error) if !error.is_no_answer() && record.expect != Expect::Anything => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(id = %subject.id, %error, "a record could not be written; trying again");
                    pause(Duration::from_secs(1)).await;
                    continue;
                }
            };
            match repeat(until, || self.known(subject, seq)).await {
                Err(error) if error.is_no_answer() => {
                    tracing::warn!(id = %subject.id, %error, "a record could not be read; trying again");
                }
                read => return Ok((own, read?)),
            }
        }
    }

    /// Claims the next start of an execution, or finds that there is none for this worker.
    async fn claim(
        &self,
        subject: &LogSubject,
        delivery: &Delivery,
        ticket: Option<&Ticket>,
    ) -> Result<Next, FleetError> {
        // Most tickets come for the first time, so the first claim is tried without a look.
        let mut known = Known { state: State::new(1), last: 0 };
        loop {
            match known.state.running() {
                // Claimed by a record whose answer got lost. No other task makes the start: this one
                // alone attends to the execution.
                Some(start) if start.worker == self.options.id => {
                    // A start is made once. One that was made and runs no more was interrupted before its end
                    // was told: its program was stopped then.
                    let is_new = self.begun.lock().insert((subject.clone(), start.fence));
                    let start = start.clone();
                    return Ok(if is_new { Next::Start(start) } else { Next::Lost(start) });
                }
                None if known.state.outcome().is_none() => {}
                _ => return Ok(Next::None(Box::new(known.state))),
            }
            if !self.lease.is_held() {
                return Ok(Next::Settle(Settle::Again));
            }
            let record = self.opening_record(&known.state, ticket, delivery);
            let attempt = known.state.next_attempt().unwrap_or_default();
            let name = self.record_name(subject, &format!("{attempt}.claim.{}", known.last));
            let expect = Expect::Last(known.last);
            let own;
            (own, known) = self.write(subject, &record, name, expect).await?;
            if own.is_some() && known.state.next_attempt() == Some(attempt) {
                // Another try would be ignored, too.
                tracing::warn!(
                    id = %subject.id,
                    "a claim does not count; check that the certificate of the worker is of the pool"
                );
                return Ok(Next::Settle(self.later()));
            }
        }
    }

    /// Returns the record that opens the next start, or says that it is too late for one.
    fn opening_record(
        &self,
        state: &State,
        ticket: Option<&Ticket>,
        delivery: &Delivery,
    ) -> Record {
        let worker = self.options.id.clone();
        let now_ms = self.clock.unix_ms();
        let start_by_ms = ticket.filter(|ticket| ticket.is_expired(now_ms));
        if let Some(start_by_ms) = start_by_ms.and_then(|ticket| ticket.start_by_ms) {
            let after = state.starts().last().cloned();
            return Record::Expired(Expired {
                after,
                by: worker,
                start_by_ms,
                at_ms: Some(now_ms),
            });
        }
        let is_plan = ticket.is_some_and(|ticket| ticket.plan.is_some());
        let description = self.runner_of(is_plan).describe();
        Record::Claim(Claim {
            attempt: state.next_attempt().unwrap_or(1),
            of: ticket.map_or(1, |ticket| ticket.max_attempts),
            worker,
            command: ticket.map(|ticket| ticket.command.clone()).unwrap_or_default(),
            submitted_at_ms: ticket.map(|ticket| ticket.submitted_at_ms),
            asked: ticket.and_then(|ticket| ticket.asked.clone()),
            metadata: ticket.and_then(small_metadata),
            plan: ticket.and_then(title_of),
            exclusive: description.exclusive,
            key: self.options.signer.key().to_owned(),
            ticket: TicketDigest::of(&delivery.ticket),
            delivery: delivery.handle.clone(),
            engine: description.engine,
            containment: description.containment,
            sandbox: description.sandbox,
            at_ms: Some(now_ms),
        })
    }

    /// Returns what becomes of a ticket, from the state after all that this worker does about it.
    async fn settle_by(&self, state: &State, plan: Option<&Ticket>) -> Result<Settle, FleetError> {
        match (state.is_closed(), state.next_attempt()) {
            (true, _) => {
                // Its last conductor could not report the end, so steps of it may run.
                let is_abandoned = state.report().is_none() && !state.starts().is_empty();
                if let Some(plan) = plan.filter(|_| is_abandoned) {
                    self.runner_of(true).abandon(plan).await?;
                }
                Ok(Settle::Done)
            }
            (false, Some(_)) => Ok(Settle::Again),
            // Another worker runs it, or stops it. If that one is dead, the sweep gives the ticket back.
            (false, None) => Ok(self.later()),
        }
    }

    /// Leaves a plan that this worker has no key for to another one, unless it is over.
    async fn leave_closed(
        &self,
        subject: &LogSubject,
        plan: &Ticket,
    ) -> Result<Settle, FleetError> {
        let known = self.known(subject, 0).await?;
        if known.state.is_closed() {
            return self.settle_by(&known.state, Some(plan)).await;
        }
        tracing::warn!(
            id = %plan.id,
            "this worker does not have the key that the plan is sealed to; another worker is to conduct it"
        );
        Ok(self.later())
    }

    /// Leaves a ticket to another worker.
    fn later(&self) -> Settle {
        Settle::Later(self.options.times.later)
    }
}

/// Returns an end that can be written. What a program is told to run may be too long for a record.
fn writable(end: End) -> End {
    let record = Record::End(end.clone());
    let Err(error) = encode(&record) else { return end };
    let reason = format!("its result could not be written: {error}");
    let ending = json!({ "type": "unknown", "reason": reason });
    End { ending, result: json!(null), ..end }
}

/// Returns the metadata of a request, unless it would make a large record.
fn small_metadata(ticket: &Ticket) -> Option<Value> {
    let metadata = ticket.request.get("metadata")?;
    (metadata.to_string().len() <= MAX_TEXT_BYTES).then(|| metadata.clone())
}

/// Returns the end of a start whose ticket is no ticket.
fn damaged(start: &Start, error: &RecordError) -> End {
    let reason = format!("its ticket in the queue is damaged: {error}");
    End {
        start: start.clone(),
        ending: json!({ "type": "unknown", "reason": reason }),
        result: json!(null),
        output_end: 0,
        started: None,
    }
}
