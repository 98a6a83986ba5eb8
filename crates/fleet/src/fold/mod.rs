//! From the log of an execution to its state: one pure function for all who read it.
//!
//! The first claim for an attempt in the order of the log is the claim, and the first end of the
//! present start is the end. A cancel that comes before the end is the ending. What is not legal when
//! it comes is ignored. So workers, clients and sweepers agree without an election, and a write that
//! should have been refused changes nothing.

mod cut;
mod outcome;

use serde::{Deserialize, Serialize};

use crate::cluster::{DeliveryHandle, LogSubject};
use crate::record::{Cancel, Claim, End, Expired, Hold, Lost, Record, Start, TicketDigest};
use crate::sign::Verifier;
use crate::wire::{RecordError, WireForm};

pub(crate) use cut::open_part;
pub use cut::{fold, fold_part};
pub use outcome::{Effect, Illegal, Outcome, Report};

/// State of an execution, as the records so far tell it.
///
/// It is plain data: a reader may store it with serde, and go on with the records behind
/// [`last_seq`](Self::last_seq).
///
/// ```
/// use execution_engine_fleet::{Cancel, Effect, Outcome, Record, State};
///
/// let mut state = State::new(1);
/// let cancel = Record::Cancel(Cancel { by: "ci".into(), reason: "not needed".into(), grace_ms: None, at_ms: None });
/// assert_eq!(state.apply(7, &cancel), Effect::Decided);
/// assert!(matches!(state.outcome(), Some(Outcome::Cancelled { seq: 7, .. })));
/// assert!(state.is_closed());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Records before it are no longer in the log.
    first_seq: u64,
    last_seq: u64,
    /// That of the first start.
    ticket: Option<TicketDigest>,
    /// The starts whose claims counted, in their order.
    starts: Vec<Start>,
    /// Whether the last start is neither reported nor lost.
    running: bool,
    /// That of the last start; `None` if the log does not tell it.
    delivery: Option<DeliveryHandle>,
    /// The shortest of what cancels say, in milliseconds.
    #[serde(default)]
    grace_ms: Option<u64>,
    outcome: Option<Outcome>,
    report: Option<Report>,
    /// At most one for each attempt.
    superseded: Vec<Report>,
    ignored: u64,
}

impl State {
    /// Returns the state before the first record. `first_seq` is the first sequence that the log
    /// still has, of any execution: 1 if nothing was removed. Where there are records already,
    /// [`fold`] takes all of them.
    pub fn new(first_seq: u64) -> Self {
        let first_seq = first_seq.max(1);
        Self {
            first_seq,
            last_seq: first_seq - 1,
            ticket: None,
            starts: Vec::new(),
            running: false,
            delivery: None,
            grace_ms: None,
            outcome: None,
            report: None,
            superseded: Vec::new(),
            ignored: 0,
        }
    }

    /// Applies the next record. `seq` is its sequence in the log. A record at or before
    /// [`last_seq`](Self::last_seq) changes nothing, so that reads may overlap.
    pub fn apply(&mut self, seq: u64, record: &Record) -> Effect {
        if seq <= self.last_seq {
            return Effect::Seen;
        }
        self.last_seq = seq;
        self.decide(seq, record).unwrap_or_else(|illegal| self.ignore(illegal))
    }

    /// Applies the next record of a subject as the log has it. Bytes that are no record, or are not
    /// signed as they must be, are ignored.
    ///
    /// # Errors
    ///
    /// [`RecordError::Newer`] if a later version wrote the record. The state is as before, and the
    /// reader must not go on: what follows depends on a record that it cannot read.
    ///
    /// ```
    /// use execution_engine_fleet::{Effect, Illegal, Lane, LogSubject, State, Verifier};
    ///
    /// let (verifier, id) = (Verifier::unsigned(), uuid::Uuid::from_u128(1));
    /// let subject = LogSubject { tenant: "blue".into(), id, lane: Lane::Decisions };
    /// let mut state = State::new(1);
    /// let effect = state.apply_bytes(&verifier, &subject, 1, b"\x01junk");
    /// assert_eq!(effect, Ok(Effect::Ignored(Illegal::Invalid)));
    /// assert!(state.apply_bytes(&verifier, &subject, 2, b"\x02junk").is_err());
    /// assert_eq!((state.last_seq(), state.ignored()), (1, 1));
    /// ```
    pub fn apply_bytes(
        &mut self,
        verifier: &Verifier,
        subject: &LogSubject,
        seq: u64,
        bytes: &[u8],
    ) -> Result<Effect, RecordError> {
        let illegal = match verifier.open(subject, bytes) {
            Ok(record) => return Ok(self.apply(seq, &record)),
            Err(_) if seq <= self.last_seq => return Ok(Effect::Seen),
            Err(error @ RecordError::Newer { .. }) => return Err(error),
            Err(RecordError::Unsigned { .. }) => Illegal::Unsigned,
            Err(_) => Illegal::Invalid,
        };
        self.last_seq = seq;
        Ok(self.ignore(illegal))
    }

    fn ignore(&mut self, illegal: Illegal) -> Effect {
        self.ignored = self.ignored.saturating_add(1);
        Effect::Ignored(illegal)
    }

    /// Makes the transition of a record, or changes nothing.
    fn decide(&mut self, seq: u64, record: &Record) -> Result<Effect, Illegal> {
        record.check().map_err(|_| Illegal::Invalid)?;
        match record {
            Record::Claim(claim) => self.claim(seq, claim),
            Record::Hold(hold) => self.hold(hold),
            Record::End(end) => self.end(seq, end),
            Record::Lost(lost) => self.lost(lost),
            Record::Expired(expired) => self.expired(expired),
            Record::Cancel(cancel) => self.cancel(seq, cancel),
            Record::Unknown => Err(Illegal::UnknownKind),
        }
    }

    fn claim(&mut self, seq: u64, claim: &Claim) -> Result<Effect, Illegal> {
        self.undecided()?;
        if self.running {
            return Err(Illegal::Running);
        }
        let last = self.starts.last();
        // In a log that has lost its beginning, not all starts before the first claim are known.
        let is_next = match last {
            Some(last) if last.fence < self.first_seq => claim.attempt > last.attempt,
            Some(last) => claim.attempt == last.attempt + 1,
            None => claim.attempt == 1 || self.first_seq > 1,
        };
        if !is_next {
            return Err(Illegal::OtherAttempt);
        }
        let is_other = self.ticket.is_some_and(|ticket| ticket != claim.ticket);
        if is_other || last.is_some_and(|last| last.of != claim.of) {
            return Err(Illegal::OtherTicket);
        }
        let (worker, key) = (claim.worker.clone(), claim.key.clone());
        self.starts.push(Start { attempt: claim.attempt, of: claim.of, fence: seq, worker, key });
        self.ticket = Some(claim.ticket);
        self.delivery = Some(claim.delivery.clone());
        self.running = true;
        Ok(Effect::Claimed)
    }

    fn hold(&mut self, hold: &Hold) -> Result<Effect, Illegal> {
        if !self.is_running(&hold.start) {
            self.undecided()?;
            return Err(Illegal::OtherStart);
        }
        self.delivery = Some(hold.delivery.clone());
        Ok(Effect::Held)
    }

    fn end(&mut self, seq: u64, end: &End) -> Result<Effect, Illegal> {
        let start = &end.start;
        if self.is_running(start) {
            self.running = false;
            self.report = Some(Report::new(seq, end));
            if self.outcome.is_some() {
                return Ok(Effect::Stopped);
            }
            self.outcome = Some(Outcome::Ended);
            return Ok(Effect::Decided);
        }
        if !self.starts.contains(start) && !self.is_forgotten(start) {
            return Err(Illegal::OtherStart);
        }
        let mut reports = self.report.iter().chain(&self.superseded);
        if reports.any(|report| report.start.attempt == start.attempt) {
            return Err(Illegal::Repeated);
        }
        self.superseded.push(Report::new(seq, end));
        Ok(Effect::Superseded)
    }

    fn lost(&mut self, lost: &Lost) -> Result<Effect, Illegal> {
        let start = &lost.start;
        if !self.is_running(start) {
            self.undecided()?;
            return Err(Illegal::OtherStart);
        }
        self.running = false;
        if self.outcome.is_some() {
            return Ok(Effect::Stopped);
        }
        if start.attempt < start.of {
            return Ok(Effect::Waiting);
        }
        self.outcome = Some(worker_lost(start));
        Ok(Effect::Decided)
    }

    fn expired(&mut self, expired: &Expired) -> Result<Effect, Illegal> {
        self.undecided()?;
        if self.running {
            return Err(Illegal::Running);
        }
        if self.starts.last() != expired.after.as_ref() {
            return Err(Illegal::OtherStart);
        }
        let not_started = Outcome::NotStarted { start_by_ms: expired.start_by_ms };
        self.outcome = Some(expired.after.as_ref().map_or(not_started, worker_lost));
        Ok(Effect::Decided)
    }

    fn cancel(&mut self, seq: u64, cancel: &Cancel) -> Result<Effect, Illegal> {
        let is_stopping = self.running && matches!(self.outcome, Some(Outcome::Cancelled { .. }));
        let is_shorter =
            cancel.grace_ms.is_some_and(|grace| self.grace_ms.is_none_or(|before| grace < before));
        if is_stopping && is_shorter {
            self.grace_ms = cancel.grace_ms;
            return Ok(Effect::Hastened);
        }
        self.undecided()?;
        self.grace_ms = cancel.grace_ms;
        let (by, reason) = (cancel.by.clone(), cancel.reason.clone());
        self.outcome = Some(Outcome::Cancelled { seq, by, reason });
        Ok(Effect::Decided)
    }

    fn undecided(&self) -> Result<(), Illegal> {
        if self.outcome.is_some() { Err(Illegal::AfterOutcome) } else { Ok(()) }
    }

    fn is_running(&self, start: &Start) -> bool {
        self.running && self.starts.last() == Some(start)
    }

    /// Returns `true` for a start before all known ones, whose claim the log has no more.
    fn is_forgotten(&self, start: &Start) -> bool {
        let is_before = |first: &Start| start.attempt < first.attempt && start.fence < first.fence;
        start.fence < self.first_seq && self.starts.first().is_some_and(is_before)
    }

    /// Returns the start that is neither reported nor lost. A worker whose claim has the fence of
    /// this start may start the program; once the outcome is decided it stops it.
    pub fn running(&self) -> Option<&Start> {
        self.starts.last().filter(|_| self.running)
    }

    /// Returns the delivery that the [running](Self::running) start has its ticket from. If its
    /// worker is gone, the ticket is given back by it. `None` if nothing runs, or the log has
    /// neither the claim nor a hold any more.
    pub fn running_delivery(&self) -> Option<&DeliveryHandle> {
        self.delivery.as_ref().filter(|_| self.running)
    }

    /// Returns the attempt that a claim would count for, if one would.
    pub fn next_attempt(&self) -> Option<u32> {
        let is_waiting = !self.running && self.outcome.is_none();
        is_waiting.then(|| self.starts.last().map_or(1, |last| last.attempt + 1))
    }

    /// Returns what became of the execution, as soon as it is decided. A reader that has more
    /// records has the same.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Returns how long the program of a cancelled execution has to end by itself, in milliseconds, if a cancel
    /// says so: the shortest time that was said.
    pub fn grace_ms(&self) -> Option<u64> {
        self.grace_ms
    }

    /// Returns the report of the last start. Under [`Outcome::Cancelled`] it tells what was stopped,
    /// and the outcome is the cancel whatever it tells.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Returns `true` if the outcome is decided and no start is being stopped.
    pub fn is_closed(&self) -> bool {
        self.outcome.is_some() && !self.running
    }

    /// Returns what starts reported that had been given up, in the order of the log.
    pub fn superseded(&self) -> &[Report] {
        &self.superseded
    }

    /// Returns the starts whose claims counted, in their order. Their attempts and fences grow.
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Returns the digest of the ticket of the first start; `None` before it.
    pub fn ticket(&self) -> Option<TicketDigest> {
        self.ticket
    }

    /// Returns the sequence of the last record that was applied. Before the first it is the one
    /// before the beginning of the log.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Returns how many records were not legal when they came.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }
}

fn worker_lost(start: &Start) -> Outcome {
    Outcome::WorkerLost { worker: start.worker.clone(), attempts: start.attempt }
}
