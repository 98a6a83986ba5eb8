//! Event handlers: every event once and in order, and no handler affects an execution or another
//! handler.

mod built_in;
mod calls;
mod delivery;
mod misbehaving;
mod records;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, Weak};

use async_trait::async_trait;
use execution_engine::*;
use test_support::*;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const NEVER: Duration = Duration::from_secs(100_000);

/// Handler made of a plain function.
struct Calls<F>(F);

#[async_trait]
impl<F: Fn(ExecutionEvent) + Send + Sync + 'static> EventHandler for Calls<F> {
    async fn handle_event(&self, event: ExecutionEvent) {
        (self.0)(event);
    }
}

/// Gate that blocks threads until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }
}

/// Guard that opens its gate at the end of a test, so that no thread is left.
struct GateGuard(Arc<Gate>);

impl GateGuard {
    fn new() -> Self {
        Self(Arc::default())
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }
}

/// Handler that blocks its thread at the events of one execution and remembers all others.
struct Blocks {
    at: Uuid,
    gate: Arc<Gate>,
    others: Recorder,
}

impl Blocks {
    fn new(at: Uuid, guard: &GateGuard) -> Arc<Self> {
        Arc::new(Self { at, gate: Arc::clone(&guard.0), others: Recorder::default() })
    }
}

#[async_trait]
impl EventHandler for Blocks {
    async fn handle_event(&self, event: ExecutionEvent) {
        if event.execution_id() == self.at {
            self.gate.pass();
        } else {
            self.others.handle_event(event).await;
        }
    }
}

/// Handler that remembers every event and never returns from a line.
#[derive(Default)]
struct HangsAtLines(Recorder);

#[async_trait]
impl EventHandler for HangsAtLines {
    async fn handle_event(&self, event: ExecutionEvent) {
        let hangs = is_line(&event);
        self.0.handle_event(event).await;
        if hangs {
            std::future::pending::<()>().await;
        }
    }
}

fn is_line(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}

/// Creates an engine with one handler and a stall limit.
fn with_stall_limit(handler: Arc<dyn EventHandler>, stall_limit: Duration) -> ExecutionEngine {
    let builder = ExecutionEngine::builder().handler_stall_limit(stall_limit);
    builder.event_handler(handler).build().unwrap()
}

fn numbered(prefix: &str, last: u32) -> Vec<String> {
    (1..=last).map(|number| format!("{prefix}{number}")).collect()
}

/// Checks that the events of a successful execution frame its lines as documented.
fn assert_framed(events: &[ExecutionEvent]) {
    use ExecutionStatus::{Completed, Pending, Running};
    let [ExecutionEvent::Started { .. }, begins, .., ends, ExecutionEvent::Completed { .. }] =
        events
    else {
        panic!("{:?} .. {:?}", events.first(), events.last());
    };
    assert!(
        matches!(begins, ExecutionEvent::StatusChanged { from: Pending, to: Running, .. }),
        "{begins:?}"
    );
    assert!(
        matches!(ends, ExecutionEvent::StatusChanged { from: Running, to: Completed, .. }),
        "{ends:?}"
    );
    assert!(events[2..events.len() - 2].iter().all(is_line));
}
