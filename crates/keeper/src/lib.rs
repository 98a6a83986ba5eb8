//! The keeper: the process that runs the programs of the service and outlives it.
//!
//! One keeper holds an engine and is the parent of all its programs. What they write goes into a journal per execution
//! before anything is told about it. A client, usually the service, starts, stops, lists and forgets executions over a
//! unix socket; it may die and come back at any time. Each call is idempotent by the id of the execution.
//!
//! A keeper has a directory of its own, which is used once:
//!
//! | entry | content |
//! |---|---|
//! | `lock` | held with an exclusive lock as long as the keeper lives: that, and nothing else, tells that it does |
//! | `sock` | the socket |
//! | `log` | what the keeper has to say |
//! | `journals/ID` | journal of one execution, until it is forgotten |
//!
//! All of it is for its owner alone, whatever the umask. No value of an environment is in any of it.
//!
//! [`run`] is the process, [`spawn`] starts one, [`keepers`] finds those that live, and [`KeeperClient`] talks to one.
#![cfg(unix)]
#![forbid(unsafe_code)]

mod build_id;
mod client;
mod control;
mod directory;
mod error;
pub mod faults;
mod frame;
mod input;
mod lock;
mod notices;
mod options;
mod process;
mod process_defaults;
mod protocol;
pub mod socket;
mod spawn;

pub use build_id::build_id;
pub use client::{KeeperClient, Notices};
pub use directory::{journal_path, keepers, remove_dead};
pub use error::KeeperError;
pub use input::{InputPiece, InputTaken, MAX_INPUT_PIECE};
pub use lock::KeeperInfo;
pub use options::{Durability, KeeperOptions};
pub use process::run;
pub use process_defaults::set_process_defaults;
pub use protocol::{
    ErrorCode, ExitCodeClass, KeeperHello, Listed, ListedState, Missed, Notice, PROTOCOL,
    RefusedLimit, StartAnswer, StartSpec,
};
pub use spawn::{KeeperCommand, KeeperProcess, spawn};
