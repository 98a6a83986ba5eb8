//! An execution that is stopped in the queue leaves it before the call returns.

use super::*;

#[tokio::test]
async fn cancelled_execution_leaves_the_queue_at_once() {
    let engine = queueing(1, 2).build().unwrap();
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    for round in 0..50 {
        let (first, second) = (shell("true"), shell("true"));
        let first = at_once(engine.execute(first)).unwrap();
        let second = at_once(engine.execute(second)).unwrap();
        at_once(engine.cancel(first)).unwrap();
        assert_eq!(at_once(engine.queue_position(first)), Ok(None), "round {round}");
        assert_eq!(at_once(engine.queue_position(second)), Ok(Some(1)), "round {round}");
        assert_eq!(at_once(engine.waiting_count()), 1, "round {round}");
        let next = at_once(engine.execute(shell("true"))).expect("there is a place again");
        let again = at_once(engine.cancel(first));
        assert!(matches!(again, Err(ExecutionError::AlreadyEnded { .. })), "{again:?}");
        for id in [second, next] {
            at_once(engine.cancel(id)).unwrap();
        }
    }
    assert_eq!(at_once(engine.waiting_count()), 0);
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn shutdown_empties_the_queue_at_once() {
    let engine = queueing(1, 50).build().unwrap();
    for _ in 0..50 {
        engine.execute(shell("sleep 60")).await.unwrap();
    }
    let mut shutdown = Box::pin(engine.shutdown(Duration::ZERO));
    let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = shutdown.as_mut().poll(&mut nobody);
    assert_eq!(at_once(engine.waiting_count()), 0);
    // The one that ran may have ended meanwhile.
    if polled.is_pending() {
        soon("the shutdown", shutdown).await;
    }
}

#[tokio::test]
async fn control_of_an_execution_cancelled_in_the_queue_reports_its_ending() {
    let engine = queueing(1, 50).build().unwrap();
    engine.execute(shell("sleep 60")).await.unwrap();
    for _ in 0..20 {
        let waiting = engine.execute(shell("true")).await.unwrap();
        engine.cancel(waiting).await.unwrap();
        let refused = soon("an answer", engine.pause(waiting)).await;
        let status = ExecutionStatus::Cancelled;
        assert_eq!(refused, Err(ExecutionError::AlreadyEnded { id: waiting, status }));
    }
}
