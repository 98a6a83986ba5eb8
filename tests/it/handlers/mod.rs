//! Event handlers: every event once and in order, and no handler affects an execution or another
//! handler.

mod built_in;
mod calls;
mod delivery;
mod misbehaving;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, Weak};

use async_trait::async_trait;
use execution_engine::*;
use test_support::*;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const NEVER: Duration = Duration::from_secs(100_000);

/// A handler made of a plain function.
struct Calls<F>(F);

#[async_trait]
impl<F: Fn(ExecutionEvent) + Send + Sync + 'static> EventHandler for Calls<F> {
    async fn handle_event(&self, event: ExecutionEvent) {
        (self.0)(event);
    }
}

/// A gate that holds up threads until it is opened.
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

/// Opens its gate at the end of a test, however it ends, so that no thread is left behind it.
struct Keeper(Arc<Gate>);

impl Keeper {
    fn new() -> Self {
        Self(Arc::default())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }
}

/// Blocks its thread at the first event of one execution; remembers all others.
struct Blocks {
    at: Uuid,
    gate: Arc<Gate>,
    others: Recorder,
}

impl Blocks {
    fn new(at: Uuid, keeper: &Keeper) -> Arc<Self> {
        Arc::new(Self { at, gate: Arc::clone(&keeper.0), others: Recorder::default() })
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

/// Remembers every event, and then waits for ever at the first line.
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

/// An engine with one handler and a limit to its patience.
fn patient(handler: Arc<dyn EventHandler>, stall_limit: Duration) -> ExecutionEngine {
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
