use execution_engine::{ChunkContent, ChunkRecord, EventRecord, ExecutionEvent, OutputStream, Uuid};
use serde::Serialize;
use tauri::ipc::InvokeResponseBody;

use super::pump::{Batch, End, Size};

/// Records as JSON: `{"records": [..], "end": false}`.
#[derive(Default)]
pub(crate) struct Records {
    list: List,
}

/// Chunks as bytes: the length of a header in four bytes, little-endian, the header, and the bytes
/// of all chunks after one another. The header is JSON, `{"records": [..], "end": false}`; an entry
/// has either the stream and the length of its bytes, or an event.
#[derive(Default)]
pub(crate) struct Chunks {
    list: List,
    bytes: Vec<u8>,
}

/// A JSON list under construction, so that its size is known all the time.
#[derive(Default)]
struct List {
    text: Vec<u8>,
    count: usize,
}

impl List {
    fn push(&mut self, entry: &impl Serialize) {
        let begun = self.text.len();
        if self.count > 0 {
            self.text.push(b',');
        }
        match serde_json::to_writer(&mut self.text, entry) {
            Ok(()) => self.count += 1,
            Err(error) => {
                self.text.truncate(begun);
                tracing::error!(%error, "a record cannot be written as JSON");
            }
        }
    }

    fn pack(&mut self, end: End) -> String {
        let list = String::from_utf8(std::mem::take(&mut self.text)).unwrap_or_default();
        self.count = 0;
        format!("{{\"records\":[{list}],\"end\":{}}}", end == End::Last)
    }
}

impl Batch for Records {
    type Item = EventRecord;
    type Parcel = InvokeResponseBody;

    fn push(&mut self, record: EventRecord) {
        self.list.push(&record);
    }

    fn size(&self) -> Size {
        Size { records: self.list.count, bytes: self.list.text.len() }
    }

    fn pack(&mut self, end: End) -> InvokeResponseBody {
        InvokeResponseBody::Json(self.list.pack(end))
    }
}

/// One entry of the header.
#[derive(Serialize)]
struct Entry<'a> {
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

impl Batch for Chunks {
    type Item = ChunkRecord;
    type Parcel = InvokeResponseBody;

    fn push(&mut self, record: ChunkRecord) {
        let mut entry = Entry {
            sequence: record.sequence,
            timestamp: record.timestamp.to_rfc3339(),
            execution_id: record.execution_id,
            stream: None,
            length: None,
            event: None,
        };
        match &record.content {
            ChunkContent::Output { stream, bytes } => {
                entry.stream = Some(*stream);
                entry.length = Some(bytes.len());
                self.bytes.extend_from_slice(bytes);
            }
            ChunkContent::Event(event) => entry.event = Some(event),
            // A kind of content that the bindings do not know.
            _ => return,
        }
        self.list.push(&entry);
    }

    fn size(&self) -> Size {
        Size { records: self.list.count, bytes: self.list.text.len() + self.bytes.len() }
    }

    fn pack(&mut self, end: End) -> InvokeResponseBody {
        let header = self.list.pack(end);
        let mut parcel = Vec::with_capacity(4 + header.len() + self.bytes.len());
        parcel.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        parcel.extend_from_slice(header.as_bytes());
        parcel.append(&mut self.bytes);
        InvokeResponseBody::Raw(parcel)
    }
}
