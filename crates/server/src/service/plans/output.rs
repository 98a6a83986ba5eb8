//! The standard output of a step, as another step takes it.

use bytes::{Bytes, BytesMut};
use execution_engine_journal::{JournalEvent, JournalReader, Kind, ReadAt};
use uuid::Uuid;

use crate::error::{ErrorCode, ServiceError};
use crate::service::ending::blocking;
use crate::service::errors::{internal, unknown};
use crate::service::inner::Inner;

/// How much of a journal is read at a time.
const PIECE: usize = 1 << 20;
/// Most white space at the ends of an output.
const TRIMMED: usize = 1 << 20;

impl Inner {
    /// Reads what the last attempt of an execution that has ended has written to standard output, as the engine passes
    /// it on: at most `limit` bytes without white space at their ends. The inner error says why another step cannot take
    /// it.
    pub(super) async fn taken_output(
        &self,
        execution: Uuid,
        limit: usize,
    ) -> Result<Result<Bytes, String>, ServiceError> {
        let stored = match self.store.get(execution).await? {
            Some(stored) => stored,
            None => return Ok(Err(unknown(execution).detail)),
        };
        // Half an output is a wrong one.
        let missing = stored.result.as_ref().and_then(|result| result.get("output_error"));
        if let Some(missing) = missing.and_then(|missing| missing.as_str()) {
            return Ok(Err(format!("some of it is missing: {missing}")));
        }
        match self.store.output(execution).await? {
            Some(output) => {
                let name = output.name().to_string();
                let end = output.total_bytes().map_err(internal)?;
                blocking(move || last_attempt(&JournalReader::new(output, name), end, limit)).await
            }
            None if stored.stdout_bytes == 0 => Ok(Ok(Bytes::new())),
            None => {
                let gone = ServiceError::new(ErrorCode::OutputGone, "it is no longer kept");
                Ok(Err(gone.detail))
            }
        }
    }
}

fn last_attempt<R: ReadAt>(
    journal: &JournalReader<R>,
    end: u64,
    limit: usize,
) -> Result<Result<Bytes, String>, ServiceError> {
    let most = limit.saturating_add(TRIMMED);
    let (mut position, mut attempt, mut bytes) = (0, 0, BytesMut::new());
    let mut seen = 0;
    while position < end {
        let batch = journal.read(position, end, PIECE)?;
        for record in &batch.records {
            if record.attempt > attempt {
                (attempt, seen) = (record.attempt, 0);
                bytes.clear();
            }
            match record.kind {
                Kind::Stdout => {
                    seen += record.payload.len();
                    if bytes.len() <= most {
                        bytes.extend_from_slice(&record.payload);
                    }
                }
                Kind::Event => {
                    if let Some(JournalEvent::Missed { stdout_bytes: 1.., reason, .. }) =
                        record.event()
                    {
                        return Ok(Err(format!("some of it is missing: {reason}")));
                    }
                }
                _ => {}
            }
        }
        position = batch.next;
    }
    match seen > most {
        true => Ok(Err(format!(
            "it has {seen} bytes, and the limit is {limit}; raise max_bytes of the input"
        ))),
        false => Ok(Ok(bytes.freeze())),
    }
}
