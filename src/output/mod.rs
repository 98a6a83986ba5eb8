//! The output of a program, from the pipes to the places where it is read.
//!
//! - [`reader`] reads the pipes. `OutputReader::accept` hands on every byte, once.
//! - [`capture`] keeps what belongs to the result, within `max_output_size_bytes`
//!   (`Capture::take`). `CapturedOutput::text` adds the truncation notice when a result is read.
//! - [`journal`] publishes output and events to handlers and subscriptions, and evicts old output.
//! - [`lines`] splits a stream into lines, on the side of each journal reader.
//! - [`overflow`] has the files for output beyond the limit, and their quota;
//!   `StreamReader::spill` fills them.
//! - [`log`] opens, writes and completes the logs, through [`file_writer`].

mod capture;
mod file_writer;
mod journal;
mod lines;
mod log;
mod overflow;
mod reader;
mod text;

pub(crate) use capture::CapturedOutput;
pub(crate) use journal::{
    EventPayload, Journal, JournalCursor, JournalItem, JournalLimits, JournalLines, JournalOwner,
    SealedJournal, View,
};
pub(crate) use log::{ExecutionLogs, LogTargets};
pub(crate) use overflow::OverflowDir;
pub(crate) use reader::{OutputReader, OutputSettings, ReadStep};
pub(crate) use text::text;
