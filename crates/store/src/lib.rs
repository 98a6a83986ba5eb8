//! Durable history of executions, in a directory: what was accepted, how it ended, and its output.
//!
//! [`Store`] is what the service is built on. [`StoreHistory`] gives an app with an
//! [engine](execution_engine::ExecutionEngine) of its own a history that survives a restart.
//!
//! # What a call promises
//!
//! A call that writes returns after the commit, with `fsync`: what it has answered survives a crash of this process
//! and a loss of power. Writes of many callers share a commit, see [`Stats::commits`]. [`Store::started`] and
//! [`Store::erase_env`] do not wait; they are part of the next commit.
//!
//! No future has to be polled to its end: a caller that drops one leaves nothing half-done. The rest of this crate is
//! not async and needs no runtime.
//!
//! # What is on the disk
//!
//! | file | content |
//! |---|---|
//! | `exeng.db`, `-wal`, `-shm` | the database (SQLite) |
//! | `key` | the key for values of environments; without it those of executions that wait are lost, and nothing else |
//! | `outputs/` | output of more than 64 KiB, compressed with zstd, to be read by range |
//!
//! All of it is for its owner alone. Values of environments, and input that is given as bytes, are sealed
//! (XChaCha20-Poly1305) from the beginning and erased with [`Store::erase_env`] or at the ending. Of the body of a
//! request a hash is kept that says nothing without the key.
//!
//! # When the disk is full or fails
//!
//! Writes fail with an error for which [`StoreError::is_unwritable`] holds, and [`Store::health`] says why and how many
//! they were. Reads go on. The store tries again by itself.
//!
//! # Limits
//!
//! [`Store::retention_pass`] holds age, number and bytes within [`StoreConfig`]. A search by status, tag, label or group
//! takes the same time whatever is stored. The order of executions is that of their acceptance, whatever the clock does.
#![forbid(unsafe_code)]

mod accept;
mod archive;
mod config;
mod error;
mod execution;
mod files;
mod groups;
mod health;
mod history;
mod import;
mod key;
mod list;
mod output;
mod plans;
mod progress;
mod read;
mod retention;
mod rows;
mod schedules;
mod schema;
mod secrets;
mod status;
mod store;
mod stream_reader;
mod time;
mod tokens;
mod totals;
mod workers;
mod writer;

pub use config::{Hooks, StoreConfig};
pub use error::{Result, StoreError};
pub use execution::{
    Accepted, EndedExecution, Imported, NewExecution, OutputPlace, ScheduleRun, StoredExecution,
    StoredPlace,
};
pub use groups::{GroupChange, StoredGroup};
pub use health::Health;
pub use history::StoreHistory;
pub use list::{Page, Query};
pub use output::StoredOutput;
pub use plans::{
    AcceptedPlan, ListedPlan, NewPlan, PlanPage, PlanQuery, PlanStop, StepOf, StoredEvent,
    StoredPlan, StoredStep, StoredStop,
};
pub use retention::{Removed, RemovedPart, RetentionLimits};
pub use schedules::{
    AcceptedSchedule, Counted, DueRuns, MissedPolicy, NewSchedule, OverlapPolicy, StoredSchedule,
};
pub use store::{Stats, Store};
pub use stream_reader::{OutputStart, StreamReader};
pub use tokens::{StoredToken, TokenScope};
