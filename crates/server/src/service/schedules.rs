//! Schedules: making, showing, pausing and removing them, and running them by hand.

use std::sync::Arc;

use chrono::Utc;
use execution_engine_store::{
    AcceptedSchedule, NewExecution as Row, NewSchedule as ScheduleRow, ScheduleRun, StoredSchedule,
};
use serde_json::json;
use uuid::Uuid;

use super::Service;
use super::check;
use super::errors::unknown_schedule;
use super::inner::Inner;
use super::same::{self, Reused};
use super::submit::inherit;
use super::views::schedule_view;
use crate::error::{ErrorCode, ServiceError};
use crate::schedule::Timetable;
use crate::view::{CreatedSchedule, NewSchedule, RunSchedule, ScheduleView, Schedules, Submitted};

/// Most schedules.
const MOST: u64 = 1_000;

impl Service {
    /// Makes a schedule. When this returns it is durable. The same key, or the same id, with the same body again returns
    /// the same schedule.
    ///
    /// # Errors
    /// Those of [`submit`](Self::submit); [`InvalidRequest`](crate::ErrorCode::InvalidRequest) also for an expression
    /// that is none or never comes; [`NameTaken`](crate::ErrorCode::NameTaken),
    /// [`TooManySchedules`](crate::ErrorCode::TooManySchedules).
    pub async fn create_schedule(
        &self,
        new: NewSchedule,
        key: Option<&str>,
        owner: u32,
    ) -> Result<CreatedSchedule, ServiceError> {
        let (inner, key) = (Arc::clone(self.inner()), key.map(str::to_string));
        self.to_its_end(async move { inner.create_schedule(new, key, owner).await }).await
    }

    /// Finds a schedule by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// [`UnknownSchedule`](crate::ErrorCode::UnknownSchedule), [`AmbiguousId`](crate::ErrorCode::AmbiguousId).
    pub async fn resolve_schedule(&self, name: &str) -> Result<Uuid, ServiceError> {
        match self.inner().store.find_schedules(name).await?[..] {
            [] => Err(unknown_schedule(name)),
            [id] => Ok(id),
            [one, other, ..] => {
                let text = format!(
                    "{name} begins the id of more than one schedule, such as {one} and {other}"
                );
                let ambiguous = ServiceError::new(ErrorCode::AmbiguousId, text);
                Err(ambiguous.field("id").fix("write more of the id"))
            }
        }
    }

    /// Returns a schedule.
    ///
    /// # Errors
    /// [`UnknownSchedule`](crate::ErrorCode::UnknownSchedule).
    pub async fn schedule(&self, id: Uuid) -> Result<ScheduleView, ServiceError> {
        let stored = self.inner().stored_schedule(id).await?;
        Ok(self.inner().shown(stored))
    }

    /// Returns all schedules, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn schedules(&self) -> Result<Schedules, ServiceError> {
        let inner = self.inner();
        let all = inner.store.schedules().await?;
        Ok(Schedules { schedules: all.into_iter().map(|stored| inner.shown(stored)).collect() })
    }

    /// Pauses a schedule, or lets it go on with its next moment: those in between do not count as missed. What it has
    /// started goes on.
    ///
    /// # Errors
    /// [`UnknownSchedule`](crate::ErrorCode::UnknownSchedule), [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn pause_schedule(
        &self,
        id: Uuid,
        paused: bool,
    ) -> Result<ScheduleView, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.pause_schedule(id, paused).await }).await
    }

    /// Removes a schedule, with the values of its variables. Its runs stay, and go on.
    ///
    /// # Errors
    /// [`UnknownSchedule`](crate::ErrorCode::UnknownSchedule), [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn remove_schedule(&self, id: Uuid) -> Result<(), ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move {
            inner.store.remove_schedule(id).await?;
            inner.schedule_failures.lock().remove(&id);
            Ok(())
        })
        .await
    }

    /// Runs a schedule now, once, whatever its moments are, whether or not it is paused, and beside runs that have not
    /// ended.
    ///
    /// # Errors
    /// [`UnknownSchedule`](crate::ErrorCode::UnknownSchedule), and those of [`submit`](Self::submit).
    pub async fn run_schedule(
        &self,
        id: Uuid,
        run: RunSchedule,
        owner: u32,
    ) -> Result<Submitted, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.run_by_hand(id, run, owner).await }).await
    }
}

impl Inner {
    async fn create_schedule(
        self: &Arc<Self>,
        new: NewSchedule,
        key: Option<String>,
        owner: u32,
    ) -> Result<CreatedSchedule, ServiceError> {
        check::new_schedule(&new)?;
        check::key(key.as_deref())?;
        self.check_limits(&new.execution.options.limits).await?;
        let row = row_of(new, key, owner)?;
        let name = row.name.clone();
        match self.store.create_schedule(row).await? {
            AcceptedSchedule::Created(stored) => {
                self.schedules.notify_one();
                Ok(CreatedSchedule { schedule: schedule_view(*stored), created: true })
            }
            AcceptedSchedule::Existing(id) => {
                let stored = self.stored_schedule(id).await?;
                Ok(CreatedSchedule { schedule: self.shown(stored), created: false })
            }
            AcceptedSchedule::KeyReused(id) => Err(reused(Reused::Key, id)),
            AcceptedSchedule::IdReused(id) => Err(reused(Reused::Id("execution.request.id"), id)),
            AcceptedSchedule::NameTaken(id) => {
                let text = format!("schedule {id} has the name {}", name.unwrap_or_default());
                let taken = ServiceError::new(ErrorCode::NameTaken, text).field("name");
                Err(taken.fix("choose another name, or remove that one (exeng schedule rm)"))
            }
            AcceptedSchedule::TooMany => {
                let text = format!("there are {MOST} schedules, and no more are allowed");
                let many = ServiceError::new(ErrorCode::TooManySchedules, text);
                Err(many.fix("remove those that are not needed (exeng schedule rm)"))
            }
        }
    }

    async fn pause_schedule(&self, id: Uuid, paused: bool) -> Result<ScheduleView, ServiceError> {
        let stored = self.stored_schedule(id).await?;
        let next_at = if paused {
            None
        } else {
            let table = Timetable::parse(&stored.every, &stored.time_zone, stored.created_at)?;
            table.next_after(Utc::now())
        };
        self.store.pause_schedule(id, paused, next_at).await?;
        self.schedules.notify_one();
        Ok(self.shown(self.stored_schedule(id).await?))
    }

    async fn run_by_hand(
        self: &Arc<Self>,
        id: Uuid,
        run: RunSchedule,
        owner: u32,
    ) -> Result<Submitted, ServiceError> {
        let stored = self.stored_schedule(id).await?;
        self.check_limits(&stored.options.limits).await?;
        let (mut request, options) = self.store.whole_schedule(id).await?;
        request.id = run.id.unwrap_or_else(Uuid::new_v4);
        let mut row = Row::new(owner, request, options);
        // The same id again is the same run.
        row.body = format!("run of schedule {id}").into_bytes();
        row.inherited_names = stored.inherited_names;
        row.pinned = stored.pinned;
        row.schedule = Some(ScheduleRun { id, moment: None });
        self.submit_row(row).await
    }

    async fn stored_schedule(&self, id: Uuid) -> Result<StoredSchedule, ServiceError> {
        self.store.schedule(id).await?.ok_or_else(|| unknown_schedule(&id.to_string()))
    }

    /// Returns a schedule as it is shown, with what could not be stored of it.
    fn shown(&self, stored: StoredSchedule) -> ScheduleView {
        let mut view = schedule_view(stored);
        if let Some(failure) = self.schedule_failures.lock().get(&view.id) {
            view.last_error = Some(failure.clone());
        }
        view
    }
}

/// Returns a schedule that was checked, as it is stored.
///
/// # Errors
/// Its expression is none, or it is too large.
fn row_of(new: NewSchedule, key: Option<String>, owner: u32) -> Result<ScheduleRow, ServiceError> {
    // Microseconds are what is stored.
    let created_at = micros(Utc::now());
    let table = Timetable::parse(&new.every, &new.time_zone, created_at)?;
    let never = || ServiceError::invalid("every", "it never comes");
    let next_at = table.next_after(created_at).ok_or_else(never)?;
    let (body, overlap) = (body(&new)?, new.overlap());
    let mut execution = new.execution;
    let inherited_names = inherit(&mut execution);
    Ok(ScheduleRow {
        owner,
        key,
        body,
        name: new.name,
        every: new.every,
        time_zone: new.time_zone,
        missed: new.missed,
        overlap,
        next_at,
        request: execution.request,
        options: execution.options,
        inherited_names,
        pinned: execution.pinned,
        created_at,
        most: MOST,
    })
}

/// Returns what of a schedule must be the same when its key or its id comes again.
fn body(new: &NewSchedule) -> Result<Vec<u8>, ServiceError> {
    let mut body = same::body(&new.execution)?;
    let rest = json!([new.every, new.time_zone, new.missed, new.overlap(), new.name]);
    body.extend_from_slice(rest.to_string().as_bytes());
    Ok(body)
}

fn reused(reused: Reused, id: Uuid) -> ServiceError {
    same::reused(reused, &format!("schedule {id}"), "")
}

/// Returns a time without what is smaller than a microsecond.
fn micros(time: chrono::DateTime<Utc>) -> chrono::DateTime<Utc> {
    chrono::DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}
