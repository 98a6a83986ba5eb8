//! Every way an execution can end: result, status, error and events agree, once, also as JSON.

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

/// An engine and what its handler was told.
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

    /// Waits until the program has written its first line, so that it surely does something.
    async fn is_busy(&self, id: Uuid) {
        self.recorder.when(id, |events| !lines_of(events, OutputStream::Stdout).is_empty()).await;
    }

    /// Runs to the end and checks that everything tells this story.
    async fn tells(&self, request: ExecutionRequest, story: &Story) -> ExecutionResult {
        let id = self.start(request).await;
        self.agrees(id, story).await
    }

    /// Waits for the end and checks that everything tells this story.
    async fn agrees(&self, id: Uuid, story: &Story) -> ExecutionResult {
        let result = self.ended(id).await;
        assert_eq!(result.id, id);
        assert_eq!(result.status, story.status);
        assert_eq!(result.success, story.status == ExecutionStatus::Completed);
        assert_eq!(result.exit_code, story.exit_code);
        assert_eq!(result.signal, story.signal);
        assert_eq!(result.error.as_deref(), story.message);
        assert_eq!(result.clone().into_result().err(), story.error);
        assert_eq!(result.ending.error(), story.error);
        assert_eq!(result.usage.is_some(), story.started);
        assert!(result.completed_at >= result.started_at);
        assert!(result.containment.survivors.is_empty());

        assert_eq!(self.engine.get_status(id).await, Ok(story.status));
        assert_eq!(self.engine.get_result(id).await, Ok(Some(result.clone())));
        let all = self.engine.list_executions().await;
        let summary = all.iter().find(|summary| summary.id == id).unwrap();
        assert_eq!((summary.status, summary.duration), (result.status, result.duration));
        assert_eq!(summary.ending.as_ref(), Some(&result.ending));

        let events = self.recorder.all_of(id).await;
        check_order(&events, story.started, story.status);
        assert_eq!(events.last(), Some(&(story.event)(&result)));
        result
    }
}

/// What is to be told of one ending.
struct Story {
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

/// The story of a program that ran until it was cancelled.
fn cancelled_story() -> Story {
    Story {
        started: true,
        status: ExecutionStatus::Cancelled,
        exit_code: -1,
        signal: Some(SIGTERM),
        message: Some("cancelled"),
        error: Some(ExecutionError::Cancelled),
        event: cancelled,
    }
}

/// Started first, if at all; one terminal event, last; and each change of status goes on from the
/// one before, from pending to the ending.
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
