//! Subscriptions that are read to their end, and what they told.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use execution_engine::*;
use futures_core::Stream;

use crate::history::{Pace, View};
use crate::world::{PATIENCE, Submission, Tick, World};

/// What a subscription is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The execution with this number.
    Execution(usize),
    /// Whichever execution had this id.
    Id(Uuid),
    All,
    Plan(Uuid),
}

/// Everything that one subscription told.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    pub(crate) about: About,
    pub(crate) view: View,
    /// The sequence after which it began.
    pub(crate) after: u64,
    pub(crate) records: Vec<Told>,
    /// It has told that there is nothing more.
    pub(crate) is_complete: bool,
    /// When it was opened.
    pub(crate) opened: Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) id: Uuid,
    pub(crate) sequence: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Line { stream: OutputStream, text: String, is_partial: bool },
    Bytes { stream: OutputStream, bytes: Vec<u8> },
    Missed(u64),
    Event(ExecutionEvent),
}

impl What {
    fn of(event: ExecutionEvent, is_partial: bool) -> Self {
        match event {
            ExecutionEvent::Stdout { line: text, .. } => {
                Self::Line { stream: OutputStream::Stdout, text, is_partial }
            }
            ExecutionEvent::Stderr { line: text, .. } => {
                Self::Line { stream: OutputStream::Stderr, text, is_partial }
            }
            ExecutionEvent::OutputMissed { bytes, .. } => Self::Missed(bytes),
            event => Self::Event(event),
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Event(event) if event.is_terminal())
    }

    /// Returns how many bytes of output it tells.
    pub(crate) fn told_bytes(&self) -> u64 {
        match self {
            Self::Line { text, is_partial, .. } => text.len() as u64 + u64::from(!is_partial),
            Self::Bytes { bytes, .. } => bytes.len() as u64,
            Self::Missed(_) | Self::Event(_) => 0,
        }
    }

    pub(crate) fn missed_bytes(&self) -> u64 {
        if let Self::Missed(bytes) = self { *bytes } else { 0 }
    }
}

impl From<EventRecord> for Told {
    fn from(record: EventRecord) -> Self {
        let EventRecord { sequence, execution_id: id, partial, event, .. } = record;
        Self { id, sequence, what: What::of(event, partial) }
    }
}

impl From<ChunkRecord> for Told {
    fn from(record: ChunkRecord) -> Self {
        let what = match record.content {
            ChunkContent::Output { stream, bytes } => What::Bytes { stream, bytes: bytes.to_vec() },
            ChunkContent::Event(event) => What::of(event, false),
            other => panic!("{other:?}"),
        };
        Self { id: record.execution_id, sequence: record.sequence, what }
    }
}

impl Recording {
    pub(crate) fn new(about: About, view: View, after: u64, opened: Tick) -> Self {
        Self { about, view, after, records: Vec::new(), is_complete: false, opened }
    }

    /// Reads a subscription to its end, or until it tells nothing for too long.
    pub(crate) async fn read<T: Into<Told>>(
        mut self,
        world: Arc<World>,
        records: impl Stream<Item = T>,
        pace: Pace,
        note: impl Fn(&Told, Tick),
    ) -> Self {
        let mut records = pin!(records);
        loop {
            let next = std::future::poll_fn(|cx| match pace {
                Pace::SlowWaker => {
                    let waker = Waker::from(Arc::new(SlowWaker(cx.waker().clone())));
                    records.as_mut().poll_next(&mut Context::from_waker(&waker))
                }
                Pace::Fast | Pace::Slow => records.as_mut().poll_next(cx),
            });
            match tokio::time::timeout(PATIENCE, next).await {
                Ok(Some(record)) => {
                    let told = record.into();
                    note(&told, world.tick());
                    self.records.push(told);
                    if pace == Pace::Slow {
                        test_support::pause(Duration::from_millis(3)).await;
                    }
                }
                Ok(None) => {
                    self.is_complete = true;
                    return self;
                }
                Err(_) => return self,
            }
        }
    }
}

/// Notes in a submission what one of its records shows.
pub(crate) fn note(submission: &Submission, told: &Told, tick: Tick) {
    match &told.what {
        What::Event(ExecutionEvent::Started { .. }) => submission.started.note(tick),
        what if what.is_terminal() => submission.ended.note(tick),
        _ => {}
    }
}

/// Waker that takes a while, as code of a host may.
struct SlowWaker(Waker);

impl Wake for SlowWaker {
    #[expect(clippy::disallowed_methods, reason = "it is the waker that takes time here")]
    fn wake(self: Arc<Self>) {
        std::thread::sleep(Duration::from_micros(300));
        self.0.wake_by_ref();
    }
}

/// Polls a future with a waker that takes a while.
pub(crate) async fn with_slow_waker<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let waker = Waker::from(Arc::new(SlowWaker(cx.waker().clone())));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}
