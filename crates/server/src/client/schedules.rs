//! Calls about schedules.

use hyper::{Method, StatusCode};
use uuid::Uuid;

use super::calls::{Client, json as body};
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_schedule;
use crate::error::ErrorCode;
use crate::http::KEY_HEADER;
use crate::problem::Problem;
use crate::view::{
    CreatedSchedule, NewSchedule, RunSchedule, ScheduleChange, ScheduleView, Schedules, Submitted,
};

impl Client {
    /// Makes a schedule, under a key or the id of its request. When this returns it is durable.
    ///
    /// # Errors
    /// As [`Service::create_schedule`](crate::Service::create_schedule), as [`ClientError::Refused`].
    pub async fn create_schedule(
        &self,
        new: &NewSchedule,
        key: Option<&str>,
    ) -> Result<CreatedSchedule, ClientError> {
        let mut call = Call::new(Method::POST, "/v1/schedules".to_string());
        if let Some(key) = key {
            call = call.header(KEY_HEADER, key);
        }
        call.body = body(new)?;
        let answer = self.call(&call).await?;
        let created = answer.status == StatusCode::CREATED;
        Ok(CreatedSchedule { schedule: answer.json()?, created })
    }

    /// Returns a schedule by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn schedule(&self, name: &str) -> Result<ScheduleView, ClientError> {
        if name.is_empty() {
            // In a path it would be that of the list.
            let problem = Problem::invalid("the name of the schedule is empty").field("id");
            return Err(problem.fix("give its name, its id, or the beginning of that").into());
        }
        self.get_json(of_schedule(name, "")).await
    }

    /// Returns all schedules, the oldest first.
    ///
    /// # Errors
    /// Only those of the way to it.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, ClientError> {
        let all: Schedules = self.get_json("/v1/schedules".to_string()).await?;
        Ok(all.schedules)
    }

    /// Pauses a schedule, or lets it go on, and returns it as it is then.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn pause_schedule(
        &self,
        name: &str,
        paused: bool,
    ) -> Result<ScheduleView, ClientError> {
        let id = self.schedule(name).await?.id.to_string();
        let mut call = Call::new(Method::PATCH, of_schedule(&id, ""));
        call.body = body(&ScheduleChange { paused })?;
        self.call(&call).await?.json()
    }

    /// Removes a schedule. Its runs stay, and go on.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn remove_schedule(&self, name: &str) -> Result<(), ClientError> {
        let id = self.schedule(name).await?.id.to_string();
        let call = Call::new(Method::DELETE, of_schedule(&id, ""));
        self.call_removing(&call, ErrorCode::UnknownSchedule).await
    }

    /// Runs a schedule now, once.
    ///
    /// # Errors
    /// As [`Service::run_schedule`](crate::Service::run_schedule), as [`ClientError::Refused`].
    pub async fn run_schedule(&self, name: &str) -> Result<Submitted, ClientError> {
        let id = self.schedule(name).await?.id.to_string();
        let mut call = Call::new(Method::POST, of_schedule(&id, "/run"));
        // With an id of its own it may be repeated.
        call.body = body(&RunSchedule { id: Some(Uuid::new_v4()) })?;
        let answer = self.call(&call).await?;
        let created = answer.status == StatusCode::CREATED;
        Ok(Submitted { execution: answer.json()?, created })
    }
}
