//! Every way an execution can end: result, status, error, events and JSON agree.

mod debug;
mod engine_closed;
mod exits;
mod json;
mod not_started;
mod stopped;

use std::fs;
use std::future::Future as _;
use std::path::Path;
use std::task::{Context, Waker};

use execution_engine::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::*;

const SIGTERM: i32 = 15;
const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;

/// An engine and the events that its handler got.
struct Observed {
    engine: ExecutionEngine,
    recorder: Arc<Recorder>,
}

impl Observed {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut ExecutionConfig)) -> Self {
        let recorder = Recorder::new();
        let handler = Arc::clone(&recorder) as Arc<dyn EventHandler>;
        Self { engine: engine_with(change).with_event_handler(handler), recorder }
    }

    async fn start(&self, request: ExecutionRequest) -> Uuid {
        self.engine.execute(request).await.unwrap()
    }

    async fn ended(&self, id: Uuid) -> ExecutionResult {
        soon("the ending", self.engine.wait_for_completion(id)).await.unwrap()
    }

    /// Waits until the program has written its first line.
    async fn is_busy(&self, id: Uuid) {
        self.recorder.when(id, |events| !lines_of(events, OutputStream::Stdout).is_empty()).await;
    }

    /// Runs a request to its end and checks the ending.
    async fn runs_as(&self, request: ExecutionRequest, expected: &Expected) -> ExecutionResult {
        let id = self.start(request).await;
        self.ends_as(id, expected).await
    }

    /// Waits for the end and checks result, status, list and events against the expected ending.
    async fn ends_as(&self, id: Uuid, expected: &Expected) -> ExecutionResult {
        let result = self.ended(id).await;
        assert_eq!(result.id, id);
        assert_eq!(result.status, expected.status);
        assert_eq!(result.success, expected.status == ExecutionStatus::Completed);
        assert_eq!(result.exit_code, expected.exit_code);
        assert_eq!(result.signal, expected.signal);
        assert_eq!(result.error.as_deref(), expected.message);
        assert_eq!(result.clone().into_result().err(), expected.error);
        assert_eq!(result.ending.error(), expected.error);
        assert_eq!(result.usage.is_some(), expected.started);
        assert!(result.completed_at >= result.started_at);
        assert!(result.containment.survivors.is_empty());

        assert_eq!(self.engine.get_status(id).await, Ok(expected.status));
        assert_eq!(self.engine.get_result(id).await, Ok(Some(result.clone())));
        let all = self.engine.list_executions().await;
        let summary = all.iter().find(|summary| summary.id == id).unwrap();
        assert_eq!((summary.status, summary.duration), (result.status, result.duration));
        assert_eq!(summary.ending.as_ref(), Some(&result.ending));

        let events = self.recorder.all_of(id).await;
        check_order(&events, expected.started, expected.status);
        assert_eq!(events.last(), Some(&(expected.event)(&result)));
        result
    }
}

/// Expected report of one ending.
struct Expected {
    started: bool,
    status: ExecutionStatus,
    exit_code: i32,
    signal: Option<i32>,
    message: Option<&'static str>,
    error: Option<ExecutionError>,
    event: fn(&ExecutionResult) -> ExecutionEvent,
}

fn completed(result: &ExecutionResult) -> ExecutionEvent {
    ExecutionEvent::Completed {
        execution_id: result.id,
        success: result.success,
        exit_code: result.exit_code,
        duration: result.duration,
    }
}

fn failed(result: &ExecutionResult) -> ExecutionEvent {
    let error = result.error.clone().unwrap();
    ExecutionEvent::Failed { execution_id: result.id, error, duration: result.duration }
}

fn cancelled(result: &ExecutionResult) -> ExecutionEvent {
    ExecutionEvent::Cancelled { execution_id: result.id, duration: result.duration }
}

/// Returns the expectation for a program that ran until it was cancelled.
fn cancelled_expected() -> Expected {
    Expected {
        started: true,
        status: ExecutionStatus::Cancelled,
        exit_code: -1,
        signal: Some(SIGTERM),
        message: Some("cancelled"),
        error: Some(ExecutionError::Cancelled),
        event: cancelled,
    }
}

/// Checks the order of events: Started comes first, if at all; the one terminal event comes last; the
/// changes of status form a chain from pending to the ending.
fn check_order(events: &[ExecutionEvent], started: bool, end: ExecutionStatus) {
    let is_start = |event: &&ExecutionEvent| matches!(event, ExecutionEvent::Started { .. });
    assert_eq!(events.iter().filter(is_start).count(), usize::from(started), "{events:?}");
    assert_eq!(is_start(&&events[0]), started, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1, "{events:?}");
    assert!(events.last().is_some_and(ExecutionEvent::is_terminal), "{events:?}");

    let mut statuses = vec![ExecutionStatus::Pending];
    for event in events {
        if let ExecutionEvent::StatusChanged { from, to, .. } = event {
            assert_eq!(statuses.last(), Some(from), "{events:?}");
            statuses.push(*to);
        }
    }
    let expected = if started {
        vec![ExecutionStatus::Pending, ExecutionStatus::Running, end]
    } else {
        vec![ExecutionStatus::Pending, end]
    };
    assert_eq!(statuses, expected, "{events:?}");
}
