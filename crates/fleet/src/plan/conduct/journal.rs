//! Writes the events of a plan, as the output of its execution.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::started;
use crate::plan::event::{PlanEvent, line};
use crate::record::Stream;
use crate::worker::ProgramEvent;

/// What the conductor tells.
enum Told {
    /// Lines, and who is told when the log has them.
    Lines(Bytes, oneshot::Sender<()>),
    Ended(ProgramEvent),
}

/// Where the conductor writes.
pub(super) struct Journal(mpsc::Sender<Told>);

/// What the worker reads.
pub(super) struct PlanOutput {
    told: mpsc::Receiver<Told>,
    has_started: bool,
    /// Lines that were returned, and are not told to be published.
    to_flush: Option<oneshot::Sender<()>>,
    /// Lines that are being published, until the next event is asked for.
    flushing: Option<oneshot::Sender<()>>,
}

impl Journal {
    pub(super) fn new() -> (Self, PlanOutput) {
        let (sender, told) = mpsc::channel(1);
        let output = PlanOutput { told, has_started: false, to_flush: None, flushing: None };
        (Self(sender), output)
    }

    /// Writes events, and waits until the log has them.
    pub(super) async fn write(&self, events: &[PlanEvent]) {
        if events.is_empty() {
            return;
        }
        let lines: Vec<u8> = events.iter().flat_map(line).collect();
        let (sender, published) = oneshot::channel();
        let sent = self.0.send(Told::Lines(lines.into(), sender)).await;
        // Nothing reads any more: the start was given up, and this task is about to be ended.
        if sent.is_err() || published.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn end(&self, ended: ProgramEvent) {
        let _given_up = self.0.send(Told::Ended(ended)).await;
    }
}

impl PlanOutput {
    /// Returns the next event. Cancel safe.
    pub(super) async fn next_event(&mut self) -> ProgramEvent {
        if !std::mem::replace(&mut self.has_started, true) {
            return started();
        }
        if let Some(published) = self.to_flush.take() {
            self.flushing = Some(published);
            return ProgramEvent::Flush;
        }
        if let Some(published) = self.flushing.take() {
            let _given_up = published.send(());
        }
        match self.told.recv().await {
            Some(Told::Lines(lines, published)) => {
                self.to_flush = Some(published);
                ProgramEvent::Output(Stream::Stdout, lines)
            }
            Some(Told::Ended(ended)) => ended,
            // It was killed; what it reports then is not the end of the plan.
            None => ProgramEvent::Ended { ending: Default::default(), result: Default::default() },
        }
    }
}
