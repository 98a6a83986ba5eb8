//! Executions that have not ended, as the service has them in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine_journal::{JournalError, JournalReader, ReadAt, StreamTotals};
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::journals::ToldEnd;
use super::link::Link;

/// Where an execution stands that has not ended, or has just.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// It is being stored; no client has been told of it.
    Accepting,
    /// It waits in the queue.
    Queued,
    /// It is stored that this keeper has it. The keeper may not know it yet.
    Dispatched(Arc<Link>),
    /// The keeper has it.
    Running(Arc<Link>),
    /// Its ending is stored.
    Ended,
    /// It was not accepted.
    Refused,
}

impl Phase {
    /// Returns the keeper that has it or will have it.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        match self {
            Self::Dispatched(link) | Self::Running(link) => Some(link),
            _ => None,
        }
    }

    /// Returns `true` if nothing follows.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Ended | Self::Refused)
    }
}

/// What changes while an execution runs.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// End of its journal, as far as its keeper has told.
    pub(crate) end: u64,
    /// End of the input that the program has taken, as far as its keeper has told.
    pub(crate) input: u64,
}

/// An execution that has not ended.
#[derive(Debug)]
pub(crate) struct Active {
    /// The execution.
    pub(crate) id: Uuid,
    live: watch::Sender<Live>,
    /// Held while it is controlled, so that what is stored of it is what was done last.
    pub(crate) control: Arc<tokio::sync::Mutex<()>>,
    /// Whether it is paused.
    is_paused: AtomicBool,
    /// Whether it is stored as paused.
    is_stored_paused: AtomicBool,
    /// A task tells its keeper, or has.
    is_told: AtomicBool,
    /// A task stores its ending.
    is_ending: AtomicBool,
    /// How it ended, if its keeper could tell that and not write it.
    told_end: Mutex<Option<Box<ToldEnd>>>,
    /// Output up to a position, so that it is not counted from the beginning each time.
    counted: Mutex<(u64, StreamTotals)>,
}

impl Active {
    /// Creates the entry of an execution.
    pub(crate) fn new(id: Uuid, phase: Phase) -> Arc<Self> {
        Arc::new(Self {
            id,
            live: watch::Sender::new(Live { phase, end: 0, input: 0 }),
            control: Arc::default(),
            is_paused: AtomicBool::new(false),
            is_stored_paused: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            told_end: Mutex::default(),
            counted: Mutex::default(),
        })
    }

    /// Returns a receiver of its changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Live> {
        self.live.subscribe()
    }

    /// Returns where it stands.
    pub(crate) fn live(&self) -> Live {
        self.live.borrow().clone()
    }

    /// Notes where it stands. An end is final.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.live.send_if_modified(|live| {
            let changes = !live.phase.is_final();
            if changes {
                live.phase = phase;
            }
            changes
        });
    }

    /// Lets those that watch it look again.
    pub(crate) fn touch(&self) {
        self.live.send_modify(|_| {});
    }

    /// Notes that its keeper has it.
    pub(crate) fn set_running(&self) {
        self.live.send_if_modified(|live| {
            let Phase::Dispatched(link) = &live.phase else { return false };
            live.phase = Phase::Running(Arc::clone(link));
            true
        });
    }

    /// Notes the end of its journal. It never goes back.
    pub(crate) fn set_end(&self, end: u64) {
        self.set_progress(end, 0);
    }

    /// Notes the end of its journal, and of the input that its program has taken. They never go back.
    pub(crate) fn set_progress(&self, end: u64, input: u64) {
        self.live.send_if_modified(|live| {
            let grows = end > live.end || input > live.input;
            live.end = live.end.max(end);
            live.input = live.input.max(input);
            grows
        });
    }

    /// Returns `true` if it is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Acquire)
    }

    /// Notes whether it is paused.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.is_paused.store(paused, Ordering::Release);
    }

    /// Returns `true` if it is stored as paused.
    pub(crate) fn is_stored_paused(&self) -> bool {
        self.is_stored_paused.load(Ordering::Acquire)
    }

    /// Notes whether it is stored as paused.
    pub(crate) fn set_stored_paused(&self, paused: bool) {
        self.is_stored_paused.store(paused, Ordering::Release);
    }

    /// Returns `true` to the first caller: it tells the keeper.
    pub(crate) fn begin_telling(&self) -> bool {
        !self.is_told.swap(true, Ordering::AcqRel)
    }

    /// Returns `true` to the first caller: it stores the ending.
    pub(crate) fn begin_ending(&self) -> bool {
        !self.is_ending.swap(true, Ordering::AcqRel)
    }

    /// Returns `true` if a task stores its ending.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Lets another caller store the ending.
    pub(crate) fn give_up_ending(&self) {
        self.is_ending.store(false, Ordering::Release);
        self.touch();
    }

    /// Notes how it ended, in case that its keeper dies before it could write that.
    pub(crate) fn set_told_end(&self, end: ToldEnd) {
        *self.told_end.lock() = Some(Box::new(end));
    }

    /// Returns how it ended, if its keeper could tell that and not write it.
    pub(crate) fn told_end(&self) -> Option<ToldEnd> {
        self.told_end.lock().as_deref().cloned()
    }

    /// Counts the output up to a position of its journal. Blocks.
    pub(crate) fn totals<R: ReadAt>(
        &self,
        journal: &JournalReader<R>,
        up_to: u64,
    ) -> Result<StreamTotals, JournalError> {
        /// How much is read at a time.
        const PIECE: usize = 1 << 20;
        let (mut position, mut totals) = *self.counted.lock();
        while position < up_to {
            let batch = journal.read(position, up_to, PIECE)?;
            batch.records.iter().for_each(|record| totals.add(record));
            position = batch.next;
        }
        let mut counted = self.counted.lock();
        if position > counted.0 {
            *counted = (position, totals);
        }
        Ok(totals)
    }
}
