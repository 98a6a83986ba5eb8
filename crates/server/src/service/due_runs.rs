//! Runs of schedules whose moments have come.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use execution_engine_store::{DueRuns, NewExecution as Row, ScheduleRun, StoredSchedule};
use futures_util::future::join_all;
use uuid::Uuid;

use super::clock::CLOCK_INTERVAL;
use super::ending::blocking;
use super::inner::{Inner, pause};
use super::limits::is_asked;
use crate::error::{ErrorCode, ServiceError};
use crate::schedule::{Due, Timetable, due};
use crate::view::ScheduleFailure;

/// Most runs of one schedule that may wait or run at a time, whatever its policy.
const MOST_UNENDED: usize = 1_000;

impl Inner {
    /// Runs schedules when their moments have come, until the service ends.
    pub(crate) async fn run_schedules(self: Arc<Self>) {
        while !self.closing.is_cancelled() {
            let left = self.run_due().await.map(|left| left.min(CLOCK_INTERVAL));
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.schedules.notified() => {}
                () = pause(left.unwrap_or_default()), if left.is_some() => {}
            }
        }
    }

    /// Runs what is due now. Returns the time until the next moment, or until what failed is tried again.
    async fn run_due(self: &Arc<Self>) -> Option<Duration> {
        let now = Utc::now();
        let (due, next) = match self.store.due_schedules(now).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "schedules cannot be read; trying again");
                return Some(CLOCK_INTERVAL);
            }
        };
        let mut again = next;
        // A keeper that does not answer delays those that it is asked about, all of them at once, and no others.
        let (limited, free): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|stored| is_asked(&stored.options.limits));
        for stored in free {
            again = again.into_iter().chain(self.run_one(&stored, Ok(()), now).await).min();
        }
        let checks = limited.iter().map(|stored| self.check_limits(&stored.options.limits));
        let checks = join_all(checks).await;
        for (stored, check) in limited.iter().zip(checks) {
            again = again.into_iter().chain(self.run_one(stored, check, now).await).min();
        }
        // A moment that has passed meanwhile is due at once.
        again.map(|again| (again - Utc::now()).to_std().unwrap_or_default())
    }

    /// Accepts the runs of a schedule that are due, or notes why that cannot be. `limits` is what became of the check
    /// of its limits. Returns the moment at which it is looked at again.
    async fn run_one(
        self: &Arc<Self>,
        stored: &StoredSchedule,
        limits: Result<(), ServiceError>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        match self.run_moments(stored, limits, now).await {
            Ok(next) => {
                self.store_failure(stored.id).await;
                next
            }
            Err(error) if error.code == ErrorCode::Stopping => None,
            Err(error) => {
                self.note_failure(stored, error).await;
                // It stays due.
                Some(now + CLOCK_INTERVAL)
            }
        }
    }

    /// Accepts the runs of a schedule that are due. Returns the moment that follows.
    ///
    /// # Errors
    /// Why they cannot be accepted. Nothing has changed then.
    async fn run_moments(
        self: &Arc<Self>,
        stored: &StoredSchedule,
        limits: Result<(), ServiceError>,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, ServiceError> {
        let Some(expected) = stored.next_at else { return Ok(None) };
        let Due { runs: moments, missed, next_at } = find_due(stored, expected, now).await?;
        let mut runs = Vec::new();
        if !moments.is_empty() {
            limits?;
            let (request, options) = self.store.whole_schedule(stored.id).await?;
            let mut first = Row::new(stored.owner, request, options);
            first.inherited_names.clone_from(&stored.inherited_names);
            first.pinned = stored.pinned;
            runs = moments.into_iter().map(|moment| run_of(&first, stored.id, moment)).collect();
        }
        let entered: Vec<_> =
            runs.iter().filter_map(|run| self.enter(run.request.id).ok()).collect();
        let schedule = stored.id;
        let due = DueRuns { schedule, expected, next_at, missed, runs, most_unended: MOST_UNENDED };
        let accepted = self.store.run_schedule(due).await;
        // Whatever was not accepted leaves memory before an error is returned.
        let known = accepted.as_deref().unwrap_or_default();
        for active in entered {
            match known.iter().find(|stored| stored.id == active.id) {
                Some(stored) => self.enqueue(&active, stored).await,
                None => self.withdraw(&active),
            }
        }
        accepted.map(|_| next_at).map_err(ServiceError::from)
    }

    /// Notes why runs of a schedule cannot be accepted, where it is shown, and once in the log.
    async fn note_failure(&self, stored: &StoredSchedule, error: ServiceError) {
        let error = error.to_string();
        let is_known =
            stored.error.as_ref() == Some(&error) && stored.error_at > stored.last_run_at;
        let is_noted = |noted: &ScheduleFailure| noted.error == error;
        if is_known || self.schedule_failures.lock().get(&stored.id).is_some_and(is_noted) {
            return;
        }
        tracing::warn!(id = %stored.id, error, "a schedule cannot be run; trying again");
        let failure = ScheduleFailure { at: Utc::now(), error };
        self.schedule_failures.lock().insert(stored.id, failure);
        self.store_failure(stored.id).await;
    }

    /// Stores why runs of a schedule could not be accepted, if that is not stored yet and can be.
    async fn store_failure(&self, id: Uuid) {
        let failure = self.schedule_failures.lock().get(&id).cloned();
        let Some(ScheduleFailure { at, error }) = failure else { return };
        if self.store.note_schedule_error(id, error, at).await.is_ok() {
            self.schedule_failures.lock().remove(&id);
        }
    }
}

/// Returns what is due of a schedule. After months without a service a hundred thousand moments are computed, which takes
/// long.
async fn find_due(
    stored: &StoredSchedule,
    expected: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Due, ServiceError> {
    let (every, time_zone) = (stored.every.clone(), stored.time_zone.clone());
    let (begin, policy) = (stored.created_at, stored.missed);
    blocking(move || {
        let table = Timetable::parse(&every, &time_zone, begin)?;
        Ok(due(&table, expected, now, policy))
    })
    .await
}

/// Returns the run of a schedule for a moment.
fn run_of(first: &Row, schedule: Uuid, moment: DateTime<Utc>) -> Row {
    let mut run = first.clone();
    run.request.id = Uuid::new_v4();
    run.schedule = Some(ScheduleRun { id: schedule, moment: Some(moment) });
    run
}
