//! File format of a journal: the output and events of one execution, in one sequence of records.
//!
//! A journal has no header of its own; an empty file is a valid journal. Each record is a header of
//! [`HEADER_BYTES`] and a payload. The **position** of a record is the byte offset of its header. The cursor of a
//! reader is the `end` of the last record it has seen, 0 at the beginning. So a cursor means the same while the
//! execution runs, after its end, after a restart, and in an archive that has the same bytes compressed.
//!
//! A writer that dies leaves at most one torn record, at the tail. [`JournalReader::recover`] finds the end of the
//! last whole record. A record that is damaged before that end is an error that names the journal and the position.
//!
//! ```
//! use execution_engine_journal::{JournalEvent, JournalReader, JournalWriter, Kind};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("journal");
//! let mut writer = JournalWriter::create(&path)?;
//! writer.append_event(1, 0, &JournalEvent::Started { attempt: 1, pid: Some(17) })?;
//! let end = writer.append(Kind::Stdout, 1, 1_000, b"hello\n")?;
//!
//! let reader = JournalReader::open(&path)?;
//! let batch = reader.read(0, end, 64 * 1024)?;
//! assert_eq!(batch.records.len(), 2);
//! assert_eq!(batch.records[1].payload, "hello\n");
//! assert_eq!(batch.next, end);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod error;
mod format;
mod read_at;
mod reader;
mod record;
mod recovery;
mod storage;
mod writer;

pub use error::JournalError;
pub use format::{HEADER_BYTES, MAX_EVENT_BYTES, MAX_OUTPUT_BYTES};
pub use read_at::ReadAt;
pub use reader::{Batch, JournalReader};
pub use record::{JournalEvent, Kind, Record};
pub use recovery::{Recovered, StreamTotals};
pub use writer::{JournalWriter, encode_event};
