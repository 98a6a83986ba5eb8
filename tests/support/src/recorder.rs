//! An event handler that remembers what it is given.

use std::sync::Mutex;

use async_trait::async_trait;
use execution_engine::*;
use tokio::sync::Notify;

use crate::soon;

/// Handler that remembers every event.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<ExecutionEvent>>,
    more: Notify,
}

impl Recorder {
    /// Creates a handler without events.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns the events of one execution so far.
    pub fn of(&self, id: Uuid) -> Vec<ExecutionEvent> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event.execution_id() == id).cloned().collect()
    }

    /// Waits for the terminal event of one execution and returns all of its events.
    pub async fn all_of(&self, id: Uuid) -> Vec<ExecutionEvent> {
        self.when(id, |events| events.iter().any(ExecutionEvent::is_terminal)).await
    }

    /// Waits until the events of one execution satisfy a condition, and returns them.
    pub async fn when(
        &self,
        id: Uuid,
        condition: impl Fn(&[ExecutionEvent]) -> bool,
    ) -> Vec<ExecutionEvent> {
        soon("the events", async {
            loop {
                let changed = self.more.notified();
                let events = self.of(id);
                if condition(&events) {
                    return events;
                }
                changed.await;
            }
        })
        .await
    }
}

#[async_trait]
impl EventHandler for Recorder {
    async fn handle_event(&self, event: ExecutionEvent) {
        self.events.lock().unwrap().push(event);
        self.more.notify_waiters();
    }
}

/// Returns the lines of one stream among events.
pub fn lines_of(events: &[ExecutionEvent], of: OutputStream) -> Vec<String> {
    let line = |event: &ExecutionEvent| match (event, of) {
        (ExecutionEvent::Stdout { line, .. }, OutputStream::Stdout)
        | (ExecutionEvent::Stderr { line, .. }, OutputStream::Stderr) => Some(line.clone()),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}
