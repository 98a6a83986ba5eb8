use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use execution_engine::{Ending, OutputChunk, OutputSink};
use execution_engine_journal::JournalEvent;
use uuid::Uuid;

use super::durability::{MAX_UNSYNCED, PowerSync};
use super::keeper::Shared;
use super::live_journal::LiveJournal;
use crate::Notice;
use crate::faults::{self, FaultPoint};

/// Writes what programs print to the journals, and tells the clients after it.
pub(super) struct JournalSink {
    shared: Arc<Shared>,
    power: Option<Arc<PowerSync>>,
}

impl JournalSink {
    pub(super) fn new(shared: Arc<Shared>, power: Option<Arc<PowerSync>>) -> Self {
        Self { shared, power }
    }

    /// Changes the journal of an execution, and tells the clients.
    fn write(&self, id: Uuid, change: impl FnOnce(&mut LiveJournal)) -> io::Result<()> {
        let Some(execution) = self.shared.get(id) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the execution is not known"));
        };
        if let Some(end) = execution.write(change)? {
            faults::reached(FaultPoint::OutputWritten);
            self.shared.tell(&Notice::Progress { id, end, input: 0 });
            if self.power.is_some() {
                self.shared.grown.notify_one();
            }
        }
        Ok(())
    }

    fn event(&self, id: Uuid, attempt: u32, event: JournalEvent) {
        if let Err(error) = self.write(id, |journal| journal.event(attempt, event)) {
            tracing::error!(%id, %error, "an event has no journal");
        }
    }
}

#[async_trait]
impl OutputSink for JournalSink {
    async fn started(&self, execution_id: Uuid, attempt: u32, pid: u32) {
        if let Some(execution) = self.shared.get(execution_id) {
            execution.set_started();
            if attempt > 1 {
                execution.restarted.notify_one();
            }
        }
        self.event(execution_id, attempt, JournalEvent::Started { attempt, pid: Some(pid) });
    }

    async fn retrying(&self, execution_id: Uuid, attempt: u32, _: &Ending, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let next = attempt.saturating_add(1);
        self.event(execution_id, attempt, JournalEvent::Retrying { attempt: next, delay_ms });
    }

    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        let OutputChunk { execution_id: id, attempt, stream, bytes, .. } = chunk;
        // The files are local: a write takes a moment, unless memory is short. What cannot be written is counted, and
        // the program goes on.
        self.write(id, |journal| journal.output(stream, attempt, &bytes))?;
        if let Some(power) = &self.power
            && let Some(file) = self.shared.get(id).and_then(|one| one.take_unsynced(MAX_UNSYNCED))
        {
            // The program waits, so that no more than this can be lost.
            power.sync(vec![file]).await;
        }
        Ok(())
    }
}
