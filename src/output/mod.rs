//! From the child's pipes to what is kept of them: captured within limits, logged, cut into lines.

mod capture;
mod file_sink;
mod lines;
mod log;
mod overflow;
mod pump;

pub(crate) use capture::Captured;
pub(crate) use lines::LineBatch;
pub(crate) use log::{LogHeader, LogPlan, Logs};
pub(crate) use overflow::OverflowDir;
pub(crate) use pump::{OutputStop, Pump, PumpPlan, Step};
