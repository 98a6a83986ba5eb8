//! When schedules run. Pure: no clock, no store.
//!
//! | file | what it does |
//! |---|---|
//! | `timetable` | reads an expression, and finds its moments in a time zone |
//! | `field` | checks the fields of an expression, so that a mistake is named |
//! | `due` | which moments have come, and which of them get a run |

mod due;
mod field;
mod timetable;

pub(crate) use due::{Due, due};
pub use timetable::Timetable;
