use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use execution_engine::ExecutionResult;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::input::Input;
use super::live_journal::LiveJournal;
use crate::faults::{self, FaultPoint};
use crate::protocol::{Answer, ErrorCode, Listed, ListedState};
use crate::{Missed, Notice};

/// An execution from the start that was asked for until it is forgotten.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) id: Uuid,
    /// Whether its program reads what clients write.
    pub(super) has_input: bool,
    input: Mutex<Input>,
    state: Mutex<State>,
    /// Whether it was taken on; None while that is not decided.
    taken_on: watch::Sender<Option<Result<(), Refusal>>>,
    forgotten: Notify,
    /// Held while its processes are controlled, so that what is noted of it is what was done.
    pub(super) control: tokio::sync::Mutex<()>,
    /// A program has started again. For one waiter.
    pub(super) restarted: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// None before its file is there, and after its last record.
    journal: Option<LiveJournal>,
    /// End of the journal, also without it.
    end: u64,
    is_started: bool,
    is_paused: bool,
    ended: Option<Ended>,
    is_forgotten: bool,
}

/// How it ended, as far as its journal does not say it.
#[derive(Debug, Default)]
struct Ended {
    unwritten: Option<(Value, Missed)>,
}

/// Why an execution was not taken on, or a call was not carried out.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl From<Refusal> for Answer {
    fn from(Refusal { code, message }: Refusal) -> Self {
        Self::Error { code, message }
    }
}

/// What came of writing an ending.
pub(super) enum EndingWritten {
    Yes(Value),
    /// There is no room; this is what would have been written.
    No(Value, io::Error),
    /// No client asks for it any more.
    Forgotten,
}

impl Execution {
    pub(super) fn new(id: Uuid, has_input: bool) -> Self {
        Self {
            id,
            has_input,
            input: Mutex::default(),
            state: Mutex::default(),
            taken_on: watch::Sender::new(None),
            forgotten: Notify::new(),
            control: tokio::sync::Mutex::default(),
            restarted: Notify::new(),
        }
    }

    /// Gives it the journal that was created.
    pub(super) fn set_journal(&self, journal: LiveJournal) {
        self.state.lock().journal = Some(journal);
    }

    pub(super) fn has_journal(&self) -> bool {
        self.state.lock().journal.is_some()
    }

    /// Decides whether it was taken on.
    pub(super) fn decide(&self, taken_on: Result<(), Refusal>) {
        self.taken_on.send_replace(Some(taken_on));
    }

    /// Waits until it is decided whether it was taken on. Cancel safe.
    pub(super) async fn taken_on(&self) -> Result<(), Refusal> {
        let mut decision = self.taken_on.subscribe();
        let decided = decision.wait_for(Option::is_some).await;
        // The sender is as old as this execution, so a decision comes.
        decided.ok().and_then(|decided| decided.clone()).unwrap_or(Ok(()))
    }

    /// Changes the journal, and returns its end if it has grown. It has none before its start and after its end.
    pub(super) fn write(&self, change: impl FnOnce(&mut LiveJournal)) -> io::Result<Option<u64>> {
        let mut state = self.state.lock();
        let Some(journal) = state.journal.as_mut() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the journal is closed"));
        };
        change(journal);
        let end = journal.end();
        let before = std::mem::replace(&mut state.end, end);
        Ok((end > before).then_some(end))
    }

    /// Appends the ending to the journal.
    pub(super) fn write_ended(&self, result: &ExecutionResult) -> EndingWritten {
        let mut state = self.state.lock();
        let Some(journal) = state.journal.as_mut() else { return EndingWritten::Forgotten };
        let shown = journal.shown(result);
        let value = match serde_json::to_value(shown) {
            Ok(value) => value,
            Err(error) => return EndingWritten::No(Value::Null, error.into()),
        };
        let written = journal.ended(&value);
        state.end = journal.end();
        match written {
            Ok(()) => EndingWritten::Yes(value),
            Err(error) => EndingWritten::No(value, error),
        }
    }

    /// Returns the file of the journal, if so many bytes of it were not synced.
    pub(super) fn take_unsynced(&self, at_least: u64) -> Option<Arc<File>> {
        self.state.lock().journal.as_mut()?.take_unsynced(at_least)
    }

    /// Notes that a program has started.
    pub(super) fn set_started(&self) {
        self.state.lock().is_started = true;
    }

    /// Looks at its input, or changes it.
    pub(super) fn with_input<T>(&self, change: impl FnOnce(&mut Input) -> T) -> T {
        change(&mut self.input.lock())
    }

    /// Returns the end of its journal.
    pub(super) fn end(&self) -> u64 {
        self.state.lock().end
    }

    /// Notes whether its program is paused.
    pub(super) fn set_paused(&self, paused: bool) {
        self.state.lock().is_paused = paused;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state.lock().is_paused
    }

    /// Notes that it has ended, and whether its journal says so. Returns the notice of it.
    pub(super) fn set_ended(&self, result: Value, written: bool) -> Notice {
        let mut state = self.state.lock();
        let missed = state.journal.as_ref().map(LiveJournal::missed).unwrap_or_default();
        if written {
            // Its file is not needed any longer.
            state.journal = None;
        }
        let unwritten = (!written).then(|| (result.clone(), missed));
        state.ended = Some(Ended { unwritten });
        let missed = (!written).then_some(missed);
        Notice::Ended {
            id: self.id,
            end: state.end,
            result: Some(result),
            journal_failed: !written,
            missed,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().ended.is_some()
    }

    /// Removes the journal and writes it no further. Does nothing the second time.
    pub(super) fn forget(&self, journal: &Path) -> io::Result<()> {
        // Under the lock: a second call must not remove the journal of a later execution with this id.
        let mut state = self.state.lock();
        if state.is_forgotten {
            return Ok(());
        }
        match fs::remove_file(journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        faults::reached(FaultPoint::JournalRemoved);
        state.is_forgotten = true;
        state.journal = None;
        drop(state);
        self.forgotten.notify_one();
        Ok(())
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.state.lock().is_forgotten
    }

    /// Waits until it is forgotten. For one waiter. Cancel safe.
    pub(super) async fn forgotten(&self) {
        while !self.is_forgotten() {
            self.forgotten.notified().await;
        }
    }

    pub(super) fn listed(&self) -> Listed {
        let state = self.state.lock();
        let ended = state.ended.as_ref();
        let unwritten = ended.and_then(|ended| ended.unwritten.clone());
        let (result, missed) = unwritten.unzip();
        Listed {
            id: self.id,
            state: if state.ended.is_some() { ListedState::Ended } else { ListedState::Running },
            end: state.end,
            started: state.is_started,
            input: self.input.lock().passed(),
            paused: state.is_paused && state.ended.is_none(),
            journal_failed: result.is_some(),
            result,
            missed,
        }
    }
}
