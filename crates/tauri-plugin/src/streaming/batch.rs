//! Encodes batches for a window: event records as JSON, output chunks as a binary
//! [frame](crate::frame).

use execution_engine::{
    ChunkContent, ChunkRecord, EventRecord, ExecutionEvent, OutputStream, Uuid,
};
use serde::Serialize;
use tauri::ipc::InvokeResponseBody;

use super::forward::{Batch, BatchSize, Position};
use crate::frame::frame;

/// Batch of event records as JSON: `{"records": [..], "end": false}`.
#[derive(Default)]
pub(crate) struct RecordBatch {
    records: JsonList,
}

/// Batch of chunks as a binary frame with the bytes of all chunks one after another. The header is
/// `{"records": [..], "end": false}`; an entry has either a stream and the length of its bytes, or
/// an event.
#[derive(Default)]
pub(crate) struct ChunkBatch {
    headers: JsonList,
    bytes: Vec<u8>,
}

/// JSON list under construction, so that its size is known at any time.
#[derive(Default)]
struct JsonList {
    text: Vec<u8>,
    count: usize,
}

impl JsonList {
    fn push(&mut self, entry: &impl Serialize) {
        let start = self.text.len();
        if self.count > 0 {
            self.text.push(b',');
        }
        match serde_json::to_writer(&mut self.text, entry) {
            Ok(()) => self.count += 1,
            Err(error) => {
                self.text.truncate(start);
                tracing::error!(%error, "cannot encode a record as JSON; skipped");
            }
        }
    }

    fn take(&mut self, position: Position) -> String {
        let list = String::from_utf8(std::mem::take(&mut self.text)).unwrap_or_default();
        self.count = 0;
        format!("{{\"records\":[{list}],\"end\":{}}}", position == Position::Last)
    }
}

impl Batch for RecordBatch {
    type Item = EventRecord;
    type Message = InvokeResponseBody;

    fn push(&mut self, record: EventRecord) {
        self.records.push(&record);
    }

    fn size(&self) -> BatchSize {
        BatchSize { records: self.records.count, bytes: self.records.text.len() }
    }

    fn take(&mut self, position: Position) -> InvokeResponseBody {
        InvokeResponseBody::Json(self.records.take(position))
    }
}

/// Entry of the header of a [`ChunkBatch`].
#[derive(Serialize)]
struct ChunkHeader<'a> {
    sequence: u64,
    timestamp: String,
    execution_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<OutputStream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a ExecutionEvent>,
}

impl Batch for ChunkBatch {
    type Item = ChunkRecord;
    type Message = InvokeResponseBody;

    fn push(&mut self, record: ChunkRecord) {
        let mut header = ChunkHeader {
            sequence: record.sequence,
            timestamp: record.timestamp.to_rfc3339(),
            execution_id: record.execution_id,
            stream: None,
            length: None,
            event: None,
        };
        match &record.content {
            ChunkContent::Output { stream, bytes } => {
                header.stream = Some(*stream);
                header.length = Some(bytes.len());
                self.bytes.extend_from_slice(bytes);
            }
            ChunkContent::Event(event) => header.event = Some(event),
            // The bindings could not read a kind of content that they do not know.
            _ => return,
        }
        self.headers.push(&header);
    }

    fn size(&self) -> BatchSize {
        BatchSize { records: self.headers.count, bytes: self.headers.text.len() + self.bytes.len() }
    }

    fn take(&mut self, position: Position) -> InvokeResponseBody {
        let header = self.headers.take(position);
        InvokeResponseBody::Raw(frame(&header, &[&std::mem::take(&mut self.bytes)]))
    }
}
