//! Output of a start, as records.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep_until};

use super::parts::Parts;
use super::runner::{ProgramEvent, ProgramEvents};
use super::{Core, Running};
use crate::cluster::{Expect, Lane, LogSubject, NewRecord};
use crate::pause::pause;
use crate::reader::repeat;
use crate::record::{End, Output, Start, Started, Stream};
use crate::wire::{MAX_CHUNK_BYTES, MAX_PART_BYTES, MAX_RUNS, encode};

/// How long an append is repeated before it is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far a start is, for its other tasks.
#[derive(Debug, Default)]
pub(super) struct StartState {
    /// Bytes that are published, missed ones included.
    pub(super) sent: u64,
    /// Whether the program is over. What is left is to tell it.
    pub(super) is_over: bool,
}

/// Publishes the output of a start: one record under way at a time, so that they are in order. While
/// the servers are slower than the program, the program waits.
pub(super) struct Publisher<'a> {
    core: &'a Core,
    subject: LogSubject,
    start: &'a Start,
    state: Arc<Mutex<StartState>>,
    records: u64,
    started: Option<Started>,
    batch: Batch,
    /// When the batch is published, if nothing fills it before.
    flush_at: Option<Instant>,
    parts: Parts<'a>,
    /// How many bytes of the start go to the log, before the others go to objects.
    in_log: u64,
}

/// Output that is to be the next record.
#[derive(Default)]
struct Batch {
    /// Bytes of the start before these, with those that are missing.
    from: u64,
    missed: Vec<(Stream, u64)>,
    runs: Vec<(Stream, u32)>,
    bytes: BytesMut,
    started: Option<Started>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.started.is_none() && self.missed.is_empty()
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let length = bytes.len() as u32;
        match self.runs.last_mut() {
            Some((last, sum)) if *last == stream => *sum += length,
            _ => self.runs.push((stream, length)),
        }
    }

    /// Notes bytes that are missing before those of the batch.
    fn miss(&mut self, stream: Stream, bytes: u64) {
        match self.missed.iter_mut().find(|(other, _)| *other == stream) {
            Some((_, sum)) => *sum += bytes,
            None => self.missed.push((stream, bytes)),
        }
    }
}

impl<'a> Publisher<'a> {
    pub(super) fn new(core: &'a Core, running: &Running, start: &'a Start) -> Self {
        let subject = LogSubject { lane: Lane::Output, ..running.subject.clone() };
        // Of what a plan writes nothing may be given up: what happened is read from it.
        let in_log = if running.is_plan { u64::MAX } else { core.options.large_output.after };
        let (state, batch) = (Arc::default(), Batch::default());
        let parts = Parts::new(core, subject.clone(), start.fence);
        let (started, flush_at) = (None, None);
        Self { core, subject, start, state, records: 0, started, batch, flush_at, parts, in_log }
    }

    /// Returns how far the start is, for its other tasks.
    pub(super) fn state(&self) -> Arc<Mutex<StartState>> {
        Arc::clone(&self.state)
    }

    /// Publishes what a program writes until it is over, and returns its end, which is not published.
    pub(super) async fn publish(&mut self, events: &mut dyn ProgramEvents) -> End {
        loop {
            let flush_at = self.flush_at;
            let event = tokio::select! {
                biased;
                event = events.next() => Some(event),
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => None,
            };
            match event {
                None | Some(ProgramEvent::Flush) => self.flush().await,
                Some(ProgramEvent::Started(started)) => {
                    self.started = Some(started);
                    self.batch.started = Some(started);
                }
                Some(ProgramEvent::Output(stream, bytes)) => self.output(stream, bytes).await,
                Some(ProgramEvent::Missed(stream, bytes)) => {
                    // The gap is before what comes next.
                    self.flush().await;
                    self.batch.miss(stream, bytes);
                    self.batch.from += bytes;
                }
                Some(ProgramEvent::Ended { ending, result }) => {
                    return self.finish(ending, result).await;
                }
            }
            if self.flush_at.is_none() && !self.batch.is_empty() {
                self.flush_at = Some(Instant::now() + self.linger());
            }
        }
    }

    /// Publishes what is left of the output of a program that is over.
    async fn finish(&mut self, ending: Value, result: Value) -> End {
        // A program that ended without a lease was stopped by the guard, which is not its end.
        self.core.lease_is_held().await;
        self.state.lock().is_over = true;
        // The end tells of the start, too. A part that is given up leaves something to tell.
        while !self.batch.bytes.is_empty() || !self.batch.missed.is_empty() {
            self.flush().await;
        }
        let output_end = self.state.lock().sent;
        let (start, started) = (self.start.clone(), self.started);
        End { start, ending, result, output_end, started }
    }

    /// Returns whether the batch is an object: the start has published what the log takes.
    fn is_large(&self) -> bool {
        self.batch.from >= self.in_log
    }

    fn linger(&self) -> Duration {
        match self.is_large() {
            true => self.core.options.large_output.linger,
            false => self.core.options.times.linger,
        }
    }

    /// Returns how many bytes a batch may have.
    fn limit(&self) -> usize {
        match self.is_large() {
            true => self.core.options.large_output.part_bytes.clamp(1, MAX_PART_BYTES),
            false => MAX_CHUNK_BYTES,
        }
    }

    /// Takes output, and publishes what fills a record.
    async fn output(&mut self, stream: Stream, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let limit = self.limit();
            let room = limit - self.batch.bytes.len();
            let part = bytes.split_to(room.min(bytes.len()));
            self.batch.push(stream, &part);
            if self.batch.bytes.len() == limit || self.batch.runs.len() == MAX_RUNS {
                self.flush().await;
            }
        }
    }

    /// Publishes the batch. What is given up of it is noted in the next one.
    async fn flush(&mut self) {
        self.flush_at = None;
        if self.batch.is_empty() {
            return;
        }
        let is_part = self.is_large() && !self.batch.bytes.is_empty();
        let Batch { from, missed, runs, bytes, started } = std::mem::take(&mut self.batch);
        let mut bytes = bytes.freeze();
        self.batch.from = from + bytes.len() as u64;
        let mut object = None;
        if is_part {
            object = self.parts.store(&bytes).await;
            bytes = Bytes::new();
            if object.is_none() {
                (self.batch.missed, self.batch.started) = (missed, started);
                runs.iter().for_each(|(stream, length)| self.batch.miss(*stream, (*length).into()));
                return;
            }
        }
        let (attempt, fence) = (self.start.attempt, self.start.fence);
        self.record(Output { attempt, fence, from, missed, runs, bytes, object, started }).await;
    }

    /// Appends a record. Repeats it until it is acknowledged: the lease ends that, too.
    async fn record(&mut self, output: Output) {
        let (fence, end) = (output.fence, self.batch.from);
        let bytes = match encode(&output) {
            Ok(bytes) => bytes.into(),
            // A batch is bounded, so this does not happen; readers are told of a gap.
            Err(error) => return tracing::error!(%error, "output could not be encoded"),
        };
        self.records += 1;
        let record = NewRecord {
            subject: self.subject.clone(),
            bytes,
            name: self.core.record_name(&self.subject, &format!("{fence}.o.{}", self.records)),
            expect: Expect::Anything,
        };
        self.append(record).await;
        self.state.lock().sent = end;
    }

    async fn append(&self, record: NewRecord) {
        loop {
            let until = Instant::now() + PATIENCE;
            let append = || self.core.cluster.append(record.clone());
            match repeat(until, append).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(id = %self.subject.id, %error, "output could not be published; trying again");
                    pause(Duration::from_secs(1)).await;
                }
            }
        }
    }
}
