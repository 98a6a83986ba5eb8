use std::io;

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused to read the journal.
    #[error("cannot read the journal {name}: {source}")]
    Io {
        /// The journal, as it was named to the reader.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// No record begins at a position: the cursor is not one of this journal.
    #[error(
        "the journal {name} has no record at position {position}; use 0 or the end of a record as the cursor"
    )]
    NoRecord {
        /// The journal, as it was named to the reader.
        name: String,
        /// The position that was asked for.
        position: u64,
    },
    /// A record is not as it was written.
    #[error("the journal {name} is damaged at position {position}: {what}")]
    Damaged {
        /// The journal, as it was named to the reader.
        name: String,
        /// Position of the damaged record.
        position: u64,
        /// What does not match.
        what: &'static str,
    },
    /// A record has a form that a later version of this crate writes.
    #[error(
        "the journal {name} has a record at position {position} that a later version wrote; \
         read it with that version"
    )]
    Newer {
        /// The journal, as it was named to the reader.
        name: String,
        /// Position of the record.
        position: u64,
    },
}
