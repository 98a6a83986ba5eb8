//! Calls that control an execution which runs or waits.

use execution_engine::Signal;
use hyper::Method;
use serde_json::json;

use super::calls::{Client, json as body};
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_execution;
use crate::view::Signalled;

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
}
