//! Makes the calls of a history: in order, on one thread, with bounded memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::History;
use crate::output::OutputSink;
use crate::runtime::BlockingPool;
use crate::store::Record;
use crate::time;
use crate::types::{ExecutionResult, HistoryEntry, HistoryStatus, RawOutput};
use crate::waker::discard;

/// Endings that may wait to be stored.
const MAX_WAITING: usize = 256;
/// A history that finishes no call for so long is not waited for.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Makes the calls of one history.
pub(crate) struct HistoryWriter {
    calls: Arc<HistoryCalls>,
    /// One thread, so the calls come in order.
    thread: BlockingPool,
    room: Arc<Semaphore>,
}

/// A history, and how its calls went.
struct HistoryCalls {
    history: Arc<dyn History>,
    state: Mutex<CallState>,
}

#[derive(Default)]
struct CallState {
    status: HistoryStatus,
    /// Number of calls that have returned.
    finished: u64,
}

/// Whether an execution that ends may hand over its ending.
pub(crate) enum HistoryRoom {
    /// Held until it is stored.
    Given(OwnedSemaphorePermit),
    /// The history is stuck.
    Refused,
}

impl HistoryWriter {
    pub(crate) fn new(history: Arc<dyn History>) -> Self {
        let state = Mutex::default();
        Self {
            calls: Arc::new(HistoryCalls { history, state }),
            thread: BlockingPool::new("execution-history", 1, || ()),
            room: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    pub(crate) fn history(&self) -> &Arc<dyn History> {
        &self.calls.history
    }

    /// Starts its thread, unless it runs.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.thread.start()
    }

    pub(crate) fn status(&self) -> HistoryStatus {
        self.calls.state.lock().status.clone()
    }

    /// Stores an accepted execution.
    pub(crate) fn accepted(&self, entry: Arc<HistoryEntry>) {
        self.call("an accepted execution was not stored", move |history| history.accepted(&entry));
    }

    /// Returns the sink of the history for the output of an execution. A panic is the same as none.
    pub(crate) fn live_output(&self, entry: &HistoryEntry) -> Option<Arc<dyn OutputSink>> {
        caught(|| Ok(self.history().live_output(entry))).ok().flatten()
    }

    /// Removes an execution that was refused after all.
    pub(crate) fn refused(&self, id: Uuid) {
        self.call("a refused execution was not removed", move |history| {
            history.remove(id).map(drop)
        });
    }

    /// Waits until an ending may be handed over. Must be awaited on a thread of the engine.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn room(&self) -> HistoryRoom {
        loop {
            let finished = self.calls.state.lock().finished;
            tokio::select! {
                biased;
                permit = Arc::clone(&self.room).acquire_owned() => {
                    return permit.map_or(HistoryRoom::Refused, HistoryRoom::Given);
                }
                () = time::sleep_until(Instant::now().checked_add(STALL_LIMIT)) => {}
            }
            if self.calls.state.lock().finished == finished {
                return HistoryRoom::Refused;
            }
        }
    }

    /// Stores an ended execution. None is room that no caller could wait for.
    pub(crate) fn ended(
        &self,
        entry: Option<Arc<HistoryEntry>>,
        record: Arc<Record>,
        room: Option<HistoryRoom>,
    ) {
        let Some(entry) = entry else { return };
        let room = match room {
            Some(HistoryRoom::Refused) => {
                let stuck = io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the history has finished no call for 30 s, so an ending was not stored",
                );
                return self.calls.note(Err(stuck));
            }
            Some(HistoryRoom::Given(room)) => Some(room),
            None => None,
        };
        self.call("an ended execution was not stored", move |history| {
            let _room = room;
            history.ended(&ended_entry(&entry, &record), &record.history_output())
        });
    }

    /// Asks the history something, after all calls before.
    ///
    /// # Errors
    /// Its error, or that of the system if there is no thread for it.
    ///
    /// # Cancel safety
    /// Once polled, it is asked even if the future is dropped.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn History) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.start()?;
        let calls = Arc::clone(&self.calls);
        calls.state.lock().status.waiting += 1;
        let answer = self.thread.call(move || {
            let answer = caught(|| question(&*calls.history));
            let mut state = calls.state.lock();
            state.status.waiting -= 1;
            state.finished += 1;
            drop(state);
            answer
        });
        answer.await.unwrap_or_else(|| Err(io::Error::other("the history has panicked")))
    }

    /// Waits until all calls before were made and what they have stored is durable, or the history is
    /// stuck. `timer` makes the timers for that, which end at a moment.
    pub(crate) async fn flush<Timer: Future>(&self, timer: impl Fn(Option<Instant>) -> Timer) {
        let mut flushed = std::pin::pin!(self.ask(|history| history.flush()));
        loop {
            let finished = self.calls.state.lock().finished;
            let stall = Instant::now().checked_add(STALL_LIMIT);
            tokio::select! {
                biased;
                done = &mut flushed => return self.note_failure(done),
                _over = timer(stall) => {}
            }
            if self.calls.state.lock().finished == finished {
                let stuck = "the history has finished no call for 30 s; it was not flushed";
                return self.note_failure(Err(io::Error::new(io::ErrorKind::TimedOut, stuck)));
            }
        }
    }

    fn note_failure(&self, done: io::Result<()>) {
        if done.is_err() {
            self.calls.note(done);
        }
    }

    fn call(
        &self,
        what: &'static str,
        call: impl FnOnce(&dyn History) -> io::Result<()> + Send + 'static,
    ) {
        let calls = Arc::clone(&self.calls);
        calls.state.lock().status.waiting += 1;
        self.thread.run(move || {
            let done = caught(|| call(&*calls.history));
            if let Err(error) = &done {
                tracing::warn!(%error, "{what}");
            }
            calls.state.lock().status.waiting -= 1;
            calls.note(done);
        });
    }
}

impl HistoryCalls {
    fn note(&self, done: io::Result<()>) {
        let mut state = self.state.lock();
        match done {
            Ok(()) => state.finished += 1,
            Err(error) => {
                // A failure that is not that of a stuck call is progress, too.
                state.finished += u64::from(error.kind() != io::ErrorKind::TimedOut);
                state.status.failed += 1;
                state.status.last_error = Some(error.to_string());
            }
        }
    }
}

impl Drop for HistoryWriter {
    fn drop(&mut self) {
        if self.start().is_ok() {
            self.call("the history was not flushed", |history| history.flush());
        }
    }
}

impl fmt::Debug for HistoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryWriter").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Makes a call; a panic of the history is an error.
fn caught<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        discard(panic);
        Err(io::Error::other("the history has panicked"))
    })
}

/// Makes the entry of an ended execution from that of its acceptance.
fn ended_entry(accepted: &HistoryEntry, record: &Record) -> HistoryEntry {
    let (mut summary, result) = (record.summary(), without_files(record.result()));
    (summary.stdout_stats, summary.stderr_stats) = (result.stdout_stats, result.stderr_stats);
    HistoryEntry { summary, result: Some(result), ..accepted.clone() }
}

/// Removes the texts, which the output has, and overflow files, which end with the engine.
fn without_files(mut result: ExecutionResult) -> ExecutionResult {
    let kept = [result.stdout_bytes().len(), result.stderr_bytes().len()];
    result.stdout_stats.kept_bytes = kept[0] as u64;
    result.stderr_stats.kept_bytes = kept[1] as u64;
    (result.stdout, result.stderr, result.raw) =
        (String::new(), String::new(), RawOutput::default());
    (result.stdout_overflow_file, result.stderr_overflow_file) = (None, None);
    result
}
