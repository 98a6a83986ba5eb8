//! What makes the starts of a worker: an engine, or a simulation.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::control::{ControlAction, ControlAnswer};
use crate::error::FleetError;
use crate::record::{Input, Start, Started, Stream, Ticket};

/// What a runner says of itself in claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// Version of the engine.
    pub engine: String,
    /// Containment level, in the engine's words.
    pub containment: String,
    /// Sandbox level.
    pub sandbox: String,
    /// Whether a lease guard ends all that it runs, also if the worker is stopped, and control groups
    /// hold all of its processes.
    pub exclusive: bool,
}

/// Makes the starts of a worker.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Describes the runner.
    fn describe(&self) -> Description;

    /// Returns whether this worker has the key that a plan is sealed to. One that has not leaves it to others.
    fn can_open(&self, _plan: &Ticket) -> bool {
        true
    }

    /// Starts the program of a ticket. It never fails: what cannot be started ends at once.
    async fn start(&self, ticket: Ticket, start: &Start) -> RunningProgram;

    /// Stops what starts of an execution have begun elsewhere that could not report its end, when
    /// there is no other start. It may be called again, also by another worker.
    ///
    /// # Errors
    ///
    /// [`FleetError`] if that is not done; it is called again later.
    async fn abandon(&self, _ticket: &Ticket) -> Result<(), FleetError> {
        Ok(())
    }
}

/// A program that was started.
pub struct RunningProgram {
    /// To control it.
    pub program: Arc<dyn Program>,
    /// What it does.
    pub events: Box<dyn ProgramEvents>,
}

/// Controls a program. After its end nothing has an effect.
#[async_trait]
pub trait Program: Send + Sync {
    /// Stops the program as its request says: stop signal, grace, final signal. A grace that is given is in
    /// place of its own, also if the program is being stopped already.
    fn cancel(&self, grace: Option<Duration>);

    /// Stops the program at once.
    fn kill(&self);

    /// Sends a signal, pauses or resumes.
    async fn control(&self, action: ControlAction) -> ControlAnswer;

    /// Returns whether the program takes input.
    fn takes_input(&self) -> bool;

    /// Writes to the input of the program, and waits while its pipe is full. What was written before,
    /// as [`Input::from`] tells, is skipped; bytes for a program that reads no more are dropped.
    async fn write_input(&self, input: Input);

    /// Closes the input.
    async fn close_input(&self);
}

/// What a program does, in order.
#[async_trait]
pub trait ProgramEvents: Send {
    /// Returns the next event. [`ProgramEvent::Ended`] is the last one; do not call it again then.
    /// Cancel safe: no event is lost. Output that is not taken is held back in the program's pipes.
    async fn next(&mut self) -> ProgramEvent;
}

/// What a program did.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgramEvent {
    /// It runs.
    Started(Started),
    /// It wrote this.
    Output(Stream, Bytes),
    /// It wrote this many bytes that are not to be had.
    Missed(Stream, u64),
    /// What was told before is to be published now: the next event is asked for once it is.
    Flush,
    /// It is over, with all its processes.
    Ended {
        /// Serde form of the engine's ending.
        ending: Value,
        /// Serde form of the engine's result, without the text of the output.
        result: Value,
    },
}
