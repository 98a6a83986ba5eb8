//! Reading the output: beside other work while the program runs, and to the last byte at the end.

use std::future::Future;
use std::pin::Pin;

use tokio::time::timeout;

use super::completion::FILE_LIMIT;
use super::context::PhaseContext;
use super::launch::RunningProgram;
use super::run::boxed;
use crate::output::{ExecutionLogs, OutputReader, ReadStep};
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
pub(super) async fn drain(cx: &PhaseContext, program: &mut RunningProgram) {
    let RunningProgram { reader, params, .. } = program;
    let first = reader.step_now();
    if first.is_some() || reader.has_files() {
        // Most programs leave nothing.
        boxed(drain_within(cx, reader, first, params.drain)).await;
    }
}

async fn drain_within(
    cx: &PhaseContext,
    reader: &mut OutputReader,
    first: Option<ReadStep>,
    limit: std::time::Duration,
) {
    match timeout(limit, drain_pipes(cx, reader, first)).await {
        Ok(failure) => failure.into_iter().for_each(|failure| stop_for(cx, failure)),
        // The files were not written in time. That costs none of what the pipes hold, which is not
        // much: it is read without writing them.
        Err(_) => {
            let enough = cx.publisher.journal.end() + MAX_IN_PIPES;
            while cx.publisher.journal.end() < enough
                && let Some(step) = reader.step_now()
            {
                accept(cx, step);
            }
        }
    }
}

async fn drain_pipes(
    cx: &PhaseContext,
    reader: &mut OutputReader,
    first: Option<ReadStep>,
) -> Option<Ending> {
    let start = cx.publisher.journal.end();
    let mut next = first;
    while let Some(step) = next {
        accept(cx, step);
        if let Some(failure) = reader.write_pending().await {
            stop_for(cx, failure);
        }
        if cx.publisher.journal.end() - start > MAX_IN_PIPES {
            cx.wait_for_room().await;
        }
        // A survivor may write on and on, and other executions share this worker.
        tokio::task::consume_budget().await;
        next = reader.step_now();
    }
    reader.complete_files().await
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
