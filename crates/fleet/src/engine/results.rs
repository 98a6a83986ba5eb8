//! What the engine is told of records: streams, results, states and errors.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use execution_engine::{
    BackendEvent, BackendExecution, Ending, ExecutionError, ExecutionResult, ExecutionStatus,
    OutputStream, Place, SkipReason, ValidationError,
};
use uuid::Uuid;

use super::backend::EVENT_BITS;
use crate::client::Described;
use crate::cluster::ClusterError;
use crate::error::FleetError;
use crate::fold::{Outcome, State};
use crate::record::{End, Stream};

pub(super) fn to_stream(stream: Stream) -> OutputStream {
    match stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    }
}

pub(super) fn output(runs: &[(Stream, u32)], mut bytes: Bytes) -> Vec<BackendEvent> {
    let split = |(stream, length): &(Stream, u32)| {
        let bytes = bytes.split_to((*length as usize).min(bytes.len()));
        BackendEvent::Output { stream: to_stream(*stream), bytes }
    };
    runs.iter().map(split).collect()
}

pub(crate) fn moment(unix_ms: u64) -> DateTime<Utc> {
    let moment = i64::try_from(unix_ms).ok().and_then(DateTime::from_timestamp_millis);
    moment.unwrap_or_else(Utc::now)
}

/// Returns the result of an execution.
pub(crate) fn result(
    id: Uuid,
    outcome: &Outcome,
    end: Option<Box<End>>,
    place: Option<Place>,
) -> ExecutionResult {
    let reported = end.and_then(|end| {
        let result = serde_json::from_value::<ExecutionResult>(end.result);
        // A ticket that was no ticket has an ending and no result.
        let ending = serde_json::from_value::<Ending>(end.ending);
        result.or_else(|error| ending.map(|ending| unobserved(id, ending)).map_err(|_| error)).ok()
    });
    let no_report = || unobserved(id, ending_without_report(outcome));
    let mut result = match (outcome, reported) {
        (Outcome::Ended, Some(reported)) => reported,
        // The cancel came first, also if the program ended in that moment.
        (Outcome::Cancelled { .. }, Some(reported)) => reported.with_ending(Ending::Cancelled),
        _ => no_report(),
    };
    result.id = id;
    result.place = place;
    result
}

/// Returns whether a result that is made of this report has the times of its worker.
pub(super) fn is_dated(end: Option<&End>) -> bool {
    end.is_some_and(|end| !end.result.is_null())
}

/// Gives the times of the records to a result that no worker has written.
pub(super) fn date(result: &mut ExecutionResult, described: &Described) {
    let Described { submitted_at_ms, claimed_at_ms, ended_at_ms, .. } = described;
    let started = claimed_at_ms.or(*submitted_at_ms).or(*ended_at_ms);
    let ended = (*ended_at_ms).max(started);
    if let Some((started, ended)) = started.zip(ended) {
        (result.started_at, result.completed_at) = (moment(started), moment(ended));
        result.duration = Duration::from_millis(ended - started);
    }
}

pub(crate) fn unobserved(id: Uuid, ending: Ending) -> ExecutionResult {
    let now = Utc::now();
    ExecutionResult::unobserved(id, now, now, ending)
}

/// Returns the status of an execution, as a list shows it.
pub(crate) fn status(state: &State) -> ExecutionStatus {
    match state.is_closed() {
        true => decided_status(state),
        false if state.running().is_some() => ExecutionStatus::Running,
        false => ExecutionStatus::Pending,
    }
}

/// Returns the status that an execution has at its end.
pub(super) fn decided_status(state: &State) -> ExecutionStatus {
    let reported = state.report().map(|report| report.ending.clone());
    let reported = reported.and_then(|ending| serde_json::from_value::<Ending>(ending).ok());
    let ending = match state.outcome() {
        Some(Outcome::Ended) => reported,
        Some(outcome) => Some(ending_without_report(outcome)),
        None => None,
    };
    ending.map_or(ExecutionStatus::Failed, |ending| ending.status())
}

/// Returns the ending of an outcome that no worker reported.
pub(super) fn ending_without_report(outcome: &Outcome) -> Ending {
    match outcome {
        Outcome::Cancelled { .. } => Ending::Cancelled,
        Outcome::WorkerLost { worker, attempts } => {
            Ending::WorkerLost { worker: worker.clone(), attempts: *attempts }
        }
        Outcome::NotStarted { start_by_ms } => {
            Ending::NotRun { reason: SkipReason::StartBy { moment_ms: *start_by_ms } }
        }
        Outcome::Ended => {
            let reason = "its worker wrote a result that cannot be read".to_owned();
            Ending::Unknown { reason }
        }
    }
}

/// Returns the error of the engine for one of the fleet.
pub(crate) fn to_engine(id: Uuid, error: FleetError) -> ExecutionError {
    match error {
        FleetError::OutcomeUnknown { id, reason } => ExecutionError::outcome_unknown(id, reason),
        FleetError::AlreadyExists(id) => ExecutionError::DuplicateId(id),
        FleetError::NotFound(id) => ExecutionError::NotFound(id),
        FleetError::InputClosed(id) => ExecutionError::StdinClosed(id),
        FleetError::AlreadyEnded { id, state } => {
            ExecutionError::AlreadyEnded { id, status: decided_status(&state) }
        }
        FleetError::NotRunning(_) | FleetError::Refused { .. } => {
            ExecutionError::control(id, error.to_string())
        }
        // Another try would fail, too.
        FleetError::Record(error) => {
            ValidationError::invalid_option("request", error.to_string()).into()
        }
        FleetError::Cluster(ClusterError::QueueFull { limit, .. }) => {
            ExecutionError::QueueFull(limit)
        }
        other => ExecutionError::backend(other.to_string()),
    }
}

pub(super) fn execution(id: Uuid, described: &Described, place: Option<Place>) -> BackendExecution {
    // What was cancelled before its start left its ticket, and has that record alone.
    let known_since = described.submitted_at_ms.or(described.ended_at_ms);
    let accepted_at = known_since.map_or_else(Utc::now, moment);
    let mut execution = BackendExecution::new(id, described.command.as_str(), accepted_at);
    execution.status = status(&described.state);
    execution.place = place;
    execution.started_at = described.claimed_at_ms.map(moment);
    if described.state.is_closed() {
        execution.cursor = described.state.last_seq() << EVENT_BITS;
    }
    if let Some(metadata) = &described.metadata {
        execution.metadata = serde_json::from_value(metadata.clone()).unwrap_or_default();
    }
    execution
}
