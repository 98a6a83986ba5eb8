//! One execution from spawn to ending: one task owns it, everybody else sends it controls or
//! reads what it publishes.

mod clock;
mod control;
mod driver;
mod duty;
mod ending;
mod live;
mod retry;
mod shared;
mod spawn;
mod state;
mod stdin;
mod stop;
mod supervisor;
mod waiting;

pub(crate) use control::Action;
pub(crate) use driver::Driver;
pub(crate) use duty::Duty;
pub(crate) use live::Live;
pub(crate) use retry::Again;
pub(crate) use shared::{MOST_LATE_LOGS, Shared};
pub(crate) use stdin::{Refused, ends_of};
pub(crate) use stop::Ladder;
pub(crate) use supervisor::{Job, Terms, Timing};
pub(crate) use waiting::Waiting;
