//! Following an execution: its records of two lanes in their one order, as events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fetch::{Fetch, pieces, skip};
use crate::cluster::{Changes, Cluster, Lane, LogPart, LogSubject};
use crate::error::FleetError;
use crate::fold::{Effect, Outcome, State, open_part};
use crate::pause::pause;
use crate::reader::{decisions, read_all};
use crate::record::{End, Output, OutputObject, Record, Start, Started, Stream};
use crate::sign::Verifier;
use crate::wire::{RecordError, decode};

/// Longest time between two looks for new records, if no change wakes before.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What happened to an execution.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FleetEvent {
    /// A worker makes a start.
    Claimed {
        /// The start.
        start: Start,
        /// Whether no other start can live while this one does, as its worker says.
        exclusive: bool,
    },
    /// The program of the start runs.
    Started(Started),
    /// Output of the start.
    Output {
        /// Which bytes are of which stream: lengths, whose sum is that of `bytes`.
        runs: Vec<(Stream, u32)>,
        /// The bytes.
        bytes: Bytes,
    },
    /// This many bytes of the start's output are not in the log.
    Missed(Stream, u64),
    /// The worker of the start is gone. Another attempt follows.
    Lost(Start),
    /// The last event.
    Ended {
        /// What became of the execution.
        outcome: Outcome,
        /// What the worker of the last start reported; `None` if there was no start, or it is lost.
        end: Option<Box<End>>,
    },
}

/// Place behind an event, to go on from: after a pause, or in another process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Sequence of the last record that was seen.
    pub seq: u64,
    /// How many bytes of output of the present start were seen or missed.
    pub bytes: u64,
}

/// Reads the events of one execution. See [`FleetClient::follow`](crate::FleetClient::follow).
pub struct Follower {
    cluster: Arc<dyn Cluster>,
    verifier: Arc<Verifier>,
    subjects: [LogSubject; 2],
    /// As of the position.
    state: Option<State>,
    position: Position,
    /// Whether the start of the program was told, of the present start.
    has_started: bool,
    end: Option<Box<End>>,
    /// Records that were read and not yet taken.
    unread: VecDeque<(u64, New)>,
    /// The object of the first of them.
    fetch: Option<Fetch>,
    /// Output of records before this sequence is known to the caller.
    told: u64,
    ready: VecDeque<(Position, FleetEvent)>,
    changes: Option<[Changes; 2]>,
    has_ended: bool,
    /// Whether the last call found no servers, for the log.
    is_cut_off: bool,
}

/// A record that was read.
enum New {
    Decision(Record),
    Output(Result<Output, RecordError>),
}

impl Follower {
    pub(super) fn new(
        cluster: Arc<dyn Cluster>,
        verifier: Arc<Verifier>,
        tenant: &str,
        id: Uuid,
        after: Position,
    ) -> Self {
        let output = LogSubject { tenant: tenant.to_owned(), id, lane: Lane::Output };
        Self {
            cluster,
            verifier,
            subjects: [decisions(tenant, id), output],
            state: None,
            position: after,
            has_started: after.bytes > 0,
            end: None,
            unread: VecDeque::new(),
            fetch: None,
            told: 0,
            ready: VecDeque::new(),
            changes: None,
            has_ended: false,
            is_cut_off: false,
        }
    }

    /// Returns the next event and the place behind it; `None` after the last. Waits for it. Cancel
    /// safe: no event is lost.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if the servers gave no answer; call it again to go on.
    pub async fn next(&mut self) -> Result<Option<(Position, FleetEvent)>, FleetError> {
        let next = self.wait_for_next().await;
        let id = self.subjects[0].id;
        match (&next, std::mem::replace(&mut self.is_cut_off, next.is_err())) {
            (Err(error), false) => {
                tracing::warn!(%id, %error, "an execution cannot be followed now");
            }
            (Ok(_), true) => tracing::info!(%id, "the execution is followed again"),
            _ => {}
        }
        next
    }

    async fn wait_for_next(&mut self) -> Result<Option<(Position, FleetEvent)>, FleetError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.has_ended {
                return Ok(None);
            }
            // Before the look, so that what comes after it wakes.
            if self.changes.is_none() {
                let [decisions, output] = &self.subjects;
                let (first, second) = tokio::try_join!(
                    self.cluster.changes(decisions),
                    self.cluster.changes(output)
                )?;
                self.changes = Some([first, second]);
            }
            if self.look().await? {
                continue;
            }
            if let Some([decisions, output]) = &mut self.changes {
                tokio::select! {
                    biased;
                    () = decisions.next() => {}
                    () = output.next() => {}
                    () = pause(LOOK_EVERY) => {}
                }
            }
        }
    }

    /// Returns the next event that the log has now, and the place behind it; `None` if it has no other
    /// yet, or after the last. Cancel safe: no event is lost.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_now(&mut self) -> Result<Option<(Position, FleetEvent)>, FleetError> {
        while self.ready.is_empty() && !self.has_ended && self.look().await? {}
        Ok(self.ready.pop_front())
    }

    /// Leaves out output of records before this sequence, which the caller has: objects are not read
    /// again.
    pub(crate) fn skip_output_before(&mut self, seq: u64) {
        self.told = seq;
    }

    /// Returns whether the next event is there already. The place behind an event may be kept when it
    /// is not: events of one record have the same place.
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns whether the last event was returned.
    pub fn has_ended(&self) -> bool {
        self.has_ended && self.ready.is_empty()
    }

    /// Takes what is new. Returns `true` if there was something. It returns before the second object,
    /// so that one at a time is held.
    async fn look(&mut self) -> Result<bool, FleetError> {
        if self.unread.is_empty() {
            self.read().await?;
        }
        let any = !self.unread.is_empty();
        while let Some(object) = self.first_object() {
            let mut fetched = None;
            if let Some(object) = object {
                if !self.ready.is_empty() {
                    break;
                }
                let tenant = &self.subjects[1].tenant;
                let fetch = self.fetch.get_or_insert_with(|| Fetch::new(tenant, object));
                fetched = fetch.read(&*self.cluster).await?;
                self.fetch = None;
            }
            self.take_first(fetched)?;
        }
        Ok(any)
    }

    /// Reads records behind the position.
    async fn read(&mut self) -> Result<(), FleetError> {
        let state = match self.state.take() {
            Some(state) => state,
            None => self.state_at_position().await?,
        };
        // Put back before anything waits, so that a dropped call loses nothing.
        self.state = Some(state);
        let (decisions, outputs, horizon) = self.read_new().await?;
        let decided = open_part(&self.verifier, &self.subjects[0], &decisions)?;
        let mut decided = decided.into_iter().filter(|(seq, _)| *seq <= horizon).peekable();
        let outputs = outputs.records.into_iter().filter(|(seq, _)| *seq <= horizon);
        let decision = |(seq, record)| (seq, New::Decision(record));
        for (seq, bytes) in outputs {
            while let Some(decided) = decided.next_if(|(decision, _)| *decision < seq) {
                self.unread.push_back(decision(decided));
            }
            self.unread.push_back((seq, New::Output(decode(&bytes))));
        }
        self.unread.extend(decided.map(decision));
        Ok(())
    }

    /// Returns the object that must be read before the first record is taken; the outer `None` if there
    /// is no record.
    fn first_object(&self) -> Option<Option<OutputObject>> {
        let (seq, New::Output(Ok(output))) = self.unread.front()? else { return Some(None) };
        let end =
            output.from + output.runs.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
        let is_new = *seq >= self.told && end > self.position.bytes && self.is_present(output);
        Some(output.object.clone().filter(|_| is_new))
    }

    /// Takes the first record, with the bytes of its object.
    fn take_first(&mut self, fetched: Option<Bytes>) -> Result<(), RecordError> {
        // A record that cannot be read stays: each call says so.
        if let Some((_, New::Output(Err(error @ RecordError::Newer { .. })))) = self.unread.front()
        {
            return Err(error.clone());
        }
        match self.unread.pop_front() {
            Some((seq, New::Decision(record))) => self.decision(seq, record),
            Some((seq, New::Output(Ok(output)))) => self.output(seq, output, fetched),
            // It is no record for any reader; a gap is noted by what follows.
            Some((seq, New::Output(Err(_)))) => self.position.seq = seq,
            None => {}
        }
        Ok(())
    }

    /// Returns the state as of the position, from what decides.
    async fn state_at_position(&self) -> Result<State, FleetError> {
        let all = read_all(&*self.cluster, &self.subjects[0], 1, self.position.seq).await?;
        let records = open_part(&self.verifier, &self.subjects[0], &all)?;
        let mut state = State::before(all.first_seq, &records);
        for (seq, record) in records.iter().take_while(|(seq, _)| *seq <= self.position.seq) {
            state.apply(*seq, record);
        }
        Ok(state)
    }

    /// Reads records behind the position: what decides, output, and the sequence up to which both
    /// are complete.
    async fn read_new(&self) -> Result<(LogPart, LogPart, u64), FleetError> {
        let [decisions, output] = &self.subjects;
        let from = self.position.seq + 1;
        let mut outputs = self.cluster.read(output, from, 0).await?;
        let last_output = last_of(&outputs);
        let decided = read_all(&*self.cluster, decisions, from, last_output).await?;
        let last_decision = last_of(&decided);
        if outputs.more || last_decision <= last_output {
            return Ok((decided, outputs, last_output));
        }
        let rest = self.cluster.read(output, from.max(last_output + 1), last_decision).await?;
        // Output behind the last decision that was read may belong to a later start.
        let horizon = if rest.more { last_of(&rest).min(last_decision) } else { last_decision };
        outputs.records.extend(rest.records);
        Ok((decided, outputs, horizon))
    }

    fn push(&mut self, event: FleetEvent) {
        self.ready.push_back((self.position, event));
    }

    /// Takes a record that decides.
    fn decision(&mut self, seq: u64, record: Record) {
        let Some(state) = &mut self.state else { return };
        self.position.seq = seq;
        let effect = state.apply(seq, &record);
        let is_closed = state.is_closed();
        match (effect, record) {
            (Effect::Claimed, Record::Claim(claim)) => {
                let start = state.running().cloned();
                self.position.bytes = 0;
                self.has_started = false;
                let exclusive = claim.exclusive;
                let claimed = start.map(|start| FleetEvent::Claimed { start, exclusive });
                claimed.into_iter().for_each(|claimed| self.push(claimed));
            }
            (Effect::Waiting, Record::Lost(lost)) => self.push(FleetEvent::Lost(lost.start)),
            (Effect::Decided | Effect::Stopped, Record::End(end)) => {
                self.started(end.started);
                self.miss_until(end.output_end, &[]);
                self.end = Some(Box::new(end));
            }
            _ => {}
        }
        if is_closed && !self.has_ended {
            self.close();
        }
    }

    fn close(&mut self) {
        let outcome = self.state.as_ref().and_then(|state| state.outcome().cloned());
        if let Some(outcome) = outcome {
            self.has_ended = true;
            let end = self.end.take();
            self.push(FleetEvent::Ended { outcome, end });
        }
    }

    /// Tells once that the program runs.
    fn started(&mut self, started: Option<Started>) {
        if let Some(started) = started.filter(|_| !self.has_started) {
            self.has_started = true;
            self.push(FleetEvent::Started(started));
        }
    }

    /// Notes that output up to this byte of the start is missing, with what is told of it.
    fn miss_until(&mut self, byte: u64, told: &[(Stream, u64)]) {
        let Some(mut rest) = byte.checked_sub(self.position.bytes).filter(|rest| *rest > 0) else {
            return;
        };
        self.position.bytes = byte;
        for (stream, bytes) in told {
            let bytes = rest.min(*bytes);
            rest -= bytes;
            self.push(FleetEvent::Missed(*stream, bytes));
        }
        // The log lost it: nothing says of which stream it was.
        if rest > 0 {
            self.push(FleetEvent::Missed(Stream::Stdout, rest));
        }
    }

    /// Returns whether output is of the present start.
    fn is_present(&self, output: &Output) -> bool {
        let running = self.state.as_ref().and_then(State::running);
        running.is_some_and(|start| start.fence == output.fence) && !self.has_ended
    }

    /// Takes a record of output, if it is of the present start, with the bytes of its object; `None` if
    /// it has none, or they are not to be had.
    fn output(&mut self, seq: u64, output: Output, fetched: Option<Bytes>) {
        self.position.seq = seq;
        if !self.is_present(&output) {
            return;
        }
        let already = self.position.bytes.saturating_sub(output.from);
        self.started(output.started);
        self.miss_until(output.from, &output.missed);
        let Output { mut runs, bytes, object, .. } = output;
        let skipped = skip(&mut runs, already);
        let rest = runs.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
        self.position.bytes += rest;
        let bytes = match object {
            None => Some(bytes),
            Some(_) if seq < self.told => return,
            Some(_) => fetched,
        };
        let mut bytes = bytes.map(|bytes| bytes.slice(skipped.min(bytes.len())..));
        for runs in pieces(&runs) {
            let length = runs.iter().map(|(_, length)| *length as usize).sum::<usize>();
            match &mut bytes {
                Some(bytes) => {
                    let bytes = bytes.split_to(length.min(bytes.len()));
                    self.push(FleetEvent::Output { runs, bytes });
                }
                None => runs.into_iter().for_each(|(stream, length)| {
                    self.push(FleetEvent::Missed(stream, length.into()));
                }),
            }
        }
    }
}

fn last_of(part: &LogPart) -> u64 {
    part.records.last().map_or(0, |(seq, _)| *seq)
}
