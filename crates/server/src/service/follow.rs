//! Events of an execution, live from its journal and later from the store: the same with the same
//! cursors.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use chrono::DateTime;
use execution_engine::OutputStream;
use execution_engine_journal::{Batch, JournalEvent, JournalReader, Kind, Record};
use execution_engine_store::StoredOutput;
use tokio::sync::watch;
use uuid::Uuid;

use super::active::{Active, Live, Phase};
use super::ending::blocking;
use super::errors::{internal, unknown};
use super::inner::Inner;
use super::link::Link;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{Event, EventKind};

/// How much of a journal is read at a time.
const PIECE: usize = 256 * 1024;

/// Events of one execution, from [`Service::events`](super::Service::events).
pub struct Events {
    inner: Arc<Inner>,
    id: Uuid,
    cursor: u64,
    source: Source,
    buffered: VecDeque<Event>,
}

/// Where events come from.
enum Source {
    /// It has not ended.
    Live {
        active: Arc<Active>,
        live: watch::Receiver<Live>,
        journal: Option<Arc<JournalReader<File>>>,
    },
    /// It has.
    Stored { journal: Arc<JournalReader<StoredOutput>>, end: u64 },
    /// All were returned, or an error was.
    End,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("id", &self.id)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// Opens the events of an execution behind a cursor.
    pub(crate) async fn open(
        inner: Arc<Inner>,
        id: Uuid,
        after: u64,
    ) -> Result<Self, ServiceError> {
        let source = match inner.find(id) {
            Some(active) => {
                let live = active.subscribe();
                Source::Live { active, live, journal: None }
            }
            None => stored(&inner, id, after).await?,
        };
        let mut events = Self { inner, id, cursor: after, source, buffered: VecDeque::new() };
        events.check_cursor().await?;
        Ok(events)
    }

    /// Looks at the cursor now, so that one that is wrong is an error and no empty stream.
    async fn check_cursor(&mut self) -> Result<(), ServiceError> {
        match &mut self.source {
            Source::Live { .. } if self.cursor == 0 => Ok(()),
            Source::Live { live, .. } => {
                let live = live.borrow().clone();
                if self.cursor > live.end && live.phase.link().is_some_and(|link| !link.is_here()) {
                    // How far the journal goes is not known until the keeper has said it.
                    return Ok(());
                }
                if self.cursor > live.end {
                    return Err(beyond(self.cursor));
                }
                if self.cursor < live.end { self.fill().await } else { Ok(()) }
            }
            Source::Stored { end, .. } if self.cursor < *end => self.fill().await,
            Source::Stored { .. } | Source::End => Ok(()),
        }
    }

    /// Returns the next event, or None after the last one. Cancel safe.
    ///
    /// # Errors
    /// [`ErrorCode::OutputGone`] if the execution was removed meanwhile, [`ErrorCode::Stopping`],
    /// [`ErrorCode::Internal`] for a journal that is damaged. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<Event, ServiceError>> {
        loop {
            if let Some(event) = self.buffered.pop_front() {
                self.cursor = event.cursor;
                if matches!(event.kind, EventKind::Ended { .. }) {
                    self.source = Source::End;
                }
                return Some(Ok(event));
            }
            if matches!(self.source, Source::End) {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.source = Source::End;
                return Some(Err(error));
            }
        }
    }

    /// Returns the cursor behind the last event that was returned.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns `true` if no event follows: the last one was returned, or lies at the cursor that was
    /// asked for.
    pub fn is_at_end(&self) -> bool {
        self.buffered.is_empty() && matches!(self.source, Source::End)
    }

    /// Waits for the next events and reads them.
    async fn fill(&mut self) -> Result<(), ServiceError> {
        match self.source {
            Source::Live { .. } => self.fill_live().await,
            Source::Stored { .. } => self.fill_stored().await,
            Source::End => Ok(()),
        }
    }

    async fn fill_live(&mut self) -> Result<(), ServiceError> {
        let Source::Live { active, live, journal } = &mut self.source else { return Ok(()) };
        let now = live.borrow_and_update().clone();
        match now.phase {
            Phase::Ended => {
                self.source = stored(&self.inner, self.id, self.cursor).await?;
                return Ok(());
            }
            Phase::Refused => return Err(unknown(self.id)),
            _ => {}
        }
        if let Some(link) = now.phase.link()
            && now.end > self.cursor
        {
            let journal = match journal {
                Some(opened) => Arc::clone(opened),
                // It may be archived and forgotten already; then the change below tells.
                None => match open(link, active.id).await? {
                    Some(opened) => Arc::clone(journal.insert(opened)),
                    None => return wait(&self.inner, live).await,
                },
            };
            let batch = read(journal, self.cursor, now.end).await?;
            let before = self.buffered.len();
            self.buffered.extend(batch.records.iter().filter_map(event));
            if self.buffered.len() > before {
                return Ok(());
            }
            if batch.next < now.end {
                self.cursor = batch.next;
                return Ok(());
            }
            // What is left is the last record, which is told when it is stored.
        }
        wait(&self.inner, live).await
    }

    async fn fill_stored(&mut self) -> Result<(), ServiceError> {
        let Source::Stored { journal, end } = &self.source else { return Ok(()) };
        let (journal, end) = (Arc::clone(journal), *end);
        let batch = read(journal, self.cursor, end).await?;
        self.buffered.extend(batch.records.iter().filter_map(event));
        match batch.next {
            next if next == end => self.buffer_end(end, batch.records.last()).await?,
            // Nothing that this version can show.
            next if self.buffered.is_empty() => self.cursor = next,
            _ => {}
        }
        Ok(())
    }

    /// Adds the last event.
    async fn buffer_end(&mut self, end: u64, last: Option<&Record>) -> Result<(), ServiceError> {
        let execution = self.inner.get(self.id).await?;
        let time = execution.ended_at.unwrap_or(execution.created_at);
        let attempt = last.map_or(execution.attempts, |last| last.attempt);
        let kind = EventKind::Ended { execution: Box::new(execution) };
        self.buffered.push_back(Event { cursor: end, time, attempt, kind });
        Ok(())
    }
}

/// Opens the output of an execution that has ended.
async fn stored(inner: &Inner, id: Uuid, after: u64) -> Result<Source, ServiceError> {
    let Some(output) = inner.store.output(id).await? else {
        let text = format!("the output of execution {id} is no longer kept");
        let gone = ServiceError::new(ErrorCode::OutputGone, text);
        return Err(if inner.store.get(id).await?.is_some() { gone } else { unknown(id) });
    };
    let end = execution_engine_journal::ReadAt::total_bytes(&output).map_err(internal)?;
    if after > end {
        return Err(beyond(after));
    }
    if after == end {
        return Ok(Source::End);
    }
    let journal = Arc::new(JournalReader::new(output, format!("journal of {id}")));
    Ok(Source::Stored { journal, end })
}

fn beyond(cursor: u64) -> ServiceError {
    let text = format!("the cursor {cursor} is beyond the last event of this execution");
    ServiceError::invalid("after", text).fix("use the id of an event, or 0 for the beginning")
}

/// Waits for a change of an execution that runs.
async fn wait(inner: &Inner, live: &mut watch::Receiver<Live>) -> Result<(), ServiceError> {
    // It cannot fail: the source holds the sender.
    inner.unless_closing(live.changed()).await.map(drop)
}

async fn open(link: &Link, id: Uuid) -> Result<Option<Arc<JournalReader<File>>>, ServiceError> {
    let path = link.journal(id);
    blocking(move || match File::open(&path) {
        Ok(file) => Ok(Some(Arc::new(JournalReader::new(file, path.display().to_string())))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(internal(format!("cannot open the journal {}: {error}", path.display()))),
    })
    .await
}

async fn read<R>(journal: Arc<JournalReader<R>>, from: u64, to: u64) -> Result<Batch, ServiceError>
where
    R: execution_engine_journal::ReadAt + Send + Sync + 'static,
{
    blocking(move || Ok(journal.read(from, to, PIECE)?)).await
}

/// Returns the event of a record. The last one is told by what is stored, and what a later version has
/// written is passed over.
fn event(record: &Record) -> Option<Event> {
    let kind = match (record.kind, record.event()) {
        (Kind::Stdout, _) => output(OutputStream::Stdout, record),
        (Kind::Stderr, _) => output(OutputStream::Stderr, record),
        (_, Some(JournalEvent::Started { pid, .. })) => EventKind::Started { pid },
        (_, Some(JournalEvent::Retrying { delay_ms, .. })) => EventKind::Retrying { delay_ms },
        (_, Some(JournalEvent::Missed { stdout_bytes, stderr_bytes, reason })) => {
            EventKind::Missed { stdout_bytes, stderr_bytes, reason }
        }
        _ => return None,
    };
    let time = DateTime::from_timestamp_micros(record.time_us).unwrap_or_default();
    Some(Event { cursor: record.end, time, attempt: record.attempt, kind })
}

fn output(stream: OutputStream, record: &Record) -> EventKind {
    EventKind::Output { stream, bytes: record.payload.clone() }
}
