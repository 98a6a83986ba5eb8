use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::format::{self, Header};
use crate::storage::Storage;
use crate::{JournalEvent, Kind};

/// Largest buffer that is kept between two records.
const KEPT_BUFFER: usize = 128 * 1024;

/// Writes the records of one journal.
///
/// A record that [`append`](Self::append) has returned survives the death of this process. It survives a loss of power
/// after [`sync_data`](Self::sync_data).
#[derive(Debug)]
pub struct JournalWriter(Writer<File>);

impl JournalWriter {
    /// Creates the file of a journal. Only its owner may read it, whatever the umask (Unix).
    ///
    /// # Errors
    ///
    /// The error of the system: [`io::ErrorKind::AlreadyExists`] if there is such a file, which is left as it is.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        // A umask may have taken the owner's own rights.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(Self(Writer::new(file, 0)))
    }

    /// Opens the journal of a writer that has died, to append to it. What is behind `end` is cut off.
    ///
    /// `end` is what [`recover`](crate::JournalReader::recover) has found. No other process may write to it.
    ///
    /// # Errors
    ///
    /// The error of the system; [`io::ErrorKind::InvalidInput`] if the file is shorter than `end`.
    pub fn resume(path: &Path, end: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() < end {
            let text = format!("the journal {} is shorter than {end} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        file.set_len(end)?;
        Ok(Self(Writer::new(file, end)))
    }

    /// Appends a record and returns its end.
    ///
    /// `time_us` is in microseconds since 1970-01-01 UTC. `attempt` is which start of the program it belongs to.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if the payload is longer than [`MAX_OUTPUT_BYTES`](crate::MAX_OUTPUT_BYTES), or
    /// [`MAX_EVENT_BYTES`](crate::MAX_EVENT_BYTES) for an event; otherwise the error of the system, for example a full
    /// disk. Nothing was appended then: what part of the record was written is cut off, at the latest by the next call.
    pub fn append(
        &mut self,
        kind: Kind,
        attempt: u32,
        time_us: i64,
        payload: &[u8],
    ) -> io::Result<u64> {
        self.0.append(kind, attempt, time_us, payload)
    }

    /// Appends an event and returns the end of its record.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn append_event(
        &mut self,
        attempt: u32,
        time_us: i64,
        event: &JournalEvent,
    ) -> io::Result<u64> {
        let payload = serde_json::to_vec(event)?;
        self.append(Kind::Event, attempt, time_us, &payload)
    }

    /// Removes the records behind `end`, which is 0 or the end of a record. For records that no reader was told of.
    ///
    /// If the system refuses it, the next [`append`](Self::append) tries again first.
    pub fn take_back(&mut self, end: u64) {
        self.0.take_back(end);
    }

    /// Returns the end of the last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.0.end
    }

    /// Makes all records survive a loss of power (`fdatasync`).
    ///
    /// # Errors
    ///
    /// The error of the system. Records since the last successful call may be lost then, whatever a later call says.
    pub fn sync_data(&self) -> io::Result<()> {
        self.0.storage.sync_data()
    }

    /// Returns another handle of the file, with which it can be synced without the writer.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn try_clone_file(&self) -> io::Result<File> {
        self.0.storage.try_clone()
    }
}

/// Returns the bytes of the record of an event that begins at `position` of its journal.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] if the event is longer than [`MAX_EVENT_BYTES`](crate::MAX_EVENT_BYTES).
///
/// ```
/// use execution_engine_journal::{JournalEvent, JournalReader, encode_event};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = JournalEvent::Ended { result: serde_json::json!({"status": "cancelled"}) };
/// let journal = encode_event(0, 0, 1_000, &event)?;
/// let recovered = JournalReader::new(journal, "example").recover()?;
/// assert_eq!(recovered.last.unwrap().event(), Some(event));
/// # Ok(())
/// # }
/// ```
pub fn encode_event(
    position: u64,
    attempt: u32,
    time_us: i64,
    event: &JournalEvent,
) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(event)?;
    let mut record = Vec::new();
    encode(position, Kind::Event, attempt, time_us, &payload, &mut record)?;
    Ok(record)
}

/// Appends a record to `out`, or refuses a payload that is too long.
fn encode(
    position: u64,
    kind: Kind,
    attempt: u32,
    time_us: i64,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let most = kind.max_bytes();
    if payload.len() > most {
        let text = format!("a record has {} bytes, at most {most} are allowed", payload.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let payload_bytes = payload.len() as u32;
    format::encode(&Header { payload_bytes, position, time_us, attempt, kind }, payload, out);
    Ok(())
}

#[derive(Debug)]
struct Writer<S> {
    storage: S,
    end: u64,
    /// Part of a record may be behind the end.
    is_torn: bool,
    buffer: Vec<u8>,
}

impl<S: Storage> Writer<S> {
    fn new(storage: S, end: u64) -> Self {
        Self { storage, end, is_torn: false, buffer: Vec::new() }
    }

    fn append(
        &mut self,
        kind: Kind,
        attempt: u32,
        time_us: i64,
        payload: &[u8],
    ) -> io::Result<u64> {
        self.buffer.clear();
        encode(self.end, kind, attempt, time_us, payload, &mut self.buffer)?;
        self.cut_off_torn()?;
        self.is_torn = true;
        let written = self.write_buffer();
        let length = self.buffer.len() as u64;
        self.buffer.shrink_to(KEPT_BUFFER);
        match written {
            Ok(()) => {
                self.is_torn = false;
                self.end += length;
                Ok(self.end)
            }
            Err(error) => {
                // Gives the room back; if this fails, too, the next append tries again first.
                let _ = self.cut_off_torn();
                Err(error)
            }
        }
    }

    fn take_back(&mut self, end: u64) {
        if end < self.end {
            self.end = end;
            self.is_torn = true;
            // The next append reports what is wrong.
            let _ = self.cut_off_torn();
        }
    }

    /// Removes what a failed append has left. The bytes are those of a program, and must never be taken for records.
    fn cut_off_torn(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.storage.set_len(self.end)?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.buffer.len() {
            match self.storage.write_at(self.end + written as u64, &self.buffer[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JournalReader;

    /// A disk in memory that is full at some size, and whose files may refuse to be cut off.
    #[derive(Debug, Default)]
    struct SmallDisk {
        bytes: Vec<u8>,
        room: usize,
        is_stuck: bool,
    }

    impl Storage for SmallDisk {
        fn write_at(&mut self, position: u64, bytes: &[u8]) -> io::Result<usize> {
            let position = position as usize;
            let count = bytes.len().min(self.room.saturating_sub(position)).min(7);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let needed = self.bytes.len().max(position + count);
            self.bytes.resize(needed, 0);
            self.bytes[position..position + count].copy_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn set_len(&mut self, length: u64) -> io::Result<()> {
            if self.is_stuck {
                return Err(io::ErrorKind::Other.into());
            }
            self.bytes.resize(length as usize, 0);
            Ok(())
        }
    }

    fn payloads(disk: &SmallDisk) -> Vec<Vec<u8>> {
        let reader = JournalReader::new(disk.bytes.as_slice(), "test");
        let end = reader.recover().unwrap().end;
        let records = reader.read(0, end, 1 << 24).unwrap().records;
        records.into_iter().map(|record| record.payload.to_vec()).collect()
    }

    #[test]
    fn full_disk_in_the_middle_of_a_record_leaves_the_records_before_it() {
        // The second record does not fit, at each place where the disk may be full.
        for room in 37..37 + 32 + 20 {
            let mut writer = Writer::new(SmallDisk { room, ..SmallDisk::default() }, 0);
            let first = writer.append(Kind::Stdout, 1, 0, b"first").unwrap();
            let error = writer.append(Kind::Stdout, 1, 0, &[7; 20]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "room for {room}");
            assert_eq!(writer.end, first);
            assert_eq!(writer.storage.bytes.len() as u64, first, "the room is given back");

            writer.storage.room = 1000;
            writer.append(Kind::Stderr, 1, 0, b"third").unwrap();
            assert_eq!(payloads(&writer.storage), [b"first", b"third"]);
        }
    }

    #[test]
    fn torn_bytes_that_cannot_be_cut_off_are_never_records() {
        // The torn record holds the bytes of a whole record for the place where it would be looked for.
        let mut forged = Vec::new();
        let position = 37 + 32 + 1;
        let header =
            Header { payload_bytes: 2, position, time_us: 0, attempt: 1, kind: Kind::Stdout };
        format::encode(&header, b"no", &mut forged);
        let mut torn = vec![0; 1];
        torn.extend_from_slice(&forged);
        torn.extend_from_slice(&[0; 100]);

        let mut writer = Writer::new(SmallDisk { room: 37 + 32 + 60, ..SmallDisk::default() }, 0);
        writer.append(Kind::Stdout, 1, 0, b"first").unwrap();
        writer.storage.is_stuck = true;
        writer.append(Kind::Stdout, 1, 0, &torn).unwrap_err();
        assert!(writer.storage.bytes.len() > 37, "the torn bytes are there");
        assert_eq!(payloads(&writer.storage), [b"first"]);

        // While they cannot be cut off, nothing is appended before them.
        writer.append(Kind::Stdout, 1, 0, b"x").unwrap_err();
        writer.storage.is_stuck = false;
        writer.append(Kind::Stdout, 1, 0, b"x").unwrap();
        assert_eq!(payloads(&writer.storage), [&b"first"[..], b"x"]);
    }

    #[test]
    fn records_that_are_taken_back_are_gone_before_the_next() {
        for is_stuck in [false, true] {
            let mut writer = Writer::new(SmallDisk { room: 1000, ..SmallDisk::default() }, 0);
            let first = writer.append(Kind::Stdout, 1, 0, b"first").unwrap();
            writer.append(Kind::Stdout, 1, 0, b"second").unwrap();
            writer.storage.is_stuck = is_stuck;
            writer.take_back(first);
            writer.take_back(1000);
            assert_eq!(writer.end, first);
            assert_eq!(payloads(&writer.storage).len(), 1 + usize::from(is_stuck));
            writer.storage.is_stuck = false;
            writer.append(Kind::Stdout, 1, 0, b"x").unwrap();
            assert_eq!(payloads(&writer.storage), [&b"first"[..], b"x"]);
        }
    }

    #[test]
    fn payload_that_is_too_long_is_refused_and_nothing_is_written() {
        let mut writer = Writer::new(SmallDisk { room: 10_000_000, ..SmallDisk::default() }, 0);
        let error = writer.append(Kind::Stdout, 1, 0, &vec![0; 1024 * 1024 + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(writer.storage.bytes.is_empty());
        writer.append(Kind::Event, 1, 0, &vec![0; 1024 * 1024 + 1]).unwrap();
        writer.append(Kind::Stdout, 1, 0, &vec![0; 1024 * 1024]).unwrap();
        assert_eq!(payloads(&writer.storage).len(), 2);
    }
}
