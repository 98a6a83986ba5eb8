//! The rules, checked on what one round has left: results, recordings, answers and traces.

mod account;
pub(crate) mod admission;
mod handlers;
pub(crate) mod plans;
pub(crate) mod quiet;
mod records;
mod results;

use std::sync::Arc;

use execution_engine::*;

use crate::handlers::Witness;
use crate::history::{Pace, View};
use crate::program::{Expected, FAILS_ONCE};
use crate::rules::{Check, Fault, Rule};
use crate::watch::{About, Recording};
use crate::world::{Submission, World};

/// An execution that has ended, and what it published.
pub(crate) struct Facts {
    pub(crate) one: Arc<Submission>,
    pub(crate) result: ExecutionResult,
    /// Replays of its record: lines first, then chunks, then those from other positions.
    pub(crate) replays: Vec<Recording>,
}

impl Facts {
    pub(crate) async fn new(
        world: &Arc<World>,
        one: Arc<Submission>,
        handle: &Execution,
        result: ExecutionResult,
    ) -> Result<Self, Fault> {
        let about = About::Execution(one.number);
        let fault = |error: ExecutionError| Rule::Agreement.broken(error.to_string());
        let lines = handle.events().await.map_err(fault)?;
        let chunks = handle.chunks().await.map_err(fault)?;
        let recording = |view| Recording::new(about, view, 0, world.tick());
        let shared = || Arc::clone(world);
        let replays = vec![
            recording(View::Lines).read(shared(), lines, Pace::Fast, |_, _| {}).await,
            recording(View::Chunks).read(shared(), chunks, Pace::Fast, |_, _| {}).await,
        ];
        Ok(Self { one, result, replays })
    }

    /// Returns all events; a replay has them, whatever it has of the output.
    pub(crate) fn events(&self) -> impl Iterator<Item = &ExecutionEvent> {
        self.replays[0].records.iter().filter_map(|told| match &told.what {
            crate::watch::What::Event(event) => Some(event),
            _ => None,
        })
    }

    /// Returns how often its program was started.
    pub(crate) fn starts(&self) -> usize {
        self.events().filter(|event| matches!(event, ExecutionEvent::Started { .. })).count()
    }

    /// Returns `true` if every attempt ended by itself.
    pub(crate) fn is_undisturbed(&self) -> bool {
        let earlier = self.result.earlier_attempts.iter().map(|attempt| &attempt.ending);
        let mut endings = earlier.chain([&self.result.ending]);
        endings.all(|ending| matches!(ending, Ending::Exited { .. }))
    }

    /// Returns what its last attempt had to print; `None` if that is not known.
    pub(crate) fn expected(&self) -> Option<Expected> {
        let exec = &self.one.exec;
        let earlier = &self.result.earlier_attempts;
        let has_exited = |attempt: &Attempt| matches!(attempt.ending, Ending::Exited { .. });
        // An attempt that was stopped may or may not have come to its failure.
        let is_first = if earlier.iter().all(has_exited) {
            earlier.is_empty()
        } else {
            self.result.exit_code == FAILS_ONCE
        };
        let input = exec.known_input()?;
        Some(exec.program.expected(is_first, exec.is_merged, input.as_bytes()))
    }

    pub(crate) fn name(&self) -> String {
        format!("{}, {}", self.one.name(), self.result.ending)
    }
}

/// Checks all rules after the end of the engine.
pub(crate) async fn check_all(
    world: &World,
    facts: &[Facts],
    recordings: &[Recording],
    handlers: &[Arc<Witness>],
) -> Check {
    let runs = world.runs();
    for one in facts {
        records::check_events(one, &runs)?;
        results::check_result(world, one, &runs)?;
    }
    results::check_answers(world, facts)?;
    for recording in recordings {
        records::check_recording(recording)?;
    }
    account::check(world, facts, recordings)?;
    records::check_all_executions(world, recordings)?;
    admission::check(world, &runs)?;
    plans::check(world, recordings, &runs)?;
    handlers::check(world, facts, recordings, handlers).await
}
