//! Output of an execution as bytes, by range.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use execution_engine::OutputStream;
use execution_engine_journal::{JournalReader, Kind, ReadAt, StreamTotals};
use execution_engine_store::{StoredOutput, StoredPlace};
use uuid::Uuid;

use super::active::Active;
use super::ending::blocking;
use super::errors::{internal, unknown};
use super::inner::Inner;
use crate::error::{ErrorCode, ServiceError};

/// How much of a journal is read at a time.
const PIECE: usize = 256 * 1024;

/// Output of one execution as it was when [`Service::output`](super::Service::output) was called.
pub struct Output {
    stream: Option<OutputStream>,
    len: u64,
    cursor: u64,
    source: Source,
}

enum Source {
    /// It has not ended: its journal, and a record in it with the number of bytes before it.
    Live { journal: Arc<JournalReader<File>>, place: (u64, u64) },
    /// It has ended.
    Stored(Arc<StoredOutput>),
    /// There is none.
    Nothing { complete: bool },
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("len", &self.len)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Opens the output of an execution.
    pub(crate) async fn open(
        inner: &Inner,
        id: Uuid,
        stream: Option<OutputStream>,
    ) -> Result<Self, ServiceError> {
        if let Some(active) = inner.find(id)
            && let Some(output) = Self::live(active, stream).await?
        {
            return Ok(output);
        }
        // It has ended, and was archived and forgotten meanwhile; or it is being accepted; or somebody has
        // removed its journal.
        let stored = inner.store.get(id).await?.ok_or_else(|| unknown(id))?;
        if !stored.is_ended() {
            return Ok(Self::nothing(stream, false));
        }
        let totals = StreamTotals { stdout: stored.stdout_bytes, stderr: stored.stderr_bytes };
        Self::stored(inner, id, stream, totals, stored.output).await
    }

    fn nothing(stream: Option<OutputStream>, complete: bool) -> Self {
        Self { stream, len: 0, cursor: 0, source: Source::Nothing { complete } }
    }

    async fn stored(
        inner: &Inner,
        id: Uuid,
        stream: Option<OutputStream>,
        totals: StreamTotals,
        place: StoredPlace,
    ) -> Result<Self, ServiceError> {
        let len = of(stream, totals);
        match inner.store.output(id).await? {
            Some(output) => {
                let cursor = output.total_bytes().map_err(internal)?;
                Ok(Self { stream, len, cursor, source: Source::Stored(Arc::new(output)) })
            }
            None if len == 0 && place == StoredPlace::None => Ok(Self::nothing(stream, true)),
            None => {
                let text = format!("the output of execution {id} is no longer kept");
                Err(ServiceError::new(ErrorCode::OutputGone, text))
            }
        }
    }

    /// Opens the output of one that has not ended. None if its journal is not there.
    async fn live(
        active: Arc<Active>,
        stream: Option<OutputStream>,
    ) -> Result<Option<Self>, ServiceError> {
        let live = active.live();
        let Some(link) = live.phase.link().cloned() else {
            return Ok((!live.phase.is_final()).then(|| Self::nothing(stream, false)));
        };
        if live.end == 0 {
            return Ok(Some(Self::nothing(stream, false)));
        }
        blocking(move || {
            let path = link.journal(active.id);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(internal(format!("cannot open {}: {error}", path.display())));
                }
            };
            let journal = Arc::new(JournalReader::new(file, path.display().to_string()));
            let totals = active.totals(&journal, live.end)?;
            let source = Source::Live { journal, place: (0, 0) };
            Ok(Some(Self { stream, len: of(stream, totals), cursor: live.end, source }))
        })
        .await
    }

    /// Returns the number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, not of a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns `true` if the execution has ended, so that nothing will be added.
    pub fn is_complete(&self) -> bool {
        matches!(self.source, Source::Stored(_) | Source::Nothing { complete: true })
    }

    /// Returns the cursor that this output reaches to: [`Service::events`](super::Service::events) from
    /// there has exactly what is not in it.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Reads bytes from an offset: at most `max`, and at least one unless the offset is at the end.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] for a journal that is damaged.
    pub async fn read(&mut self, from: u64, max: usize) -> Result<Bytes, ServiceError> {
        let (stream, cursor) = (self.stream, self.cursor);
        let left = self.len.saturating_sub(from);
        let max = usize::try_from(left).map_or(max, |left| left.min(max));
        if max == 0 {
            return Ok(Bytes::new());
        }
        match &mut self.source {
            Source::Nothing { .. } => Ok(Bytes::new()),
            Source::Stored(output) => {
                let output = Arc::clone(output);
                blocking(move || Ok(output.read_stream(stream, from, max)?)).await
            }
            Source::Live { journal, place } => {
                let start = if from < place.1 { (0, 0) } else { *place };
                let journal = Arc::clone(journal);
                let read = blocking(move || read(&journal, stream, start, from, max, cursor));
                let (bytes, next) = read.await?;
                *place = next;
                Ok(bytes)
            }
        }
    }
}

/// Reads bytes of a stream out of the records of a journal. Returns the record to go on with, too.
fn read(
    journal: &JournalReader<File>,
    stream: Option<OutputStream>,
    (mut position, mut before): (u64, u64),
    from: u64,
    max: usize,
    end: u64,
) -> Result<(Bytes, (u64, u64)), ServiceError> {
    let mut bytes = BytesMut::new();
    while position < end && bytes.len() < max {
        let batch = journal.read(position, end, PIECE)?;
        for record in &batch.records {
            let is_wanted = match record.kind {
                Kind::Stdout => stream != Some(OutputStream::Stderr),
                Kind::Stderr => stream != Some(OutputStream::Stdout),
                Kind::Event => false,
            };
            let length = if is_wanted { record.payload.len() as u64 } else { 0 };
            let reached = from + bytes.len() as u64;
            if reached < before + length {
                // It lies within the record, whose length is a `usize`.
                let skip = (reached - before) as usize;
                let take = (record.payload.len() - skip).min(max - bytes.len());
                bytes.extend_from_slice(&record.payload[skip..skip + take]);
                if skip + take < record.payload.len() || bytes.len() == max {
                    return Ok((bytes.freeze(), (record.position, before)));
                }
            }
            before += length;
        }
        position = batch.next;
    }
    Ok((bytes.freeze(), (position, before)))
}

fn of(stream: Option<OutputStream>, totals: StreamTotals) -> u64 {
    match stream {
        Some(OutputStream::Stdout) => totals.stdout,
        Some(OutputStream::Stderr) => totals.stderr,
        None => totals.stdout + totals.stderr,
    }
}
