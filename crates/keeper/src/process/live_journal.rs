use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use chrono::Utc;
use execution_engine::{ExecutionResult, OutputStream};
use execution_engine_journal::{JournalEvent, JournalWriter, Kind};

use crate::Missed;

/// Most events that wait for room. Only attempts make events, and on a full disk there may be very many.
const MAX_WAITING: usize = 64;

/// The journal of an execution that has not ended, and what could not be written to it.
///
/// What cannot be written is counted, and told in its place when there is room for it and for what follows.
#[derive(Debug)]
pub(super) struct LiveJournal {
    writer: JournalWriter,
    /// For syncs without the writer.
    file: Arc<File>,
    attempt: u32,
    waiting: VecDeque<Waiting>,
    missed_in_all: Missed,
    /// End at the last sync.
    synced: u64,
}

/// What waits for room.
#[derive(Debug)]
enum Waiting {
    Missed { missed: Missed, reason: String },
    Event { time_us: i64, attempt: u32, event: JournalEvent },
}

impl LiveJournal {
    pub(super) fn new(writer: JournalWriter) -> io::Result<Self> {
        let file = Arc::new(writer.try_clone_file()?);
        Ok(Self {
            writer,
            file,
            attempt: 0,
            waiting: VecDeque::new(),
            missed_in_all: Missed::default(),
            synced: 0,
        })
    }

    pub(super) fn end(&self) -> u64 {
        self.writer.end()
    }

    /// Returns what is missing and not told in the journal.
    pub(super) fn missed(&self) -> Missed {
        let mut sum = Missed::default();
        for waiting in &self.waiting {
            if let Waiting::Missed { missed, .. } = waiting {
                sum.stdout_bytes += missed.stdout_bytes;
                sum.stderr_bytes += missed.stderr_bytes;
            }
        }
        sum
    }

    /// Appends output of an attempt, or counts it.
    pub(super) fn output(&mut self, stream: OutputStream, attempt: u32, bytes: &[u8]) {
        self.attempt = attempt;
        let kind = match stream {
            OutputStream::Stdout => Kind::Stdout,
            OutputStream::Stderr => Kind::Stderr,
        };
        for piece in bytes.chunks(execution_engine_journal::MAX_OUTPUT_BYTES) {
            let written = self.write_waiting_and(|writer| {
                writer.append(kind, attempt, now_us(), piece).map(drop)
            });
            if let Err(error) = written {
                self.miss(stream, piece.len() as u64, &error);
            }
        }
    }

    /// Appends an event of an attempt, or lets it wait.
    pub(super) fn event(&mut self, attempt: u32, event: JournalEvent) {
        self.attempt = attempt;
        if self.waiting.len() >= MAX_WAITING {
            return;
        }
        self.waiting.push_back(Waiting::Event { time_us: now_us(), attempt, event });
        if let Err(error) = self.write_waiting_and(|_| Ok(())) {
            tracing::debug!(%error, "an event waits for room in a journal");
        }
    }

    /// Appends the ending as the last record.
    pub(super) fn ended(&mut self, result: &serde_json::Value) -> io::Result<()> {
        let (attempt, event) = (self.attempt, JournalEvent::Ended { result: result.clone() });
        self.write_waiting_and(|writer| writer.append_event(attempt, now_us(), &event).map(drop))
    }

    /// Returns a result as a journal has it: the output is in the journal and not in its texts.
    pub(super) fn shown(&self, result: &ExecutionResult) -> ExecutionResult {
        /// Most survivors that are named, so that a result fits into a record.
        const MAX_SURVIVORS: usize = 10_000;
        let Missed { stdout_bytes, stderr_bytes } = self.missed_in_all;
        let mut shown = result.clone();
        shown.stdout.clear();
        shown.stderr.clear();
        shown.truncated = stdout_bytes + stderr_bytes > 0;
        for (stats, missed) in
            [(&mut shown.stdout_stats, stdout_bytes), (&mut shown.stderr_stats, stderr_bytes)]
        {
            stats.kept_bytes = stats.seen_bytes.saturating_sub(missed);
        }
        if shown.truncated && shown.output_error.is_none() {
            shown.output_error = Some(format!(
                "{stdout_bytes} bytes of stdout and {stderr_bytes} bytes of stderr could not be kept"
            ));
        }
        shown.containment.survivors.truncate(MAX_SURVIVORS);
        shown
    }

    /// Returns the file, if at least so many bytes of it were not synced, which it takes for synced then.
    pub(super) fn take_unsynced(&mut self, at_least: u64) -> Option<Arc<File>> {
        let is_due = self.end() - self.synced >= at_least.max(1);
        is_due.then(|| {
            self.synced = self.end();
            Arc::clone(&self.file)
        })
    }

    fn miss(&mut self, stream: OutputStream, bytes: u64, error: &io::Error) {
        let add = |missed: &mut Missed| match stream {
            OutputStream::Stdout => missed.stdout_bytes += bytes,
            OutputStream::Stderr => missed.stderr_bytes += bytes,
        };
        if self.missed_in_all == Missed::default() {
            tracing::warn!(%error, "output cannot be written to a journal");
        }
        add(&mut self.missed_in_all);
        if let Some(Waiting::Missed { missed, .. }) = self.waiting.back_mut() {
            return add(missed);
        }
        let mut missed = Missed::default();
        add(&mut missed);
        self.waiting.push_back(Waiting::Missed { missed, reason: error.to_string() });
    }

    /// Appends what waits for room, in its order, and what follows it.
    ///
    /// What is missing is told together with what comes after it, so that a gap is one record, however often the
    /// disk has room for such a record and not for the output behind it.
    fn write_waiting_and(
        &mut self,
        following: impl FnOnce(&mut JournalWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut told = None;
        let written = loop {
            let Some(first) = self.waiting.front() else { break following(&mut self.writer) };
            let before = self.writer.end();
            if let Err(error) = first.write(self.attempt, &mut self.writer) {
                break Err(error);
            }
            let first = self.waiting.pop_front();
            told = first.filter(Waiting::is_missed).map(|missed| (before, missed));
        };
        if written.is_err()
            && let Some((before, missed)) = told
        {
            self.writer.take_back(before);
            self.waiting.push_front(missed);
        }
        written
    }
}

impl Waiting {
    fn is_missed(&self) -> bool {
        matches!(self, Self::Missed { .. })
    }

    fn write(&self, current_attempt: u32, writer: &mut JournalWriter) -> io::Result<()> {
        match self {
            Self::Missed { missed, reason } => {
                let event = JournalEvent::Missed {
                    stdout_bytes: missed.stdout_bytes,
                    stderr_bytes: missed.stderr_bytes,
                    reason: reason.clone(),
                };
                writer.append_event(current_attempt, now_us(), &event)?;
            }
            Self::Event { time_us, attempt, event } => {
                writer.append_event(*attempt, *time_us, event)?;
            }
        }
        Ok(())
    }
}

/// Returns the time of a record.
fn now_us() -> i64 {
    Utc::now().timestamp_micros()
}
