//! How a stored execution is shown.

use execution_engine_store::{StoredExecution, StoredSchedule};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::view::{ExecutionView, OutputBytes, ScheduleFailure, ScheduleView};

/// Returns an execution as the service shows it.
pub(crate) fn view(stored: StoredExecution) -> ExecutionView {
    let result = stored.result.as_ref();
    let is_ended = stored.is_ended();
    let request = stored.request;
    let timeout_ms = request.timeout_ms.filter(|timeout| *timeout != u64::MAX);
    ExecutionView {
        id: stored.id,
        status: stored.status,
        exit_code: stored.exit_code.filter(|code| *code >= 0),
        signal: result.and_then(|result| part(result, "signal")),
        error: result.and_then(|result| part(result, "error")),
        containment: result.and_then(|result| part(result, "containment")),
        usage: result.and_then(|result| part(result, "usage")),
        ending: stored.ending,
        start_error: None,
        group_wait: None,
        bytes: OutputBytes { stdout: stored.stdout_bytes, stderr: stored.stderr_bytes },
        output_error: result.and_then(|result| part(result, "output_error")),
        attempts: stored.attempts,
        tags: stored.tags,
        labels: stored.labels,
        description: request.metadata.description,
        group: stored.group,
        priority: stored.priority,
        command: request.command,
        command_line: stored.command,
        working_dir: request.working_dir,
        timeout_ms,
        env_names: stored.env_names,
        after: stored.after,
        after_ended: stored.after_ended,
        schedule: stored.schedule.map(|run| run.id),
        schedule_moment: stored.schedule.and_then(|run| run.moment),
        start_at: stored.start_at,
        plan: stored.plan,
        step: stored.step,
        pinned: stored.pinned,
        paused: stored.paused,
        keeper: stored.keeper.filter(|_| !is_ended),
        created_at: stored.created_at,
        started_at: stored.started_at,
        ended_at: stored.ended_at,
        duration_ms: stored.duration_ms,
    }
}

/// Returns a schedule as the service shows it.
pub(crate) fn schedule_view(stored: StoredSchedule) -> ScheduleView {
    let (request, options) = (stored.request, stored.options);
    ScheduleView {
        id: stored.id,
        name: stored.name,
        every: stored.every,
        time_zone: stored.time_zone,
        missed: stored.missed,
        overlap: stored.overlap,
        paused: stored.paused,
        next_at: stored.next_at.filter(|_| !stored.paused),
        runs: stored.runs,
        last_run: stored.last_run,
        last_run_at: stored.last_run_at,
        overlaps: stored.overlaps,
        misses: stored.misses,
        last_error: stored
            .error_at
            .zip(stored.error)
            .map(|(at, error)| ScheduleFailure { at, error }),
        command_line: request.command.to_string(),
        working_dir: request.working_dir,
        timeout_ms: request.timeout_ms.filter(|timeout| *timeout != u64::MAX),
        env_names: stored.env_names,
        tags: request.metadata.tags,
        labels: request.metadata.labels.into_iter().collect(),
        group: options.group,
        priority: options.priority,
        pinned: stored.pinned,
        created_at: stored.created_at,
    }
}

/// Reads a part of a result. One that a later version has written in another form is left out: the
/// rest of the execution is still worth to be shown.
fn part<T: DeserializeOwned>(result: &Value, name: &str) -> Option<T> {
    T::deserialize(result.get(name)?).ok()
}
