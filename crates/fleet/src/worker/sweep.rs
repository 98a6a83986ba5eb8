//! Declares the starts of dead workers lost, so that their executions are started again or end.
//!
//! For each tenant one worker at a time does it for all. It needs no list of what a worker held: the
//! places of the tickets and the log say it together. Presence is looked at on its own, so that a long
//! queue does not interrupt the looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;

use super::Core;
use crate::cluster::{DeliveryHandle, Expect, LogSubject, NewRecord, Settle};
use crate::error::FleetError;
use crate::lease::Absences;
use crate::pause::pause;
use crate::place::QueuePlace;
use crate::plan::PLANS_POOL;
use crate::reader::{Known, decisions};
use crate::record::{Lost, Record};

/// How many executions are asked for at once.
const BATCH: usize = 1000;

/// What the looks at presence and the scans of the queue tell each other.
#[derive(Default)]
struct Findings {
    /// Whether this worker sweeps for the tenant.
    is_mine: bool,
    /// Workers of starts in the queue.
    named: BTreeSet<String>,
    /// Those of them that are gone. A name never comes back.
    gone: BTreeSet<String>,
}

/// An execution in the queue with a start.
struct Started {
    /// Sequence of its last record.
    seq: u64,
    known: Known,
    /// The worker that gets the ticket of a plan next stops what is left of it.
    is_plan: bool,
    /// The last delivery of its ticket that is known.
    delivery: Option<DeliveryHandle>,
}

impl Started {
    /// Returns the worker of its last start.
    fn worker(&self) -> Option<&str> {
        self.known.state.starts().last().map(|start| start.worker.as_str())
    }
}

impl Core {
    /// Sweeps for the tenants of the worker, for as long as this is polled.
    pub(super) async fn keep_sweeping(self: Arc<Self>) {
        // Also of a worker that conducts plans alone.
        let queues = self.intakes.iter().flat_map(|intake| &intake.queues);
        let tenants: BTreeSet<_> = queues.map(|(queue, _)| queue.tenant.clone()).collect();
        let sweep = async |tenant: String| {
            let findings = Mutex::default();
            tokio::join!(self.look_at_presence(&tenant, &findings), self.scan(&tenant, &findings));
        };
        join_all(tenants.into_iter().map(sweep)).await;
    }

    /// Looks again and again which workers are gone, while it has the right to sweep.
    async fn look_at_presence(&self, tenant: &str, findings: &Mutex<Findings>) {
        let times = &self.options.times;
        let mut absences = Absences::new(times.lease);
        loop {
            pause(times.sweep_every).await;
            let now = self.clock.since_boot();
            let seen = async {
                match self.cluster.take_sweep(tenant, &self.options.id, times.sweep_ttl).await? {
                    true => self.cluster.workers().await.map(Some),
                    false => Ok(None),
                }
            };
            match seen.await {
                Ok(Some(present)) => {
                    let present = present.into_iter().map(|(worker, _)| worker).collect();
                    let mut findings = findings.lock();
                    let named = findings.named.iter().map(String::as_str);
                    let gone = absences.look(now, named, &present);
                    findings.is_mine = true;
                    findings.gone = gone;
                }
                Ok(None) => {
                    // What was seen before another one had the right is no look without a break.
                    absences = Absences::new(times.lease);
                    findings.lock().is_mine = false;
                }
                Err(error) => {
                    tracing::debug!(tenant, %error, "the presence of workers is not known");
                }
            }
        }
    }

    /// Scans the queue again and again for starts of workers that are gone, while it has the right.
    async fn scan(&self, tenant: &str, findings: &Mutex<Findings>) {
        let mut started = BTreeMap::new();
        loop {
            pause(self.options.times.sweep_every).await;
            if !findings.lock().is_mine {
                started.clear();
                continue;
            }
            if let Err(error) = self.find_started(tenant, &mut started).await {
                tracing::warn!(tenant, %error, "the queue could not be scanned; trying again");
            }
            let gone = {
                let mut findings = findings.lock();
                findings.named =
                    started.values().filter_map(Started::worker).map(str::to_owned).collect();
                findings.gone.clone()
            };
            for (subject, started) in &mut started {
                let worker = started.worker().unwrap_or_default().to_owned();
                if gone.contains(&worker)
                    && let Err(error) = self.give_up(subject, started, &worker).await
                {
                    tracing::warn!(id = %subject.id, %error, "an execution of a dead worker waits");
                }
            }
        }
    }

    /// Finds the executions in the queue that have a start.
    async fn find_started(
        &self,
        tenant: &str,
        started: &mut BTreeMap<LogSubject, Started>,
    ) -> Result<(), FleetError> {
        let places = self.cluster.places(tenant).await?;
        let is_plan = |place: &QueuePlace| place.queue.pool == PLANS_POOL;
        let plans: BTreeSet<_> =
            places.iter().filter(|place| is_plan(place)).map(|place| place.id).collect();
        let queued: BTreeSet<_> =
            places.into_iter().map(|place| decisions(tenant, place.id)).collect();
        started.retain(|subject, _| queued.contains(subject));
        let queued: Vec<_> = queued.into_iter().collect();
        for batch in queued.chunks(BATCH) {
            let last = self.cluster.last(batch).await?;
            for (subject, last) in batch.iter().zip(last) {
                let Some((seq, _)) = last else { continue };
                // One that cannot be read keeps no other one from being swept.
                let is_plan = plans.contains(&subject.id);
                if let Err(error) = self.look_at(started, subject, seq, is_plan).await {
                    tracing::debug!(id = %subject.id, %error, "an execution could not be read");
                }
            }
        }
        Ok(())
    }

    /// Reads an execution whose last record is new.
    async fn look_at(
        &self,
        started: &mut BTreeMap<LogSubject, Started>,
        subject: &LogSubject,
        seq: u64,
        is_plan: bool,
    ) -> Result<(), FleetError> {
        if started.get(subject).is_some_and(|started| started.seq >= seq) {
            return Ok(());
        }
        let known = self.known(subject, seq).await?;
        let before = started.get(subject).and_then(|started| started.delivery.clone());
        let delivery = known.state.running_delivery().cloned().or(before);
        started.insert(subject.clone(), Started { seq, known, is_plan, delivery });
        Ok(())
    }

    /// Declares the start of a dead worker lost, and gives its ticket back.
    async fn give_up(
        &self,
        subject: &LogSubject,
        started: &mut Started,
        worker: &str,
    ) -> Result<(), FleetError> {
        if let Some(start) = started.known.state.running().cloned() {
            tracing::info!(id = %subject.id, worker, "the worker of an execution is gone");
            let reason = format!("worker {worker} is gone");
            let fence = start.fence;
            let at_ms = Some(self.clock.unix_ms());
            let lost = Lost { start, by: self.options.id.clone(), reason, at_ms };
            let bytes = self.signed(subject, &Record::Lost(lost))?;
            let name = self.record_name(subject, &format!("{fence}.lost"));
            let subject = subject.clone();
            let record = NewRecord { subject, bytes, name, expect: Expect::Anything };
            let seq = self.cluster.append(record.clone()).await?;
            started.known = self.known(&record.subject, seq).await?;
        }
        let tenant = &subject.tenant;
        let how = match started.known.state.is_closed() && !started.is_plan {
            true => Settle::Done,
            false => Settle::Again,
        };
        if let Some(delivery) = &started.delivery {
            self.cluster.settle(tenant, delivery, how).await?;
        }
        // Not before: what failed is tried again in the next round.
        started.delivery = None;
        Ok(())
    }
}
