//! Reading the output: beside other work while the program runs, and to the last byte at the end.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::completion::FILE_LIMIT;
use super::context::PhaseContext;
use super::launch::RunningProgram;
use super::run::boxed;
use crate::output::{ExecutionLogs, OutputReader, ReadStep};
use crate::time;
use crate::types::Ending;

/// Bytes that the pipes of a program may hold at its end, if it has made them as large as a user
/// may.
const MAX_IN_PIPES: u64 = 2 * 1024 * 1024;

/// Reads the output while `work` is under way, and returns what `work` does.
pub(super) async fn read_while<T>(
    cx: &PhaseContext,
    reader: &mut OutputReader,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> T {
    while reader.is_open() {
        let step = async {
            // A handler that is behind stops the reading: the pipe fills and the program waits.
            cx.wait_for_room().await;
            reader.step().await
        };
        tokio::select! {
            biased;
            done = &mut work => return done,
            step = step => accept(cx, step),
        }
    }
    work.await
}

/// Reads what is in the pipes, within the drain limit.
///
/// It never waits for the end of a stream: a process out of our reach may hold a pipe open for
/// ever. It asks the kernel itself, because the reactor may not have reported the last bytes yet.
///
/// Handlers that are behind do not hold this up: what pipes can hold fits beside their queues. They
/// do hold up a survivor that writes on and on.
///
/// The time for which the sink is waited for does not count against the limit, unless the execution
/// is being stopped: the program has written in time what the sink is slow to take.
pub(super) async fn drain(cx: &PhaseContext, program: &mut RunningProgram) {
    let RunningProgram { reader, params, .. } = program;
    let first = reader.step_now();
    if first.is_some() || reader.has_files() || reader.has_sink_calls() {
        // Most programs leave nothing.
        boxed(drain_within(cx, reader, first, params.drain)).await;
    }
}

async fn drain_within(
    cx: &PhaseContext,
    reader: &mut OutputReader,
    first: Option<ReadStep>,
    limit: Duration,
) {
    let mut time = DrainTime::new(limit);
    match drain_pipes(cx, reader, first, &mut time).await {
        Ok(failure) => failure.into_iter().for_each(|failure| stop_for(cx, failure)),
        // The files were not written in time, or this machine was too busy. That costs none of what the
        // pipes hold, which is not much: it is read without writing the files.
        Err(over) => {
            if over == TimeIsOver::OfSink {
                reader.give_up_sink();
            }
            let enough = cx.publisher.journal.end() + MAX_IN_PIPES;
            while cx.publisher.journal.end() < enough
                && let Some(step) = reader.step_now()
            {
                accept(cx, step);
            }
            // Nor does it cost the sink anything, unless the sink itself is late.
            if time.write_to_sink(cx, reader, true).await.is_err() {
                reader.give_up_sink();
            }
        }
    }
}

async fn drain_pipes(
    cx: &PhaseContext,
    reader: &mut OutputReader,
    first: Option<ReadStep>,
    time: &mut DrainTime,
) -> Result<Option<Ending>, TimeIsOver> {
    let start = cx.publisher.journal.end();
    let mut next = first;
    loop {
        let has_step = next.is_some();
        next.into_iter().for_each(|step| accept(cx, step));
        let is_much = cx.publisher.journal.end() - start > MAX_IN_PIPES;
        time.write_to_sink(cx, reader, is_much).await?;
        if !has_step {
            break;
        }
        let rest = async {
            if let Some(failure) = reader.write_pending().await {
                stop_for(cx, failure);
            }
            if is_much {
                cx.wait_for_room().await;
            }
            // A survivor may write on and on, and other executions share this worker.
            tokio::task::consume_budget().await;
        };
        time.limit(rest).await?;
        next = reader.step_now();
    }
    time.limit(reader.complete_files()).await
}

/// A time that is over before the drain is.
#[derive(Debug, PartialEq, Eq)]
enum TimeIsOver {
    /// That of the drain, of which the wait for the sink is no part.
    OfDrain,
    /// That of the sink since something has made it urgent.
    OfSink,
}

/// The time that a drain has left.
struct DrainTime {
    limit: Duration,
    /// None never comes.
    end: Option<Instant>,
    /// When the sink is given up; None while nothing hurries it.
    sink_end: Option<Instant>,
}

impl DrainTime {
    fn new(limit: Duration) -> Self {
        Self { limit, end: Instant::now().checked_add(limit), sink_end: None }
    }

    async fn limit<T>(&self, work: impl Future<Output = T>) -> Result<T, TimeIsOver> {
        tokio::select! {
            biased;
            done = work => {
                // What is always ready has to come to an end, too.
                let is_late = self.end.is_some_and(|end| Instant::now() >= end);
                if is_late { Err(TimeIsOver::OfDrain) } else { Ok(done) }
            }
            () = time::sleep_until(self.end) => Err(TimeIsOver::OfDrain),
        }
    }

    /// Waits until the sink has everything. The limit is put off by this time, but not after so much
    /// output that a survivor must be writing on and on.
    async fn write_to_sink(
        &mut self,
        cx: &PhaseContext,
        reader: &mut OutputReader,
        is_much: bool,
    ) -> Result<(), TimeIsOver> {
        if !reader.has_sink_calls() {
            return Ok(());
        }
        let begun = Instant::now();
        tokio::select! {
            biased;
            () = reader.write_to_sink() => {}
            () = self.sink_is_late(cx) => return Err(TimeIsOver::OfSink),
        }
        if !is_much {
            self.end = self.end.and_then(|end| end.checked_add(begun.elapsed()));
        }
        Ok(())
    }

    /// Waits until the sink has had enough time since something has made it urgent.
    async fn sink_is_late(&mut self, cx: &PhaseContext) {
        if self.sink_end.is_none() {
            output_is_urgent(cx).await;
            self.sink_end = Instant::now().checked_add(self.limit);
        }
        time::sleep_until(self.sink_end).await;
    }
}

/// Waits until there is a reason not to wait for the sink for ever: the execution is being stopped,
/// or its timeout is over.
async fn output_is_urgent(cx: &PhaseContext) {
    let active = &cx.active;
    let stopped = async {
        match active.decision() {
            None => loop {
                // The program has exited, so there is nothing to control any more.
                drop(active.inbox.take());
                if active.decision().is_some() {
                    break;
                }
                active.woken().await;
            },
            // A cancel or the end of the engine comes too late to be the ending.
            Some(ending) if ending.is_own() => active.stop_accelerated().await,
            Some(_) => {}
        }
    };
    let late = async {
        while active.deadline.expired().is_none() {
            active.deadline.wakeup().await;
        }
    };
    tokio::select! {
        () = stopped => {}
        () = late => {}
    }
}

/// Completes the overflow files. Returns what was lost, unless the ending says so.
pub(super) async fn complete_output(
    cx: &PhaseContext,
    reader: &mut OutputReader,
) -> Option<String> {
    // What goes wrong here the reader counts as a loss.
    if reader.has_files() && boxed(timeout(FILE_LIMIT, reader.complete_files())).await.is_err() {
        return Some("the disk did not answer in time".to_string());
    }
    match cx.active.decision() {
        Some(Ending::OutputLost { .. }) => None,
        _ => reader.loss(),
    }
}

/// Closes the pipes and publishes what is left of the last line. Returns the logs for their last
/// words.
pub(super) fn close_output(cx: &PhaseContext, reader: OutputReader) -> ExecutionLogs {
    let logs = reader.close();
    cx.publisher.wake_readers();
    logs
}

fn accept(cx: &PhaseContext, step: ReadStep) {
    if step.has_output {
        cx.active.deadline.note_output();
    }
    if step.has_lines {
        cx.publisher.wake_readers();
    }
    if let Some(failure) = step.stop {
        stop_for(cx, failure);
    }
}

/// Stops the execution for its output. This wakes the supervision, which waits beside the reading.
fn stop_for(cx: &PhaseContext, ending: Ending) {
    // Coming second is no failure.
    let _first = cx.active.decide(ending);
}
