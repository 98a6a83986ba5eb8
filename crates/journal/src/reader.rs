use std::fs::File;
use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::format::{self, Header, NoHeader};
use crate::{HEADER_BYTES, JournalError, ReadAt, Record};

const HEADER: usize = HEADER_BYTES as usize;

/// Reads the records of one journal.
///
/// It keeps no place of its own: any number of readers may share it.
#[derive(Debug)]
pub struct JournalReader<R> {
    source: R,
    name: String,
}

/// Records that were read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The records, in the order of their positions.
    pub records: Vec<Record>,
    /// Where to read on: the end of the last record, or the position that was asked for if there is none.
    pub next: u64,
}

impl JournalReader<File> {
    /// Opens the journal in a file.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`] with the path.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Ok(Self::new(file, name)),
            Err(source) => Err(JournalError::Io { name, source }),
        }
    }
}

impl<R: ReadAt> JournalReader<R> {
    /// Returns a reader of `source`. Errors call it `name`.
    pub fn new(source: R, name: impl Into<String>) -> Self {
        Self { source, name: name.into() }
    }

    /// Returns what the reader reads.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// Returns the name that errors have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads records from `position` on, none beyond `up_to_end`.
    ///
    /// `position` is a cursor: 0 or the `end` of a record. `up_to_end` is the end of a record that is known to be
    /// whole: what the writer said, or [`recover`](Self::recover). The batch has about `max_bytes` of the journal, and
    /// at least one record while there is one.
    ///
    /// # Errors
    ///
    /// [`JournalError::NoRecord`] if `position` is no cursor of this journal, [`JournalError::Damaged`] for a record
    /// before `up_to_end` that is not whole, [`JournalError::Newer`], and [`JournalError::Io`]. Records before the
    /// one that failed are returned first; the call at its position fails.
    pub fn read(
        &self,
        position: u64,
        up_to_end: u64,
        max_bytes: usize,
    ) -> Result<Batch, JournalError> {
        let mut batch = Batch { records: Vec::new(), next: position };
        if position >= up_to_end {
            let is_cursor = position == up_to_end;
            return is_cursor.then_some(batch).ok_or_else(|| self.no_record(position));
        }
        let left = up_to_end - position;
        let mut block = self.block(position, left.min(max_bytes.max(HEADER) as u64))?;
        loop {
            match self.parse(&block, batch.next, up_to_end) {
                Ok(Parsed::Record(record)) => {
                    let _ = block.split_to(HEADER + record.payload.len());
                    batch.next = record.end;
                    batch.records.push(record);
                }
                Ok(Parsed::Needs(_)) if !batch.records.is_empty() => return Ok(batch),
                // The first record is larger than what was read.
                Ok(Parsed::Needs(bytes)) => {
                    let had = block.len();
                    block = self.block(position, bytes)?;
                    if block.len() <= had {
                        return Err(self.damaged(position, "the journal ends within a record"));
                    }
                }
                Err(_) if !batch.records.is_empty() => return Ok(batch),
                Err(error) => return Err(error),
            }
            if batch.next == up_to_end {
                return Ok(batch);
            }
        }
    }

    /// Parses the record at `position`, whose bytes are the first of `block`.
    pub(crate) fn parse(
        &self,
        block: &Bytes,
        position: u64,
        up_to_end: u64,
    ) -> Result<Parsed, JournalError> {
        let Some(bytes) = block.first_chunk::<HEADER>() else {
            if up_to_end - position < HEADER_BYTES {
                return Err(self.damaged(position, "a record ends beyond the end of the journal"));
            }
            return Ok(Parsed::Needs(HEADER_BYTES));
        };
        let header =
            format::decode(bytes, position).map_err(|why| self.no_header(position, why))?;
        let Header { payload_bytes, time_us, attempt, kind, .. } = header;
        let whole = HEADER_BYTES + u64::from(payload_bytes);
        let end = position + whole;
        if end > up_to_end {
            return Err(self.damaged(position, "a record ends beyond the end of the journal"));
        }
        // It fits, because the length was checked when the header was decoded.
        let last = HEADER + payload_bytes as usize;
        if block.len() < last {
            return Ok(Parsed::Needs(whole));
        }
        let payload = block.slice(HEADER..last);
        if !format::is_intact(bytes, &payload) {
            return Err(self.damaged(position, "the checksum does not match"));
        }
        Ok(Parsed::Record(Record { position, end, time_us, attempt, kind, payload }))
    }

    /// Reads up to `bytes` bytes at `position`; fewer at the end of the source only.
    pub(crate) fn block(&self, position: u64, bytes: u64) -> Result<Bytes, JournalError> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut block = BytesMut::zeroed(length);
        let mut filled = 0;
        while filled < length {
            match self.source.read_at(position + filled as u64, &mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io(error)),
            }
        }
        block.truncate(filled);
        Ok(block.freeze())
    }

    pub(crate) fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { name: self.name.clone(), source }
    }

    fn no_record(&self, position: u64) -> JournalError {
        JournalError::NoRecord { name: self.name.clone(), position }
    }

    fn damaged(&self, position: u64, what: &'static str) -> JournalError {
        JournalError::Damaged { name: self.name.clone(), position, what }
    }

    fn no_header(&self, position: u64, why: NoHeader) -> JournalError {
        match why {
            NoHeader::Foreign => self.no_record(position),
            NoHeader::Newer => JournalError::Newer { name: self.name.clone(), position },
            NoHeader::Length => self.damaged(position, "the length of a record is impossible"),
        }
    }
}

/// What the bytes at a position are.
#[derive(Debug)]
pub(crate) enum Parsed {
    Record(Record),
    /// A record that may be whole, if this many bytes of it are read.
    Needs(u64),
}
