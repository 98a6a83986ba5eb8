//! The wait until an engine has nothing to do: executions, plans and handlers have come to their end.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use execution_engine::*;
use futures_lite::future::block_on;
use test_support::*;

/// Handler that takes its time, and counts the ends that it has heard of.
#[derive(Default)]
struct Slow {
    ends: AtomicUsize,
}

#[async_trait]
impl EventHandler for Slow {
    async fn handle_event(&self, event: ExecutionEvent) {
        if event.is_terminal() {
            pause(Duration::from_millis(20)).await;
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn handlers_have_heard_everything() {
    let slow = Arc::new(Slow::default());
    let config = ExecutionConfig { max_concurrent_executions: 2, ..Default::default() };
    let admission = Admission::Queue { max_waiting: 100 };
    let builder = ExecutionEngine::builder().config(config).admission(admission);
    let engine = builder.event_handler(slow.clone()).build().unwrap();
    soon("an engine that has done nothing", engine.wait_until_idle()).await;
    for round in 1..=3 {
        for _ in 0..5 {
            engine.execute(shell("echo hello")).await.unwrap();
        }
        soon("the end of all", engine.wait_until_idle()).await;
        assert_eq!(slow.ends.load(Ordering::SeqCst), 5 * round);
        assert_eq!((engine.running_count().await, engine.waiting_count().await), (0, 0));
    }
    let plan = ExecutionPlan::serial([shell("true"), shell("sleep 0.1")]);
    let id = engine.execute_plan(plan).await.unwrap();
    soon("the end of the plan", engine.wait_until_idle()).await;
    assert!(engine.get_plan_status(id).await.unwrap().is_terminal());
    // Two steps and the plan.
    assert_eq!(slow.ends.load(Ordering::SeqCst), 15 + 3);
}

#[test]
fn the_wait_needs_no_tokio_and_ends_with_a_shutdown() {
    let slow = Arc::new(Slow::default());
    let engine = engine().with_event_handler(slow.clone());
    block_on(async {
        engine.execute(shell("sleep 300")).await.unwrap();
        engine.shutdown(Duration::ZERO).await;
        engine.wait_until_idle().await;
    });
    assert_eq!(slow.ends.load(Ordering::SeqCst), 1);
}

/// Handler whose calls never return.
struct Hangs;

#[async_trait]
impl EventHandler for Hangs {
    async fn handle_event(&self, _: ExecutionEvent) {
        loop {
            std::thread::park();
        }
    }
}

#[tokio::test]
async fn a_handler_that_is_stuck_is_not_waited_for() {
    let limit = Duration::from_millis(100);
    let builder = ExecutionEngine::builder().handler_stall_limit(limit);
    let engine = builder.event_handler(Arc::new(Hangs)).build().unwrap();
    let id = engine.execute(shell("echo hello")).await.unwrap();
    soon("the end", engine.wait_until_idle()).await;
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Completed);
}
