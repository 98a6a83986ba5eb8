//! What a program puts out: read once, kept within limits, held for those who watch, written to
//! logs and overflow files.

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
