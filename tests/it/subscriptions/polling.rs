//! Subscriptions are streams that any task may poll, without a runtime.

use super::*;

#[test]
fn subscription_needs_no_runtime() {
    let engine = engine();
    let line = "for i in 1 2 3; do echo $i; sleep 0.02; done";
    let (id, lines) = futures_lite::future::block_on(async {
        let id = engine.execute(shell(line)).await.unwrap();
        let records = engine.subscribe(id).await.unwrap();
        let lines = records.filter_map(|record| Some(line_of(&record)?.1.to_string()));
        (id, lines.collect::<Vec<_>>().await)
    });
    assert_eq!(lines, ["1", "2", "3"]);
    let elsewhere = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { engine.subscribe(id).await.unwrap().count().await })
    });
    assert_eq!(elsewhere.join().unwrap(), 7);
}

#[tokio::test]
async fn subscription_may_move_to_another_task() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo one; {}; echo two", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    next_that(&mut records, |record| line_of(record).is_some()).await;
    let waiting = async { tokio::time::timeout(Duration::from_millis(1), records.next()).await };
    assert!(waiting.await.is_err(), "there is nothing new");
    let rest = tokio::spawn(all(records));
    fs::write(go, "").unwrap();
    let rest = soon("the rest", rest).await.unwrap();
    assert_eq!(lines(&rest, OutputStream::Stdout), ["two"]);
}

/// A foreign task with a subscription, which is dropped with its last waker.
struct Task(#[expect(dead_code, reason = "it goes with the task")] Mutex<Subscription>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn waker_may_own_a_subscription_of_the_same_execution() {
    let engine = engine();
    let id = engine.execute(shell("exec sleep 1000")).await.unwrap();
    for is_dropped in [true, false] {
        let mut watched = engine.subscribe_from(id, u64::MAX).await.unwrap();
        let task = Task(Mutex::new(engine.subscribe(id).await.unwrap()));
        let (sender, turn) = oneshot::channel();
        // On a thread of its own, because a deadlock would block it for ever.
        thread::spawn(move || {
            let mut look = |waker: &Waker| {
                let next = pin!(watched.next());
                assert!(next.poll(&mut Context::from_waker(waker)).is_pending());
            };
            look(&Waker::from(Arc::new(task)));
            if !is_dropped {
                look(Waker::noop());
            }
            drop(watched);
            sender.send(()).unwrap();
        });
        soon("its turn", turn).await.unwrap();
    }
    engine.cancel(id).await.unwrap();
    soon("the end", engine.wait_for_completion(id)).await.unwrap();
}

#[tokio::test]
async fn dropped_engine_ends_subscriptions() {
    let engine = engine();
    let id = engine.execute(shell("echo here; exec sleep 1000")).await.unwrap();
    let mut one = engine.subscribe(id).await.unwrap();
    let mut every = engine.subscribe_all().await;
    next_that(&mut one, |record| line_of(record).is_some()).await;
    drop(engine);
    for records in [&mut one, &mut every] {
        next_that(records, |record| matches!(record.event, ExecutionEvent::Cancelled { .. })).await;
        assert_eq!(soon("the end", records.next()).await, None);
    }
}

#[tokio::test]
async fn queued_execution_can_be_subscribed() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 2 })
        .build()
        .unwrap();
    let first = engine.execute(ExecutionRequest::exec("sleep", ["1000"])).await.unwrap();
    let second = engine.execute(shell("echo second")).await.unwrap();
    let third = engine.execute(shell("echo third")).await.unwrap();
    let [waits, never] =
        [engine.subscribe(second).await.unwrap(), engine.subscribe(third).await.unwrap()];
    engine.cancel(third).await.unwrap();
    let never = all(never).await;
    assert!(matches!(never.last().unwrap().event, ExecutionEvent::Cancelled { .. }));
    engine.cancel(first).await.unwrap();
    let records = all(waits).await;
    assert_in_order(&records);
    assert_eq!(lines(&records, OutputStream::Stdout), ["second"]);
}

/// A waker that panics.
struct PanicsInWake;

impl Wake for PanicsInWake {
    fn wake(self: Arc<Self>) {
        panic!("this waker panics, as it should in this test");
    }
}

/// A waker with a task that panics when it is dropped.
struct PanicsInDrop;

impl Wake for PanicsInDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("this task panics, as it should in this test");
    }
}

/// Polls a future once, which leaves this waker behind.
fn leave_waker<T>(waker: &Waker, future: std::pin::Pin<&mut impl Future<Output = T>>) {
    assert!(future.poll(&mut Context::from_waker(waker)).is_pending());
}

#[tokio::test]
async fn panicking_wakers_change_no_ending_and_delay_no_waiter() {
    wakers_change_nothing(|| Waker::from(Arc::new(PanicsInWake))).await;
    wakers_change_nothing(|| Waker::from(Arc::new(PanicsInDrop))).await;
}

async fn wakers_change_nothing(waker: fn() -> Waker) {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("{}; echo done; exit 7", wait_for(&go));
    let step = shell(line.clone());
    let id = step.id;
    let plan = engine.execute_plan(ExecutionPlan::serial([step])).await.unwrap();
    until("the step is started", || at_once(engine.get_status(id)).is_ok()).await;
    // Its records must not come while the wakers are left behind.
    running(&engine, id).await;
    let running = engine.start(shell(line)).await.unwrap();
    let mut all_executions = engine.subscribe_all().await;
    leave_waker(&waker(), pin!(all_executions.next()));
    let mut records = engine.subscribe_from(running.id(), u64::MAX).await.unwrap();
    leave_waker(&waker(), pin!(records.next()));
    let mut of_plan = pin!(engine.wait_for_plan(plan));
    leave_waker(&waker(), of_plan.as_mut());
    let mut of_execution = pin!(running.wait());
    leave_waker(&waker(), of_execution.as_mut());
    let others: Vec<_> = (0..3)
        .map(|_| {
            let (engine, running) = (engine.clone(), running.clone());
            tokio::spawn(async move {
                engine.wait_for_plan(plan).await.unwrap();
                running.wait().await.unwrap()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    fs::write(go, "").unwrap();
    for other in others {
        let result = soon("the end", other).await.unwrap();
        assert_eq!((result.ending, result.stdout.as_str()), (Ending::Exited { code: 7 }, "done\n"));
    }
    assert_eq!(soon("the plan", of_plan).await.unwrap().stats.failed, 1);
    let events = all(running.events().await.unwrap());
    assert!(soon("the events", events).await.last().unwrap().event.is_terminal());
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
}
