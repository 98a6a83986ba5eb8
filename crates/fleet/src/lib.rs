//! Executions on many machines: records in one ordered log, and the rules by which all who read it
//! agree.
//!
//! | module | content |
//! |---|---|
//! | `record`, `wire` | records of one execution, and their bytes |
//! | `keys`, `sign`, `seal` | keys, signatures of records, sealed values |
//! | `fold` | from the records of one execution to its state; pure |
//! | `name`, `place` | names in subjects; where a ticket lies and what it requires; pure |
//! | `pool`, `presence`, `placement` | pools, what workers say of themselves, which pool takes an execution; pure |
//! | `lease`, `turns` | until when a worker may run, and which queue it asks next; pure |
//! | `cluster` | [`Cluster`]: what is asked of the servers that keep the records |
//! | `pause` | pauses between looks and tries |
//! | `reader` | all records of an execution, and its state after them |
//! | `client` | [`FleetClient`]: submits, follows, cancels and controls executions |
//! | `plan` | plans that a worker conducts: [`FleetBackend::submit_plan`], [`PlanRunner`] |
//! | `engine` | [`FleetBackend`], for an engine that sends its executions to a fleet; [`EngineRunner`], for a worker that runs them with one |
//! | `worker` | [`Worker`]: takes tickets, makes starts, reports endings |

mod client;
mod cluster;
mod control;
mod engine;
mod error;
mod fold;
mod keys;
mod lease;
mod name;
mod pause;
mod place;
mod placement;
mod plan;
mod pool;
mod presence;
mod reader;
mod record;
mod seal;
mod sign;
mod turns;
mod wire;
mod worker;

pub use client::{Described, FleetClient, FleetEvent, Follower, Position};
pub use cluster::{
    Changes, Cluster, ClusterError, ControlCall, Delivery, DeliveryHandle, Durability,
    ExecutionName, Expect, Lane, LogPart, LogSubject, NewRecord, ObjectKind, ObjectName, Settle,
};
pub use control::{ControlAction, ControlAnswer, ControlRequest, drain_worker};
pub use engine::{EngineRunner, FENCE_VARIABLE, FleetBackend};
pub use error::FleetError;
pub use fold::{Effect, Illegal, Outcome, Report, State, fold, fold_part};
pub use keys::{KeyError, KeyKind, Seed};
pub use lease::{Absences, Lease, LeaseError, LeaseOver, LeaseSettings};
pub use name::{MAX_NAME_BYTES, NameError, check_name};
pub use place::{QueueName, QueuePlace, Requires, shard_of};
pub use placement::{Lack, NoPool, place};
pub use plan::{
    FleetPlan, FleetStep, FleetStepState, PLANS_POOL, PlanEntry, PlanEvent, PlanEventKind,
    PlanFollower, PlanRunner, StepEnd, StepRun, StopCause, StopPlan, step_id,
};
pub use pool::{MAX_WEIGHT, Pool, SealingKey, Share, Size, SizeClass};
pub use presence::Presence;
pub use record::{
    Cancel, Claim, End, Expired, Hold, Input, Lost, Output, OutputObject, PlanTitle, Record,
    Sealed, Start, Started, Stream, Ticket, TicketDigest,
};
pub use seal::{Opener, SealError, SealedFor, SealedPart, seal, seal_to};
pub use sign::{Certificate, SignError, Signer, Verifier, certify};
pub use turns::{Turn, Turns};
pub use wire::{
    FORMAT_VERSION, MAX_ATTEMPTS, MAX_CHUNK_BYTES, MAX_ENDING_BYTES, MAX_PART_BYTES,
    MAX_RECORD_BYTES, MAX_TEXT_BYTES, PLAN_VERSION, RecordError, WireForm, decode, encode,
};
pub use worker::{
    Clock, Description, LargeOutput, LeaseGuard, OnSlow, PlanIntake, Program, ProgramEvent,
    ProgramEvents, Runner, RunningProgram, Worker, WorkerError, WorkerOptions, WorkerTimes,
};
