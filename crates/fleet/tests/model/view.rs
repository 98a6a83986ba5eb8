//! The records of the model, and what a reader makes of them with the fold that the crate has.

use std::collections::HashMap;
use std::sync::Mutex;

use execution_engine_fleet::{
    Cancel, Claim, DeliveryHandle, End, Lost, Outcome, Record, Start, State, TicketDigest,
};
use serde_json::json;

/// A start: its attempt, its fence and its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Begun {
    pub(crate) attempt: u32,
    pub(crate) fence: u64,
    pub(crate) worker: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Claim { attempt: u32, worker: usize },
    End(Begun),
    Lost(Begun),
    Cancel,
}

/// Most starts of the execution.
pub(crate) const ATTEMPTS: u32 = 2;

fn name(worker: usize) -> String {
    format!("w{worker}")
}

fn start(begun: Begun) -> Start {
    let Begun { attempt, fence, worker } = begun;
    Start { attempt, of: ATTEMPTS, fence, worker: name(worker), key: String::new() }
}

fn record(entry: Entry) -> Record {
    match entry {
        Entry::Claim { attempt, worker } => Record::Claim(Claim {
            attempt,
            of: ATTEMPTS,
            worker: name(worker),
            key: String::new(),
            command: String::new(),
            submitted_at_ms: None,
            metadata: None,
            plan: None,
            asked: None,
            exclusive: false,
            ticket: TicketDigest::of(b"ticket"),
            delivery: DeliveryHandle("delivery".to_owned()),
            engine: String::new(),
            containment: String::new(),
            sandbox: String::new(),
            at_ms: None,
        }),
        Entry::End(begun) => Record::End(End {
            start: start(begun),
            ending: json!({}),
            result: json!({}),
            output_end: 0,
            started: None,
        }),
        Entry::Lost(begun) => {
            let (by, reason) = ("sweeper".to_owned(), String::new());
            Record::Lost(Lost { start: start(begun), by, reason, at_ms: None })
        }
        Entry::Cancel => {
            let (by, reason) = ("client".to_owned(), String::new());
            Record::Cancel(Cancel { by, reason, grace_ms: None, at_ms: None })
        }
    }
}

/// What a reader has read. Without a loss it is a prefix of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct View(Vec<(u64, Entry)>);

impl View {
    /// What a reader has that reads all.
    pub(crate) fn of(log: &[Entry]) -> Self {
        Self((1..).zip(log.iter().copied()).collect())
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.0.last().map_or(0, |(seq, _)| *seq)
    }

    /// Reads on. A reader asks for what is behind the last that it has.
    pub(crate) fn read(&mut self, log: &[Entry]) {
        let last = self.last_seq();
        let entries = (1..).zip(log.iter().copied());
        self.0.extend(entries.filter(|(seq, _)| *seq > last));
    }
}

/// What an execution has come to, as a user is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// With the sequence of the report.
    Ended(u64),
    /// With the sequence of the cancel.
    Cancelled(u64),
    WorkerLost,
}

/// What a reader knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) ending: Option<Ending>,
    pub(crate) running: Option<Begun>,
    pub(crate) next_attempt: Option<u32>,
    pub(crate) superseded: usize,
}

fn known(view: &View) -> Known {
    let mut state = State::new(1);
    for (seq, entry) in &view.0 {
        state.apply(*seq, &record(*entry));
    }
    let ending = state.outcome().map(|outcome| match outcome {
        Outcome::Ended => Ending::Ended(state.report().map_or(0, |report| report.seq)),
        Outcome::Cancelled { seq, .. } => Ending::Cancelled(*seq),
        Outcome::WorkerLost { .. } => Ending::WorkerLost,
        Outcome::NotStarted { .. } => panic!("no ticket has a last moment"),
    });
    let running = state.running().map(|start| Begun {
        attempt: start.attempt,
        fence: start.fence,
        worker: usize::from(start.worker != name(0)),
    });
    let (next_attempt, superseded) = (state.next_attempt(), state.superseded().len());
    Known { ending, running, next_attempt, superseded }
}

/// Folds each view once: there are few, in very many states.
#[derive(Default)]
pub(crate) struct Folded(Mutex<HashMap<View, Known>>);

impl Folded {
    pub(crate) fn of(&self, view: &View) -> Known {
        let mut folded = self.0.lock().expect("no fold panics");
        if let Some(known) = folded.get(view) {
            return *known;
        }
        let known = known(view);
        folded.insert(view.clone(), known);
        known
    }
}
