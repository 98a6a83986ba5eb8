//! Typed calls. One whose answer was lost is repeated, but for signals (`call_once`).

use std::io;
use std::time::Duration;

use execution_engine::OutputStream;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::ClientError;
use super::events::EventReader;
use super::exchange::{Answer, Call, Connection};
use super::link::ClientOptions;
use super::output::OutputReader;
use super::path::{of_execution, of_list};
use crate::error::ErrorCode;
use crate::http::KEY_HEADER;
use crate::problem::Problem;
use crate::view::{
    ExecutionView, Gc, GcReport, NewExecution, Page, Query, ServiceStatus, StopMode, Submitted,
};

/// How long an ordinary call is repeated while the service dies under it again and again.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Client of the service. It talks to one of the same user alone, root included.
///
/// A call whose connection breaks off is repeated when the service is back, but for a signal; the service accepts the
/// same submit once, so nothing runs twice. If it does not come back within 10 seconds, it is started
/// again, if [`ClientOptions::start`] allows it.
///
/// Names of executions are ids, unique beginnings of ids, or `@last`.
///
/// ```no_run
/// use execution_engine::ExecutionRequest;
/// use execution_engine_server::client::{Client, ClientOptions};
/// use execution_engine_server::{NewExecution, PathOptions, StateDir};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let state = StateDir::from_env(&PathOptions::default())?;
/// let client = Client::connect(ClientOptions::new(state)).await?;
/// let request = ExecutionRequest::program("make").arg("test").working_dir("/srv/app");
/// let job = client.submit(&NewExecution::new(request), None).await?;
/// let ended = client.wait(&job.execution.id.to_string()).await?;
/// println!("{:?}", ended.exit_code);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    /// A connection that is free. Others are made as they are needed.
    idle: Mutex<Option<Connection>>,
}

impl Client {
    /// Connects to the service, and starts it first if it does not run and that is allowed.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`], [`ClientError::Start`], [`ClientError::Connect`],
    /// [`ClientError::NotYours`], [`ClientError::State`].
    pub async fn connect(options: ClientOptions) -> Result<Self, ClientError> {
        let idle = Mutex::new(Some(options.first_connection().await?));
        Ok(Self { options, idle })
    }

    /// Submits an execution, under a key or its own id. When this returns it is durable.
    ///
    /// # Errors
    /// As [`Service::submit`](crate::Service::submit), as [`ClientError::Refused`].
    pub async fn submit(
        &self,
        new: &NewExecution,
        key: Option<&str>,
    ) -> Result<Submitted, ClientError> {
        let mut call = match key {
            None => {
                let path = of_execution(&new.request.id.to_string(), "");
                Call::new(Method::PUT, path)
            }
            Some(key) => {
                Call::new(Method::POST, "/v1/executions".to_string()).header(KEY_HEADER, key)
            }
        };
        call.body = json(new)?;
        let answer = self.call(&call).await?;
        let execution = answer.json()?;
        Ok(Submitted { execution, created: answer.status == StatusCode::CREATED })
    }

    /// Returns an execution.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn get(&self, name: &str) -> Result<ExecutionView, ClientError> {
        check_name(name)?;
        self.get_json(of_execution(name, "")).await
    }

    /// Returns a page of executions, newest first.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for a cursor that no page has returned.
    pub async fn list(&self, query: &Query) -> Result<Page, ClientError> {
        self.get_json(of_list(query)).await
    }

    /// Returns the state of the service.
    ///
    /// # Errors
    /// Only those of the way to it.
    pub async fn status(&self) -> Result<ServiceStatus, ClientError> {
        self.get_json("/v1/service".to_string()).await
    }

    /// Lets the service remove what retention does not keep, with the limits of the configuration or others. The
    /// report says if the service died meanwhile, so that it does not count all.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the store cannot be written.
    pub async fn gc(&self, gc: &Gc) -> Result<GcReport, ClientError> {
        let mut call = Call::new(Method::POST, "/v1/service/gc".to_string());
        call.body = json(gc)?;
        let (answer, repeated) = self.call_until_answered(&call).await;
        let report: GcReport = answer?.json()?;
        Ok(GcReport { incomplete: repeated && !report.dry_run, ..report })
    }

    /// Returns when the service has answered, whatever the state of its store.
    ///
    /// # Errors
    /// Only those of the way to it.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.call(&Call::new(Method::GET, "/healthz".to_string())).await.map(drop)
    }

    /// Waits until an execution has ended, across restarts of the service, and returns it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn wait(&self, name: &str) -> Result<ExecutionView, ClientError> {
        // Resolved once: another one may be the newest, or have the same beginning, later.
        let id = self.get(name).await?.id;
        let call = Call::new(Method::GET, of_execution(&id.to_string(), "/wait"));
        loop {
            let (answer, _) = self.call_patiently(&call, None).await;
            let execution: ExecutionView = answer?.json()?;
            if execution.status.is_terminal() {
                return Ok(execution);
            }
        }
    }

    /// Stops an execution, and returns it as it is then. It may need its time to end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, or it has ended.
    pub async fn stop(&self, name: &str, mode: StopMode) -> Result<ExecutionView, ClientError> {
        let id = self.get(name).await?.id.to_string();
        let mut call = Call::new(Method::POST, of_execution(&id, "/cancel"));
        call.body = json(&serde_json::json!({"firm": mode == StopMode::Firm}))?;
        match self.call_until_answered(&call).await {
            (Ok(answer), _) => answer.json(),
            (Err(error), true) if error.code() == Some(ErrorCode::AlreadyEnded.as_str()) => {
                // The answer to the first attempt was lost, and this is what it has done.
                self.get(&id).await
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Removes an execution that has ended, with its output.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, or it has not ended.
    pub async fn remove(&self, name: &str) -> Result<(), ClientError> {
        let id = self.get(name).await?.id.to_string();
        let call = Call::new(Method::DELETE, of_execution(&id, ""));
        self.call_removing(&call, ErrorCode::UnknownExecution).await
    }

    /// Makes a call that removes something. `gone` is the refusal where there is nothing to remove.
    pub(super) async fn call_removing(
        &self,
        call: &Call,
        gone: ErrorCode,
    ) -> Result<(), ClientError> {
        match self.call_until_answered(call).await {
            // As for stop.
            (Err(error), true) if error.code() == Some(gone.as_str()) => Ok(()),
            (answer, _) => answer.map(drop),
        }
    }

    /// Returns the events of an execution behind a cursor (0 is the beginning), live until the last,
    /// across restarts of the service.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn events(&self, name: &str, after: u64) -> Result<EventReader<'_>, ClientError> {
        Ok(EventReader::new(self, self.get(name).await?.id, after))
    }

    /// Returns the output that there is now: of one stream, or of both in the order in which it was
    /// read; all of it, or the last lines.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn output(
        &self,
        name: &str,
        stream: Option<OutputStream>,
        lines: Option<u64>,
    ) -> Result<OutputReader<'_>, ClientError> {
        let id: Uuid = self.get(name).await?.id;
        OutputReader::open(self, id, stream, lines).await
    }

    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: String,
    ) -> Result<T, ClientError> {
        self.call(&Call::new(Method::GET, path)).await?.json()
    }

    /// Makes a call that may be repeated, and also returns whether it was.
    pub(super) async fn call_until_answered(
        &self,
        call: &Call,
    ) -> (Result<Answer, ClientError>, bool) {
        self.call_patiently(call, Some(PATIENCE)).await
    }

    /// Makes a call that may be repeated.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, ClientError> {
        self.call_until_answered(call).await.0
    }

    /// Makes a call that must not be repeated once it may have been carried out.
    pub(super) async fn call_once(&self, call: &Call) -> Result<Answer, ClientError> {
        let begin = Instant::now();
        loop {
            match self.attempt(call).await {
                // It was refused before anything was done.
                Ok(Err(error)) if is_ending(&error) && begin.elapsed() < PATIENCE => {}
                Ok(answer) => return answer,
                // Nothing was sent.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(ClientError::OutcomeUnknown(error.to_string())),
            }
            self.reconnect().await?;
        }
    }

    /// Makes a call again and again, until it is answered. Also returns whether it was repeated, so
    /// that an earlier attempt may have done it.
    pub(super) async fn call_patiently(
        &self,
        call: &Call,
        patience: Option<Duration>,
    ) -> (Result<Answer, ClientError>, bool) {
        let begin = Instant::now();
        let mut repeated = false;
        loop {
            let cause = match self.attempt(call).await {
                Ok(Err(error)) if is_ending(&error) => error.to_string(),
                Ok(answer) => return (answer, repeated),
                Err(error) => error.to_string(),
            };
            if patience.is_some_and(|patience| begin.elapsed() > patience) {
                return (Err(ClientError::Protocol(cause)), repeated);
            }
            repeated = true;
            if let Err(error) = self.reconnect().await {
                return (Err(error), repeated);
            }
        }
    }

    /// Makes a call once. The outer error is one of the connection.
    async fn attempt(&self, call: &Call) -> io::Result<Result<Answer, ClientError>> {
        let Some(mut connection) = self.free_connection().await else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let response = match connection.send(call).await? {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        };
        let answer = Answer::read(response).await?;
        *self.idle.lock().await = Some(connection);
        Ok(answer.refusal().map_or(Ok(answer), Err))
    }

    /// Makes a call and returns the head of its answer. The connection is the answer's alone. The
    /// outer error is one of the connection.
    pub(super) async fn open(
        &self,
        call: &Call,
    ) -> io::Result<Result<Response<Incoming>, ClientError>> {
        let Some(mut connection) = self.free_connection().await else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let response = match connection.send(call).await? {
            Ok(response) if response.status().is_success() => response,
            Ok(response) => {
                let answer = Answer::read(response).await?;
                let none = || ClientError::Protocol(format!("status {}", answer.status.as_u16()));
                return match answer.refusal().unwrap_or_else(none) {
                    error if is_ending(&error) => Err(io::Error::other(error)),
                    error => Ok(Err(error)),
                };
            }
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok(response))
    }

    /// Returns a connection to use; `None` if there is none at the moment.
    async fn free_connection(&self) -> Option<Connection> {
        let idle = self.idle.lock().await.take();
        match idle.filter(|connection| !connection.is_closed()) {
            Some(connection) => Some(connection),
            // Who listens there now is told when it is connected to again.
            None => self.options.connect().await.ok()?.ok(),
        }
    }

    /// Waits until the service is there again.
    pub(super) async fn reconnect(&self) -> Result<(), ClientError> {
        let connection = self.options.reconnection(Instant::now()).await?;
        *self.idle.lock().await = Some(connection);
        Ok(())
    }
}

/// Returns `true` for the refusal of a service that is about to end.
fn is_ending(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::Stopping.as_str())
}

/// Refuses an empty name: in a path it would be that of a list.
pub(super) fn check_name(name: &str) -> Result<(), ClientError> {
    if name.is_empty() {
        let problem = Problem::invalid("the id is empty").field("id");
        return Err(problem.fix("give an id, the beginning of one, or @last").into());
    }
    Ok(())
}

/// Returns the body of a call.
pub(super) fn json(value: &impl Serialize) -> Result<bytes::Bytes, ClientError> {
    serde_json::to_vec(value).map(Into::into).map_err(|error| {
        ClientError::Protocol(format!("the request cannot be written as JSON: {error}"))
    })
}
