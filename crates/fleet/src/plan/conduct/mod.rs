//! Conducts plans in a worker: submits the steps as executions of the fleet, and tells what happens.
//!
//! The events of a plan are the output of its execution. An event is in the log before anything
//! follows from it, and its start still counts then: so another worker that reads the log starts and
//! stops the same steps. What becomes of a step is decided in the log of the step: the servers take one
//! ticket for its id, the first claim counts, and a cancel before it keeps it from ever starting.
//!
//! | module | content |
//! |---|---|
//! | `machine` | a plan that is conducted; pure |
//! | `journal` | writes events, and knows whether they count |
//! | `run` | one plan, until it is over |
//! | `step` | one step, from its ticket to its end |
//! | `input` | what a step takes from others |

mod input;
mod journal;
mod machine;
mod run;
mod step;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use execution_engine::{ExecutionResult, PlanEnding};
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::client::StopPlan;
use super::event::StopCause;
use super::ticket::{step_id, title_of};
use crate::cluster::{Cluster, Expect};
use crate::control::{ControlAction, ControlAnswer};
use crate::engine::FleetBackend;
use crate::engine::backend::now_ms;
use crate::engine::request::open_input;
use crate::engine::results::moment;
use crate::error::FleetError;
use crate::record::{Input, Start, Started, Ticket};
use crate::seal::Opener;
use crate::worker::{Description, Program, ProgramEvent, ProgramEvents, Runner, RunningProgram};
use journal::{Journal, PlanOutput};

/// Steps that are cancelled at once.
const AT_ONCE: usize = 64;

/// Conducts the plans that a worker takes.
pub struct PlanRunner {
    cluster: Arc<dyn Cluster>,
    opener: Arc<Opener>,
    description: Description,
}

/// A stop of steps that a conductor is told of, with the end of the input that tells it; 0 for none.
type Stop = (StopCause, u64);

impl PlanRunner {
    /// Creates one. The opener has the private key of the pool of plans, if that has one.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        opener: impl Into<Arc<Opener>>,
        description: Description,
    ) -> Self {
        Self { cluster, opener: opener.into(), description }
    }
}

#[async_trait]
impl Runner for PlanRunner {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn can_open(&self, plan: &Ticket) -> bool {
        plan.sealed.as_ref().is_none_or(|sealed| self.opener.has(&sealed.key_id))
    }

    async fn start(&self, ticket: Ticket, start: &Start) -> RunningProgram {
        let (journal, output) = Journal::new();
        let (stops, stopped) = mpsc::unbounded_channel();
        let (cluster, opener) = (Arc::clone(&self.cluster), Arc::clone(&self.opener));
        let (tenant, id, start) = (ticket.tenant.clone(), ticket.id, start.clone());
        let conducted = run::conduct(cluster, Arc::clone(&opener), ticket, start, journal, stopped);
        let task = tokio::spawn(conducted).abort_handle();
        RunningProgram {
            program: Arc::new(Conducted { task, stops, opener, tenant, id }),
            events: Box::new(output),
        }
    }

    async fn abandon(&self, ticket: &Ticket) -> Result<(), FleetError> {
        let cluster = Arc::clone(&self.cluster);
        let fleet = FleetBackend::connect(cluster, &ticket.tenant, "a plan").await?;
        let steps = title_of(ticket).map_or(0, |title| title.steps as usize);
        stop_all(&fleet, ticket.id, steps).await
    }
}

/// Stops all steps of a plan; those that have not started never will.
async fn stop_all(fleet: &FleetBackend, plan: Uuid, steps: usize) -> Result<(), FleetError> {
    let stop = async |step| {
        let (client, id) = (fleet.client(), step_id(plan, step));
        let (known, _) = client.look(id, 0).await?;
        if known.state.outcome().is_none() {
            client
                .append_cancel(id, "its plan has no conductor any more", None, Expect::Anything)
                .await?;
        }
        Ok::<(), FleetError>(())
    };
    let all: Vec<usize> = (0..steps).collect();
    for some in all.chunks(AT_ONCE) {
        join_all(some.iter().map(|step| stop(*step)))
            .await
            .into_iter()
            .collect::<Result<(), FleetError>>()?;
    }
    Ok(())
}

/// Returns the last event of a plan.
fn ended(
    ticket: (Uuid, u64),
    ending: execution_engine::Ending,
    of_plan: &PlanEnding,
) -> ProgramEvent {
    let (id, submitted_at_ms) = ticket;
    let (started, now) = (moment(submitted_at_ms), moment(now_ms()));
    let result = ExecutionResult::unobserved(id, started, now, ending.clone());
    let mut result = serde_json::to_value(result).unwrap_or_default();
    result["plan"] = json!({ "ending": of_plan });
    ProgramEvent::Ended { ending: serde_json::to_value(ending).unwrap_or_default(), result }
}

/// A plan that is conducted, for as long as this lives.
struct Conducted {
    task: AbortHandle,
    stops: mpsc::UnboundedSender<Stop>,
    opener: Arc<Opener>,
    tenant: String,
    id: Uuid,
}

impl Drop for Conducted {
    fn drop(&mut self) {
        self.kill();
    }
}

#[async_trait]
impl Program for Conducted {
    /// Stops the plan. Its steps have a grace of their own.
    fn cancel(&self, _grace: Option<Duration>) {
        // One that has ended stops nothing.
        let _ended = self.stops.send((StopCause::Cancel, 0));
    }

    /// Conducts no more. The steps go on.
    fn kill(&self) {
        self.task.abort();
    }

    async fn control(&self, _action: ControlAction) -> ControlAnswer {
        Err("it is a plan and has no process; its steps have".to_owned())
    }

    fn takes_input(&self) -> bool {
        true
    }

    async fn write_input(&self, input: Input) {
        if let Some(stop) = read_stop(&self.opener, &self.tenant, self.id, input) {
            let _ended = self.stops.send(stop);
        }
    }

    async fn close_input(&self) {}
}

#[async_trait]
impl ProgramEvents for PlanOutput {
    async fn next(&mut self) -> ProgramEvent {
        self.next_event().await
    }
}

/// Returns the stop that a piece of input tells.
fn read_stop(opener: &Opener, tenant: &str, id: Uuid, input: Input) -> Option<Stop> {
    let end = input.end();
    let stop = open_input(opener, tenant, id, input).map_err(|error| error.to_string());
    let stop = stop.and_then(|bytes| {
        serde_json::from_slice::<StopPlan>(&bytes).map_err(|error| error.to_string())
    });
    match stop {
        Ok(StopPlan::Cancel) => Some((StopCause::Cancel, end)),
        Ok(StopPlan::CancelAll) => Some((StopCause::CancelAll, end)),
        Err(error) => {
            tracing::warn!(%id, error, "a stop of a plan cannot be read");
            None
        }
    }
}

/// Returns the event that a plan is conducted, by this process.
fn started() -> ProgramEvent {
    ProgramEvent::Started(Started { pid: std::process::id(), at_ms: now_ms() })
}
