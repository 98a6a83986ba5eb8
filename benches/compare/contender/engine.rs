//! This engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use async_trait::async_trait;
use execution_engine::*;

use crate::child::Cmd;

/// Returns an engine with default settings, except for the concurrency limit.
pub fn engine(in_flight: usize) -> ExecutionEngine {
    engine_with(|config| config.max_concurrent_executions = in_flight)
}

pub fn engine_with(change: impl FnOnce(&mut ExecutionConfig)) -> ExecutionEngine {
    let mut config = ExecutionConfig::default();
    change(&mut config);
    ExecutionEngine::new(config).expect("the settings are valid")
}

/// Returns an engine at a forced containment level.
pub fn engine_at(level: ContainmentLevel, in_flight: usize) -> ExecutionEngine {
    let config =
        ExecutionConfig { max_concurrent_executions: in_flight, ..ExecutionConfig::default() };
    ExecutionEngine::builder()
        .config(config)
        .containment(level)
        .build()
        .expect("there is that level")
}

pub fn request(cmd: &Cmd) -> ExecutionRequest {
    ExecutionRequest::exec(&cmd.program, &cmd.args)
}

/// Runs a command and returns its result.
pub async fn output(engine: &ExecutionEngine, cmd: &Cmd) -> ExecutionResult {
    let result = engine.run(request(cmd)).await.expect("it starts");
    assert!(result.success, "{result:?}");
    result
}

/// Runs a command and returns the number of lines that a subscription received. A slow one misses
/// some.
pub async fn subscribed(engine: ExecutionEngine, cmd: Cmd) -> u64 {
    let id = engine.execute(request(&cmd)).await.expect("it starts");
    let mut records = engine.subscribe(id).await.expect("it is known");
    let mut lines = 0;
    while let Some(record) = records.next().await {
        lines += u64::from(matches!(record.event, ExecutionEvent::Stdout { .. }));
    }
    lines
}

/// Returns the containment level that the defaults give on this host.
pub fn strongest() -> ContainmentLevel {
    let runtime = ::tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(output(&engine(1), &Cmd::nothing())).containment.level
}

/// A handler that counts the lines of one execution at a time and sends the count at its end.
#[derive(Debug)]
pub struct Counter {
    lines: AtomicU64,
    delivered: Sender<u64>,
}

impl Counter {
    pub fn new() -> (Arc<Self>, Receiver<u64>) {
        let (delivered, counts) = channel();
        (Arc::new(Self { lines: AtomicU64::new(0), delivered }), counts)
    }
}

#[async_trait]
impl EventHandler for Counter {
    async fn handle_event(&self, event: ExecutionEvent) {
        if let ExecutionEvent::Stdout { .. } = event {
            self.lines.fetch_add(1, Ordering::Relaxed);
        } else if event.is_terminal() {
            // The receiver is gone when the benchmark is over.
            let _told = self.delivered.send(self.lines.swap(0, Ordering::Relaxed));
        }
    }
}
