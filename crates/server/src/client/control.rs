//! Calls that control an execution, or run it again.

use execution_engine::Signal;
use hyper::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::calls::{Client, json as body};
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_execution;
use crate::view::{ExecutionView, Rerun, Signalled, Submitted};

impl Client {
    /// Sends a signal to all processes of an execution that runs, once.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, or it does not run; [`ClientError::OutcomeUnknown`] if the
    /// service died before it could answer.
    pub async fn signal(&self, name: &str, signal: Signal) -> Result<Signalled, ClientError> {
        let id = self.get(name).await?.id.to_string();
        let mut call = Call::new(Method::POST, of_execution(&id, "/signal"));
        call.body = body(&json!({"signal": signal}))?;
        self.call_once(&call).await?.json()
    }

    /// Pauses an execution, and returns it as it is then. One in the queue is held there.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, or it has ended.
    pub async fn pause(&self, name: &str) -> Result<ExecutionView, ClientError> {
        self.post(name, "/pause").await
    }

    /// Lets an execution go on that is paused, and returns it as it is then.
    ///
    /// # Errors
    /// Those of [`pause`](Self::pause).
    pub async fn resume(&self, name: &str) -> Result<ExecutionView, ClientError> {
        self.post(name, "/resume").await
    }

    /// Sets whether an execution is pinned, and returns it as it is then: retention keeps what is pinned.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn pin(&self, name: &str, pinned: bool) -> Result<ExecutionView, ClientError> {
        let id = self.get(name).await?.id.to_string();
        let mut call = Call::new(Method::PATCH, of_execution(&id, ""));
        call.body = body(&json!({"pinned": pinned}))?;
        self.call(&call).await?.json()
    }

    /// Submits the request of an execution again, under the id in `rerun` or a new one.
    ///
    /// # Errors
    /// As [`Service::rerun`](crate::Service::rerun), as [`ClientError::Refused`].
    pub async fn rerun(&self, name: &str, rerun: &Rerun) -> Result<Submitted, ClientError> {
        let of = self.get(name).await?.id.to_string();
        let mut call = Call::new(Method::POST, of_execution(&of, "/rerun"));
        // With an id of its own it may be repeated.
        let id = Some(rerun.id.unwrap_or_else(Uuid::new_v4));
        call.body = body(&Rerun { id, ..rerun.clone() })?;
        let answer = self.call(&call).await?;
        let created = answer.status == StatusCode::CREATED;
        Ok(Submitted { execution: answer.json()?, created })
    }

    /// Makes a call about an execution that says nothing else, and may be repeated.
    async fn post(&self, name: &str, part: &str) -> Result<ExecutionView, ClientError> {
        let id = self.get(name).await?.id.to_string();
        self.call(&Call::new(Method::POST, of_execution(&id, part))).await?.json()
    }
}
