//! The output of a program, from the pipes to the places where it is read.
//!
//! - [`reader`] reads the pipes. `OutputReader::accept` hands on every byte, once.
//! - [`capture`] keeps what belongs to the result, within `max_output_size_bytes`
//!   (`Capture::take`). `CapturedOutput::text` adds the truncation notice when a result is read.
//! - [`journal`] publishes output and events to handlers and subscriptions, and evicts old output.
//! - [`lines`] splits a stream into lines, on the side of each journal reader.
//! - [`overflow`] has the files for output beyond the limit, and their quota;
//!   `StreamReader::spill` fills them.
//! - [`sink`] hands all of it to the host's sink, before more is read.
//! - [`log`] opens, writes and completes the logs, through [`file_writer`]; [`rotation`] keeps the
//!   readable one in several files.

mod capture;
mod file_writer;
mod journal;
mod lines;
#[cfg(feature = "logs")]
mod log;
mod log_targets;
#[cfg(not(feature = "logs"))]
mod no_log;
mod overflow;
mod reader;
#[cfg(feature = "logs")]
mod rotation;
mod sink;
mod text;

pub(crate) use capture::{CapturedOutput, captured_of_history};
pub(crate) use journal::{
    EventPayload, Journal, JournalCursor, JournalItem, JournalLimits, JournalLines, JournalOwner,
    JournalTotals, SealedJournal, View,
};
pub(crate) use lines::Line;
#[cfg(feature = "logs")]
pub(crate) use log::{ExecutionLogs, WrittenLog, log_error};
pub(crate) use log_targets::{LogTargets, RawLog};
#[cfg(not(feature = "logs"))]
pub(crate) use no_log::ExecutionLogs;
pub(crate) use overflow::OverflowDir;
pub(crate) use reader::{OutputReader, OutputSettings, ReadStep};
pub(crate) use sink::ExecutionSink;
pub use sink::{OutputChunk, OutputSink};
pub(crate) use text::text;
