//! The life of an execution that runs elsewhere, as this engine sees it: submitted, and then followed
//! by its records up to its ending.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::completion::{AttemptOutcome, CompletionGuard, complete_logs};
use super::drain::{close_output, complete_output};
use super::remote::{Left, Remote, RemoteProgress, caught, instant_of};
use super::retry::note_attempt;
use super::state::StateInput;
use crate::backend::{Backend, BackendEvent, BackendRecord, Pauses};
use crate::error::{ExecutionError, Result};
use crate::output::{ExecutionLogs, ExecutionSink, OutputReader, OutputSettings};
use crate::time;
use crate::types::{
    ContainmentReceipt, Ending, ExecutionEvent, ExecutionOptions, ExecutionRequest,
    ExecutionResult, OutputStream, Place,
};

/// Longest part of a record that is handed on at once, as if it had been read from a pipe.
const PORTION: usize = 64 * 1024;

/// A request on its way to the backend.
pub(crate) struct Submission {
    pub(crate) request: ExecutionRequest,
    pub(crate) options: ExecutionOptions,
    /// Gets the answer; None for a step of a plan, which has no caller to tell and is submitted until it
    /// is accepted or refused for good.
    pub(crate) reply: Option<oneshot::Sender<Result<()>>>,
}

/// An execution that runs elsewhere, and what its records are made into.
pub(crate) struct Followed {
    guard: CompletionGuard,
    backend: Arc<dyn Backend>,
    reader: OutputReader,
    output: OutputSettings,
    /// How long the sink may take once the execution is being stopped.
    drain: Duration,
    /// That of the last record.
    cursor: u64,
    /// That of the last attempt that was started.
    place: Option<Place>,
}

impl Followed {
    /// Creates one that has no records yet. Its logs are open.
    pub(crate) fn new(
        guard: CompletionGuard,
        backend: Arc<dyn Backend>,
        logs: ExecutionLogs,
        output: OutputSettings,
        drain: Duration,
    ) -> Self {
        let reader = OutputReader::new([None, None], logs, output.clone());
        Self { guard, backend, reader, output, drain, cursor: 0, place: None }
    }

    /// Submits the execution, and follows it once it is accepted.
    pub(crate) async fn submit(self, submission: Box<Submission>) {
        let Submission { request, options, reply } = *submission;
        let active = Arc::clone(&self.guard.active);
        let Some(remote) = active.remote() else { return };
        let submitted = async {
            match reply {
                Some(_) => caught(self.backend.submit(&request, &options)).await,
                None => submit_step(&*self.backend, remote, &request, &options).await,
            }
        };
        let answer = tokio::select! {
            biased;
            _closed = remote.left() => {
                Err(ExecutionError::outcome_unknown(request.id, "the engine was closed meanwhile"))
            }
            answer = submitted => answer,
        };
        match (answer, reply) {
            (Ok(()), reply) => {
                remote.update(|progress| progress.is_accepted = true);
                // The caller may have dropped its future.
                let _unread = reply.map(|reply| reply.send(Ok(())));
                self.follow().await;
            }
            (Err(error), Some(reply)) => {
                remote.update(|progress| {
                    progress.left.get_or_insert(Left::Unknown);
                });
                if error.is_rejection() {
                    self.guard.refuse();
                } else {
                    self.guard.leave();
                }
                let _unread = reply.send(Err(error));
            }
            (Err(error), None) => self.refused_step(remote, &error).await,
        }
    }

    /// Ends a step that was not accepted, or leaves it if its engine is closed.
    async fn refused_step(self, remote: &Remote, error: &ExecutionError) {
        if !error.is_rejection() {
            return self.guard.leave();
        }
        let mut stop = None;
        remote.update(|progress| stop = progress.stop.clone());
        let reason = error.to_string();
        let failed = Ending::SpawnFailed { reason, os_error: error.os_error() };
        // A step that was stopped before it was accepted was never run for that reason.
        let _first = self.guard.active.apply(stop.unwrap_or(StateInput::Decide(failed)));
        let outcome = AttemptOutcome::without_program(self.guard.nothing_to_stop());
        self.guard.complete(outcome).await;
    }

    /// Follows the records up to the ending, or until that is no longer to be done.
    pub(crate) async fn follow(mut self) {
        let active = Arc::clone(&self.guard.active);
        let Some(remote) = active.remote() else { return };
        let ended = tokio::select! {
            biased;
            _closed = remote.left() => None,
            ended = self.until_end(remote) => ended,
        };
        match ended {
            Some(result) => {
                self.complete(result).await;
                remote.update(RemoteProgress::end);
            }
            None => {
                remote.update(|progress| {
                    progress.left.get_or_insert(Left::Unknown);
                });
                self.guard.leave();
            }
        }
    }

    /// Takes records up to the last one. None if the backend does not know the execution.
    async fn until_end(&mut self, remote: &Remote) -> Option<Box<ExecutionResult>> {
        loop {
            for BackendRecord { cursor, event } in self.next().await? {
                if cursor <= self.cursor {
                    // It came before an answer that was lost.
                    continue;
                }
                self.cursor = cursor;
                match event {
                    BackendEvent::Ended(result) => return Some(result),
                    event => self.take(event, remote).await,
                }
            }
            remote.update(|progress| progress.followed = self.cursor);
        }
    }

    /// Asks for the next records until the backend answers. None if it does not know the execution.
    async fn next(&mut self) -> Option<Vec<BackendRecord>> {
        let (id, backend) = (self.guard.active.info().id, Arc::clone(&self.backend));
        let mut pauses = Pauses::new();
        let mut has_failed = false;
        loop {
            match self.beside_silence(caught(backend.next(id, self.cursor))).await {
                Ok(records) if !records.is_empty() => {
                    if has_failed {
                        tracing::info!(%id, "the backend answers again");
                    }
                    return Some(records);
                }
                // A backend that does not wait for records shall not keep a thread busy.
                Ok(_) => {}
                Err(error) if error.is_lookup() => {
                    tracing::warn!(%id, %error, "an execution is followed no longer");
                    return None;
                }
                Err(error) => {
                    has_failed = true;
                    tracing::warn!(%id, %error, "an execution cannot be followed; trying again");
                }
            }
            if !has_failed {
                pauses = Pauses::new();
            }
            self.beside_silence(pauses.next()).await;
        }
    }

    /// Waits for `work`, and publishes lines that stay unfinished meanwhile.
    async fn beside_silence<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                step = self.reader.silence() => {
                    if step.has_lines {
                        self.guard.publisher.wake_readers();
                    }
                }
            }
        }
    }

    async fn take(&mut self, event: BackendEvent, remote: &Remote) {
        match event {
            BackendEvent::Started { place, pid, at } => self.started(place, pid, at),
            BackendEvent::Output { stream, bytes } => self.output(stream, &bytes, remote).await,
            BackendEvent::OutputMissed { stream, bytes } => {
                self.settle(remote).await;
                self.reader.miss(stream, bytes);
                self.guard.publisher.wake_readers();
            }
            BackendEvent::AttemptLost { ending, delay } => {
                self.attempt_lost(ending, delay, remote).await;
            }
            BackendEvent::Ended(_) => {}
        }
    }

    fn started(&mut self, place: Place, pid: u32, at: DateTime<Utc>) {
        let active = Arc::clone(&self.guard.active);
        if active.apply(StateInput::Starting).is_err() {
            // It runs already, so this is a record of another attempt that should not be here.
            tracing::warn!(id = %active.info().id, ?place, "a second start was told");
            return;
        }
        active.started_elsewhere(at);
        self.guard.attempt_start = instant_of(at);
        if let Some(sink) = &self.guard.sink {
            self.reader.tell_sink(Arc::clone(sink), place.attempt, pid);
        }
        self.place = Some(place);
        self.guard.publish_started(pid);
    }

    async fn output(&mut self, stream: OutputStream, bytes: &Bytes, remote: &Remote) {
        for start in (0..bytes.len()).step_by(PORTION) {
            self.guard.wait_for_room().await;
            let portion = bytes.slice(start..bytes.len().min(start + PORTION));
            // What cannot be kept ends nothing here; the result says so.
            if self.reader.feed(stream, portion).has_lines {
                self.guard.publisher.wake_readers();
            }
            self.settle(remote).await;
        }
    }

    /// Waits until the files and the sink have everything.
    async fn settle(&mut self, remote: &Remote) {
        if self.reader.has_files() {
            // The reader remembers the first loss.
            let _lost = self.reader.write_pending().await;
        }
        if self.reader.has_sink_calls() {
            let is_taken = tokio::select! {
                biased;
                () = self.reader.write_to_sink() => true,
                () = stop_is_late(remote, self.drain) => false,
            };
            if !is_taken {
                self.reader.give_up_sink();
            }
        }
        tokio::task::consume_budget().await;
    }

    async fn attempt_lost(&mut self, ending: Ending, delay: Duration, remote: &Remote) {
        let (mut logs, outcome) = self.finish_output(remote).await;
        let active = Arc::clone(&self.guard.active);
        let attempt = active.attempt();
        logs.note(&format!("attempt {attempt}: {ending}; another one follows"));
        note_attempt(&mut self.guard, ending.clone(), outcome);
        if let Some(sink) = &self.guard.sink {
            let told = ExecutionSink::retrying(Arc::clone(sink), attempt, ending.clone(), delay);
            tokio::select! {
                biased;
                () = told => {}
                () = stop_is_late(remote, self.drain) => {}
            }
        }
        let execution_id = active.info().id;
        let event = ExecutionEvent::Retrying { execution_id, attempt, ending, delay };
        self.guard.publisher.event(Utc::now(), event);
        // It has no ending, so this is legal.
        let _next = active.apply(StateInput::AttemptLost);
        self.guard.publisher.journal.start_over();
        self.reader = OutputReader::new([None, None], logs, self.output.clone());
    }

    /// Completes the output of an attempt, and returns the logs for their last words.
    async fn finish_output(&mut self, remote: &Remote) -> (ExecutionLogs, AttemptOutcome) {
        self.settle(remote).await;
        // Nothing is known yet of the processes.
        let containment = ContainmentReceipt { proven: false, ..self.guard.nothing_to_stop() };
        let mut outcome = AttemptOutcome::without_program(containment);
        outcome.output_error = complete_output(&self.guard, &mut self.reader).await;
        let no_logs = ExecutionLogs::default();
        let closed = OutputReader::new([None, None], no_logs, self.output.clone());
        let reader = std::mem::replace(&mut self.reader, closed);
        (close_output(&self.guard, reader), outcome)
    }

    /// Ends the execution as the backend has said.
    async fn complete(mut self, mut result: Box<ExecutionResult>) {
        let active = Arc::clone(&self.guard.active);
        let Some(remote) = active.remote() else { return };
        let (logs, mut outcome) = self.finish_output(remote).await;
        self.guard.decide(result.ending.clone());
        result.place = result.place.take().or(self.place);
        outcome.elsewhere = Some(result);
        if !logs.is_empty() {
            complete_logs(&self.guard, logs, &mut outcome).await;
        }
        self.guard.complete(outcome).await;
    }
}

/// Submits a step of a plan until the backend has accepted it, or has refused it for good: a plan waits
/// for room, and what became of an answer that was lost is known after the next one.
async fn submit_step(
    backend: &dyn Backend,
    remote: &Remote,
    request: &ExecutionRequest,
    options: &ExecutionOptions,
) -> Result<()> {
    let mut pauses = Pauses::new();
    // What was refused may be given up; of what is not known whether it was, it may not.
    let mut may_be_there = false;
    loop {
        let Err(error) = caught(backend.submit(request, options)).await else { return Ok(()) };
        if !error.is_retryable() {
            return Err(error);
        }
        may_be_there |= !error.is_rejection();
        tracing::warn!(id = %request.id, %error, "a step was not accepted; trying again");
        tokio::select! {
            biased;
            () = remote.stop_asked(), if !may_be_there => return Err(error),
            () = pauses.next() => {}
        }
    }
}

/// Waits until the sink has had enough time since something has asked for the end.
async fn stop_is_late(remote: &Remote, limit: Duration) {
    remote.stop_asked().await;
    time::sleep_until(Instant::now().checked_add(limit)).await;
}
