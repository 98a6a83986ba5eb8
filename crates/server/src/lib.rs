//! The service: a durable queue in front of the keepers, which run the programs.
//!
//! [`Service`] is all of it without HTTP: it accepts executions, hands them to a keeper, stores how
//! they ended, and follows their output. It may end or be killed at any time; the next one on the
//! same [`StateDir`] goes on where it was. [`serve`] puts HTTP in front of it, and [`client`] speaks
//! to that.
#![forbid(unsafe_code)]

pub mod client;
mod config;
mod error;
#[doc(hidden)]
pub mod faults;
mod http;
mod problem;
mod schedule;
mod service;
mod state_dir;
mod state_lock;
mod units;
mod view;
mod wire;

pub use config::{Config, Durability, HttpConfig, RetentionConfig};
pub use error::{ErrorCode, ServiceError};
pub use execution_engine_store::{Counted, MissedPolicy, OverlapPolicy, TokenScope};
pub use http::{Listeners, NetworkListener, serve};
pub use problem::Problem;
pub use schedule::Timetable;
pub use service::{Events, KeeperProgram, Output, Service, ServiceManager, ServiceOptions};
pub use state_dir::{PathOptions, StateDir};
pub use state_lock::{LockHolder, StateLock};
pub use units::{parse_duration, parse_size};
pub use view::{
    CancelPlan, CreatedSchedule, CreatedToken, Event, EventKind, ExecutionView, Gc, GcPart,
    GcReport, GroupChange, GroupList, GroupView, GroupWait, ImportAnswer, InputEnd, KeeperView,
    NewExecution, NewInput, NewPlan, NewSchedule, NewToken, OutputBytes, Page, PlanPage, PlanQuery,
    PlanView, Query, Record, Rerun, ResumePlan, RunSchedule, ScheduleChange, ScheduleFailure,
    ScheduleView, Schedules, ServiceStatus, Signalled, StepCounts, StepStatus, StepView, StopMode,
    StoreView, Submitted, SubmittedPlan, TokenList, TokenView,
};
pub use wire::event_json;
