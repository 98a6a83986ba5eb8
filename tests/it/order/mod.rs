//! Order of an ending, rule by rule as in ARCHITECTURE.md.

mod moment;
mod never_started;
mod plans;
mod queue;
mod starts;

use std::time::Instant;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

fn limited_to(limit: usize) -> EngineBuilder {
    let config = ExecutionConfig { max_concurrent_executions: limit, ..Default::default() };
    ExecutionEngine::builder().config(config).stop_grace(Duration::from_millis(100))
}

fn queueing(limit: usize, max_waiting: usize) -> EngineBuilder {
    limited_to(limit).admission(Admission::Queue { max_waiting })
}

/// Looks without pause until there is something to see: a sleep would miss the moment.
fn look_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long");
        std::thread::yield_now();
    }
}

/// Lets a time pass that is too short to sleep.
fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::thread::yield_now();
    }
}

fn starts(events: &[ExecutionEvent]) -> usize {
    events.iter().filter(|event| matches!(event, ExecutionEvent::Started { .. })).count()
}
