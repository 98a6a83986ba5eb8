use crate::reader::Parsed;
use crate::{JournalError, JournalEvent, JournalReader, Kind, ReadAt, Record};

/// How much of a journal is looked at in one read.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// Bytes of output up to a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
}

impl StreamTotals {
    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        match record.kind {
            Kind::Stdout => self.stdout += record.payload.len() as u64,
            Kind::Stderr => self.stderr += record.payload.len() as u64,
            Kind::Event => {}
        }
    }
}

/// What is whole in a journal whose writer may have died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// End of the last whole record.
    pub end: u64,
    /// The last whole record.
    pub last: Option<Record>,
    /// Output in the whole records.
    pub totals: StreamTotals,
    /// Bytes behind `end`: a torn record, or bytes that never were one. They are ignored.
    pub tail_bytes: u64,
}

impl Recovered {
    /// Returns the result of the execution, if the journal is complete.
    #[must_use]
    pub fn result(&self) -> Option<serde_json::Value> {
        match self.last.as_ref()?.event()? {
            JournalEvent::Ended { result } => Some(result),
            _ => None,
        }
    }
}

impl<R: ReadAt> JournalReader<R> {
    /// Finds the end of the last whole record and counts what is before it.
    ///
    /// The whole journal is read, in pieces. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`], and [`JournalError::Newer`] for a whole record of a later version, because what follows
    /// it is not a torn tail.
    ///
    /// ```
    /// use execution_engine_journal::{JournalReader, JournalWriter, Kind};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("journal");
    /// let end = JournalWriter::create(&path)?.append(Kind::Stdout, 1, 0, b"whole")?;
    /// let mut bytes = std::fs::read(&path)?;
    /// bytes.extend_from_slice(b"torn");
    ///
    /// let recovered = JournalReader::new(bytes, "example").recover()?;
    /// assert_eq!(recovered.end, end);
    /// assert_eq!(recovered.totals.stdout, 5);
    /// assert_eq!(recovered.tail_bytes, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recover(&self) -> Result<Recovered, JournalError> {
        let mut found =
            Recovered { end: 0, last: None, totals: StreamTotals::default(), tail_bytes: 0 };
        let total = self.scan(u64::MAX, |record| {
            found.end = record.end;
            found.totals.add(&record);
            found.last = Some(record);
        })?;
        found.tail_bytes = total.saturating_sub(found.end);
        // A record is a part of the block it was read in; the last one does not keep the block in memory.
        if let Some(last) = &mut found.last {
            last.payload = last.payload.to_vec().into();
        }
        Ok(found)
    }

    /// Counts the output in the records that end at or before `up_to_end`.
    ///
    /// # Errors
    ///
    /// As [`recover`](Self::recover).
    pub fn totals(&self, up_to_end: u64) -> Result<StreamTotals, JournalError> {
        let mut totals = StreamTotals::default();
        self.scan(up_to_end, |record| totals.add(&record))?;
        Ok(totals)
    }

    /// Calls `each` for every whole record from the beginning up to `up_to_end`, and returns the length of the source.
    fn scan(&self, up_to_end: u64, mut each: impl FnMut(Record)) -> Result<u64, JournalError> {
        let total = self.source().total_bytes().map_err(|error| self.io(error))?;
        let limit = total.min(up_to_end);
        let mut position = 0;
        let mut wanted = BLOCK_BYTES;
        while position < limit {
            let asked = wanted.min(limit - position);
            let mut block = self.block(position, asked)?;
            if (block.len() as u64) < asked {
                // The file was cut off meanwhile.
                return Ok(total);
            }
            wanted = BLOCK_BYTES;
            let start = position;
            while position < limit {
                match self.parse(&block, position, limit) {
                    Ok(Parsed::Record(record)) => {
                        let _ = block.split_to((record.end - position) as usize);
                        position = record.end;
                        each(record);
                    }
                    // The first record is larger than the block; a later one begins the next block.
                    Ok(Parsed::Needs(bytes)) => {
                        if position == start {
                            wanted = bytes;
                        }
                        break;
                    }
                    Err(error @ (JournalError::Newer { .. } | JournalError::Io { .. })) => {
                        return Err(error);
                    }
                    Err(_) => return Ok(total),
                }
            }
        }
        Ok(total)
    }
}
