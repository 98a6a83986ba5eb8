//! Bytes of a record: the version of the format, then CBOR.
//!
//! A field that this version does not know is skipped, and may decide nothing. What decides anything
//! needs a new version, which this one refuses.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::name::{NameError, check_name};
use crate::record::{End, Input, Output, OutputObject, Record, Start, Ticket};

/// Version of the format that this crate writes and reads; tickets of plans have [`PLAN_VERSION`].
pub const FORMAT_VERSION: u8 = 1;

/// Version of tickets of plans: a worker that knows no plans must not run one as a command.
pub const PLAN_VERSION: u8 = 2;

/// Bit of the version that says that a signature comes before the record.
pub(crate) const SIGNED: u8 = 0x80;

/// Longest record with its version: a NATS server takes messages of 1 MiB, with their headers.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024 - 16 * 1024;

/// Most output or input in one record.
pub const MAX_CHUNK_BYTES: usize = 128 * 1024;

/// Most output in one object. A reader holds one at a time.
pub const MAX_PART_BYTES: usize = 4 * 1024 * 1024;

/// Most changes between the streams in one record of output.
pub(crate) const MAX_RUNS: usize = 16 * 1024;

/// Longest JSON of an ending, which readers keep.
pub const MAX_ENDING_BYTES: usize = 16 * 1024;

/// Longest text for people in a record, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Most attempts of an execution.
pub const MAX_ATTEMPTS: u32 = 100;

/// Why bytes are no record, or a record has no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A later version wrote it.
    #[error(
        "the record has version {version} of the format; read it with a later version of the engine"
    )]
    Newer {
        /// The version of the record.
        version: u8,
    },
    /// The bytes are no record.
    #[error("the record is damaged: {what}; it is ignored by all readers")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// The record is longer than may be.
    #[error(
        "the record has {bytes} bytes and may have {MAX_RECORD_BYTES}; pass large data as a file"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A field has a value that it cannot have.
    #[error("the record is not valid: {field} {what}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with its value, and what it may be.
        what: String,
    },
    /// The record is not signed by a worker that may write it.
    #[error("the record is not signed as it must be: {what}; it is ignored by all readers")]
    Unsigned {
        /// What does not fit.
        what: &'static str,
    },
    /// A name could not be a part of a subject.
    #[error("the record is not valid: {0}")]
    Name(#[from] NameError),
}

/// A type with bytes at the servers: [`Record`], [`Ticket`], [`Output`], [`Input`],
/// [`Pool`](crate::Pool) and [`Presence`](crate::Presence).
pub trait WireForm: Serialize + DeserializeOwned + form::Closed {
    /// The newest version that is read.
    const NEWEST: u8 = FORMAT_VERSION;

    /// Returns the version that is written: the oldest one whose readers know what it means.
    fn version(&self) -> u8 {
        FORMAT_VERSION
    }

    /// Checks that the fields have values that they may have.
    ///
    /// # Errors
    ///
    /// [`RecordError::Invalid`] or [`RecordError::Name`] with the first field that has not.
    fn check(&self) -> Result<(), RecordError>;
}

/// Keeps the set of types with bytes closed.
pub(crate) mod form {
    pub trait Closed {}
    impl Closed for super::Record {}
    impl Closed for super::Ticket {}
    impl Closed for super::Output {}
    impl Closed for super::Input {}
}

/// Returns the bytes of a record.
///
/// # Errors
///
/// [`RecordError`] if a field has a value that it cannot have, or the record is longer than
/// [`MAX_RECORD_BYTES`].
///
/// ```
/// use execution_engine_fleet::{Cancel, Record, decode, encode};
///
/// # fn main() -> Result<(), execution_engine_fleet::RecordError> {
/// let cancel = Record::Cancel(Cancel { by: "ci".into(), reason: "superseded commit".into(), grace_ms: None, at_ms: None });
/// let bytes = encode(&cancel)?;
/// assert_eq!(bytes[0], execution_engine_fleet::FORMAT_VERSION);
/// assert_eq!(decode::<Record>(&bytes)?, cancel);
/// # Ok(())
/// # }
/// ```
pub fn encode<T: WireForm>(record: &T) -> Result<Vec<u8>, RecordError> {
    record.check()?;
    let mut bytes = vec![record.version()];
    ciborium::into_writer(record, &mut bytes)
        .map_err(|error| RecordError::Damaged { what: error.to_string() })?;
    check_length(&bytes)?;
    Ok(bytes)
}

/// Returns the record that bytes hold.
///
/// # Errors
///
/// [`RecordError::Newer`] if a later version wrote it: then nothing can be said of what follows, too.
/// All other errors are the same for every reader of this version, so that the record is ignored.
pub fn decode<T: WireForm>(bytes: &[u8]) -> Result<T, RecordError> {
    let damaged = |what: &str| RecordError::Damaged { what: what.to_owned() };
    check_length(bytes)?;
    let (version, mut rest) = bytes.split_first().ok_or_else(|| damaged("it is empty"))?;
    match *version {
        FORMAT_VERSION => (),
        later if later > FORMAT_VERSION && later <= T::NEWEST => (),
        0 => return Err(damaged("there is no version 0")),
        signed if signed & SIGNED != 0 => {
            return Err(damaged("it is signed; open it with a verifier"));
        }
        version => return Err(RecordError::Newer { version }),
    }
    let record: T =
        ciborium::from_reader(&mut rest).map_err(|error| damaged(&error.to_string()))?;
    if !rest.is_empty() {
        return Err(damaged("it has bytes behind its end"));
    }
    record.check()?;
    Ok(record)
}

fn check_length(bytes: &[u8]) -> Result<(), RecordError> {
    match bytes.len() {
        0..=MAX_RECORD_BYTES => Ok(()),
        bytes => Err(RecordError::TooLong { bytes }),
    }
}

pub(crate) fn invalid(field: &'static str, what: String) -> RecordError {
    RecordError::Invalid { field, what }
}

pub(crate) fn check_text(field: &'static str, text: &str) -> Result<(), RecordError> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let what = format!("has {} bytes and may have {MAX_TEXT_BYTES}", text.len());
    Err(RecordError::Invalid { field, what })
}

fn check_attempts(attempt: u32, of: u32) -> Result<(), RecordError> {
    if of == 0 || of > MAX_ATTEMPTS {
        let what = format!("is {of} and may be 1 to {MAX_ATTEMPTS}");
        return Err(invalid("of", what));
    }
    if attempt == 0 || attempt > of {
        let what = format!("is {attempt} and may be 1 to {of}");
        return Err(invalid("attempt", what));
    }
    Ok(())
}

fn check_start(start: &Start) -> Result<(), RecordError> {
    check_attempts(start.attempt, start.of)?;
    check_name("worker", &start.worker)?;
    check_text("key", &start.key)?;
    if start.fence == 0 {
        let what = "is 0 and may be 1 or more".to_owned();
        return Err(invalid("fence", what));
    }
    Ok(())
}

fn check_end(end: &End) -> Result<(), RecordError> {
    check_start(&end.start)?;
    let bytes = end.ending.to_string().len();
    if bytes <= MAX_ENDING_BYTES {
        return Ok(());
    }
    let what = format!("has {bytes} bytes and may have {MAX_ENDING_BYTES}");
    Err(invalid("ending", what))
}

fn check_chunk(bytes: &[u8]) -> Result<(), RecordError> {
    if bytes.len() <= MAX_CHUNK_BYTES {
        return Ok(());
    }
    let what = format!("has {} bytes and may have {MAX_CHUNK_BYTES}", bytes.len());
    Err(invalid("bytes", what))
}

fn check_object(object: &OutputObject, bytes: &[u8]) -> Result<(), RecordError> {
    check_text("object.name", &object.name)?;
    if object.size == 0 || object.size > MAX_PART_BYTES as u64 {
        let what = format!("is {} and may be 1 to {MAX_PART_BYTES}", object.size);
        return Err(invalid("object.size", what));
    }
    if !bytes.is_empty() {
        return Err(invalid("bytes", "come with an object; use one of them".to_owned()));
    }
    Ok(())
}

impl WireForm for Record {
    fn check(&self) -> Result<(), RecordError> {
        match self {
            Self::Claim(claim) => {
                check_attempts(claim.attempt, claim.of)?;
                check_name("worker", &claim.worker)?;
                check_text("key", &claim.key)?;
                check_text("delivery", &claim.delivery.0)?;
                check_text("command", &claim.command)?;
                let description = claim.plan.as_ref().and_then(|plan| plan.description.as_deref());
                check_text("plan.description", description.unwrap_or_default())?;
                check_text("engine", &claim.engine)?;
                check_text("containment", &claim.containment)?;
                check_text("sandbox", &claim.sandbox)
            }
            Self::Hold(hold) => {
                check_start(&hold.start)?;
                check_text("delivery", &hold.delivery.0)
            }
            Self::End(end) => check_end(end),
            Self::Lost(lost) => {
                check_start(&lost.start)?;
                check_name("by", &lost.by)?;
                check_text("reason", &lost.reason)
            }
            Self::Expired(expired) => {
                expired.after.as_ref().map_or(Ok(()), check_start)?;
                Ok(check_name("by", &expired.by)?)
            }
            Self::Cancel(cancel) => {
                check_text("by", &cancel.by)?;
                check_text("reason", &cancel.reason)
            }
            Self::Unknown => Ok(()),
        }
    }
}

impl WireForm for Ticket {
    const NEWEST: u8 = PLAN_VERSION;

    fn version(&self) -> u8 {
        if self.plan.is_some() { PLAN_VERSION } else { FORMAT_VERSION }
    }

    fn check(&self) -> Result<(), RecordError> {
        check_name("tenant", &self.tenant)?;
        check_text("command", &self.command)?;
        self.sealed
            .as_ref()
            .map_or(Ok(()), |sealed| check_text("sealed.key_id", &sealed.key_id))?;
        check_attempts(1, self.max_attempts)
    }
}

impl WireForm for Output {
    fn check(&self) -> Result<(), RecordError> {
        check_attempts(self.attempt, MAX_ATTEMPTS)?;
        check_chunk(&self.bytes)?;
        let size = match &self.object {
            Some(object) => {
                check_object(object, &self.bytes)?;
                object.size
            }
            None => self.bytes.len() as u64,
        };
        let told: u64 = self.runs.iter().map(|(_, length)| u64::from(*length)).sum();
        if told != size || self.from.checked_add(told).is_none() {
            let what = format!("tell of {told} bytes, and there are {size}");
            return Err(invalid("runs", what));
        }
        // Readers number the events of a record.
        if self.runs.len() > MAX_CHUNK_BYTES {
            let what = format!("are {} and may be {MAX_CHUNK_BYTES}", self.runs.len());
            return Err(invalid("runs", what));
        }
        Ok(())
    }
}

impl WireForm for Input {
    fn check(&self) -> Result<(), RecordError> {
        check_chunk(&self.bytes)?;
        check_text("key_id", self.key_id.as_deref().unwrap_or_default())?;
        if self.from.checked_add(self.bytes.len() as u64).is_none() {
            let what = "is beyond the last place of an input".to_owned();
            return Err(invalid("from", what));
        }
        Ok(())
    }
}
