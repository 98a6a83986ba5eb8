//! Output of an execution as bytes, by range.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use execution_engine::OutputStream;
use execution_engine_journal::{JournalReader, ReadAt, StreamTotals};
use execution_engine_store::{OutputStart, StoredOutput, StoredPlace, StreamReader};
use uuid::Uuid;

use super::active::Active;
use super::ending::blocking;
use super::errors::{internal, unknown};
use super::inner::Inner;
use crate::error::{ErrorCode, ServiceError};

/// Output of one execution as it was when [`Service::output`](super::Service::output) was called.
pub struct Output {
    stream: Option<OutputStream>,
    len: u64,
    cursor: u64,
    source: Source,
}

enum Source {
    /// It has not ended: its journal.
    Live(Arc<StreamReader<File>>),
    /// It has ended.
    Stored(Arc<StreamReader<StoredOutput>>),
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
        // It has ended, and was archived and forgotten meanwhile; or it is being accepted; or its journal
        // was removed.
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
                let name = output.name().to_string();
                let journal = JournalReader::new(output, name);
                let reader = Arc::new(StreamReader::new(journal, stream, cursor));
                Ok(Self { stream, len, cursor, source: Source::Stored(reader) })
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
            let journal = JournalReader::new(file, path.display().to_string());
            let totals = active.totals(&journal, live.end)?;
            let source = Source::Live(Arc::new(StreamReader::new(journal, stream, live.end)));
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
        let stream = self.stream;
        let left = self.len.saturating_sub(from);
        let max = usize::try_from(left).map_or(max, |left| left.min(max));
        if max == 0 {
            return Ok(Bytes::new());
        }
        match &self.source {
            Source::Nothing { .. } => Ok(Bytes::new()),
            Source::Stored(reader) => {
                let reader = Arc::clone(reader);
                blocking(move || {
                    let start = reader.source().place_of(stream, from);
                    Ok(reader.read(start, from, max)?)
                })
                .await
            }
            Source::Live(reader) => {
                let reader = Arc::clone(reader);
                blocking(move || Ok(reader.read(OutputStart::default(), from, max)?)).await
            }
        }
    }
}

fn of(stream: Option<OutputStream>, totals: StreamTotals) -> u64 {
    match stream {
        Some(OutputStream::Stdout) => totals.stdout,
        Some(OutputStream::Stderr) => totals.stderr,
        None => totals.stdout + totals.stderr,
    }
}
