//! The output of a program, from the pipes to the places where it is read.
//!
//! | what happens | where |
//! |---|---|
//! | the pipes are read, and every byte is handed on once | [`reader`], in `OutputReader::accept` |
//! | the part for the result is kept, within `max_output_size_bytes` | [`capture`], in `Capture::take` |
//! | output is published to handlers and subscriptions, and evicted | [`journal`] |
//! | a stream is split into lines | [`lines`], on the side of each journal reader |
//! | the rest goes to an overflow file | [`reader`], in `StreamReader::spill`; files and quota: [`overflow`] |
//! | logs are opened, written and completed | [`log`], through [`file_writer`] |
//! | the truncation notice is added when a result is read | [`capture`], in `CapturedOutput::text` |

mod capture;
mod file_writer;
mod journal;
mod lines;
mod log;
mod overflow;
mod reader;
mod text;

pub(crate) use capture::{CapturedOutput, KeepPolicy};
pub(crate) use journal::{
    Journal, JournalCursor, JournalItem, JournalLimits, JournalLines, JournalOwner, SealedJournal,
    View,
};
pub(crate) use log::{ExecutionLogs, LogHeader, LogTargets};
pub(crate) use overflow::OverflowDir;
pub(crate) use reader::{ExcessPolicy, OutputFailure, OutputReader, OutputSettings, ReadStep};
pub(crate) use text::text;
