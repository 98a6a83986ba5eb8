//! What a program puts out: read once, kept within limits, held for those who watch, written to
//! logs and overflow files.

mod busy;
mod capture;
mod file_sink;
mod journal;
mod lines;
mod log;
mod overflow;
mod pump;
mod text;

pub(crate) use capture::{Captured, Keep};
pub(crate) use journal::{Cursor, Holding, Journal, Lens, Lines, Owner, Piece, Sealed};
pub(crate) use log::{LogHeader, LogPlan, Logs};
pub(crate) use overflow::OverflowDir;
pub(crate) use pump::{Excess, OutputStop, Pump, PumpPlan, Step};
pub(crate) use text::text;
