//! Handlers that panic, block or stall affect neither executions nor other handlers.

use super::*;

#[tokio::test]
async fn panicking_handler_affects_no_other() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let panics = Calls(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        // Like a panic, but without a message for each of them.
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::new(panics)).with_event_handler(recorder.clone());
    let result = run(&engine, shell("seq 1 1000; exit 3")).await;
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    let events = recorder.all_of(result.id).await;
    assert_eq!(lines_of(&events, OutputStream::Stdout), numbered("", 1000));
    until("each event was tried", || calls.load(Ordering::SeqCst) >= events.len()).await;
    assert_eq!(calls.load(Ordering::SeqCst), events.len());
    assert_eq!(result.lines_missed, 0);
}

/// Panic payload that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(Self));
    }
}

#[tokio::test]
async fn panic_payload_that_panics_on_drop_is_contained() {
    let recorder = Recorder::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let panics = Calls(move |event: ExecutionEvent| {
        count.fetch_add(1, Ordering::Relaxed);
        if matches!(event, ExecutionEvent::Stdout { .. }) {
            std::panic::resume_unwind(Box::new(Bomb));
        }
    });
    let engine = engine().with_event_handler(Arc::new(panics)).with_event_handler(recorder.clone());
    let result = soon("the execution", engine.run(shell("seq 1 20"))).await.unwrap();
    assert_eq!((result.success, result.lines_missed), (true, 0));
    let expected = recorder.all_of(result.id).await.len();
    until("the handler got every event", || seen.load(Ordering::Relaxed) == expected).await;
}

#[tokio::test]
async fn panicking_handler_misses_only_that_event() {
    #[derive(Default)]
    struct PanicsAtThree(Recorder);

    #[async_trait]
    impl EventHandler for PanicsAtThree {
        async fn handle_event(&self, event: ExecutionEvent) {
            tokio::task::yield_now().await;
            if matches!(&event, ExecutionEvent::Stdout { line, .. } if line == "3") {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            self.0.handle_event(event).await;
        }
    }

    let handler = Arc::new(PanicsAtThree::default());
    let engine = engine().with_event_handler(handler.clone());
    let id = run(&engine, shell("seq 1 5")).await.id;
    let lines = lines_of(&handler.0.all_of(id).await, OutputStream::Stdout);
    assert_eq!(lines, ["1", "2", "4", "5"]);
}

#[tokio::test]
async fn blocked_handler_delays_no_execution() {
    let guard = GateGuard::new();
    let blocked = shell("seq 1 1000; exit 3");
    let blocks = Blocks::new(blocked.id, &guard);
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(blocks.clone()).with_event_handler(recorder.clone());

    let result = run(&engine, blocked).await;
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    let events = recorder.all_of(result.id).await;
    assert_eq!(lines_of(&events, OutputStream::Stdout), numbered("", 1000));

    let other = run(&engine, shell("seq 1 1000")).await.id;
    let events = blocks.others.all_of(other).await;
    assert_framed(&events);
    assert_eq!(lines_of(&events, OutputStream::Stdout), numbered("", 1000));
}

#[tokio::test]
async fn blocked_handler_misses_lines_after_the_stall_limit() {
    let guard = GateGuard::new();
    let request = shell("yes 'a line of some length' | head -c 20000000");
    let blocks = Blocks::new(request.id, &guard);
    let result = run(&with_stall_limit(blocks, Duration::from_millis(100)), request).await;
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.stdout_stats.seen_bytes, 20_000_000);
    assert!(result.lines_missed > 0);
}

#[tokio::test]
async fn stuck_handler_makes_no_timeout_of_an_exit() {
    let guard = GateGuard::new();
    // Its output does not fit into a handler's queue. Held back, it takes as long as its timeout.
    let request = shell("seq 1 200000").timeout(Duration::from_secs(2));
    let engine = engine().with_event_handler(Blocks::new(request.id, &guard));
    let result = run(&engine, request).await;
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert!(result.lines_missed > 0 && result.duration >= Duration::from_secs(1), "{result:?}");
}

#[tokio::test]
async fn stuck_handler_makes_no_deadline_of_a_plan() {
    let guard = GateGuard::new();
    let step = shell("seq 1 200000");
    let engine = engine().with_event_handler(Blocks::new(step.id, &guard));
    let options = PlanOptions::default().deadline(Duration::from_secs(2));
    let plan = ExecutionPlan::serial([step]);
    let plan = engine.run_plan(PlanSpec::new(plan, options));
    let result = soon("the plan", plan).await.unwrap();
    assert_eq!(result.ending, PlanEnding::Completed);
    assert!(result.total_duration >= Duration::from_secs(1), "it was held back");
}

#[tokio::test]
async fn slow_handler_puts_a_timeout_off_up_to_the_stall_limit() {
    struct Slow;

    #[async_trait]
    impl EventHandler for Slow {
        async fn handle_event(&self, event: ExecutionEvent) {
            if is_line(&event) {
                pause(Duration::from_millis(5)).await;
            }
        }
    }

    let engine = with_stall_limit(Arc::new(Slow), Duration::from_secs(1));
    let result = run(&engine, shell("yes").timeout(Duration::from_millis(300))).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 300 });
}

#[tokio::test]
async fn blocked_handler_stops_the_reading_but_no_cancel() {
    let guard = GateGuard::new();
    let request = shell("yes");
    let blocks = Blocks::new(request.id, &guard);
    let engine = with_stall_limit(blocks, NEVER);
    let id = engine.execute(request).await.unwrap();
    let mut chunks = engine.subscribe_chunks(id).await.unwrap();
    let mut seen = 0;
    while seen < 256 * 1024 {
        let chunk = soon("more output", chunks.next()).await.unwrap();
        if let ChunkContent::Output { bytes, .. } = chunk.content {
            seen += bytes.len();
        }
    }
    engine.cancel(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    let seen = result.stdout_stats.seen_bytes;
    assert!(seen < 1_000_000, "{seen} bytes were read without a handler that takes them");
    assert_eq!(result.lines_missed, 0);
}

/// Handler that remembers every event and blocks its thread at the first line of an execution.
struct BlocksAtFirstLine<F> {
    recorder: Recorder,
    lines: AtomicUsize,
    block: F,
}

impl<F> BlocksAtFirstLine<F> {
    fn new(block: F) -> Arc<Self> {
        Arc::new(Self { recorder: Recorder::default(), lines: AtomicUsize::new(0), block })
    }
}

#[async_trait]
impl<F: Fn() + Send + Sync + 'static> EventHandler for BlocksAtFirstLine<F> {
    async fn handle_event(&self, event: ExecutionEvent) {
        let is_line = is_line(&event);
        self.recorder.handle_event(event).await;
        if is_line && self.lines.fetch_add(1, Ordering::SeqCst) == 0 {
            (self.block)();
        }
    }
}

/// Checks that a handler got one of three lines and was told of the other two.
async fn assert_two_missed<F: Fn() + Send + Sync + 'static>(
    handler: &BlocksAtFirstLine<F>,
    id: Uuid,
) {
    let events = handler.recorder.all_of(id).await;
    assert_eq!(lines_of(&events, OutputStream::Stdout), ["1"], "{events:?}");
    let Some([ExecutionEvent::LinesMissed { count: 2, .. }, ExecutionEvent::Completed { .. }]) =
        events.last_chunk()
    else {
        panic!("{events:?}");
    };
}

#[tokio::test]
async fn handler_that_blocks_its_thread_is_cut_off_however_much_room_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let guard = GateGuard::new();
    let (gate, touched) = (Arc::clone(&guard.0), go.clone());
    let handler = BlocksAtFirstLine::new(move || {
        std::fs::write(&touched, "").unwrap();
        gate.pass();
    });
    let engine = with_stall_limit(handler.clone(), Duration::from_millis(100));
    // The other lines come while the first call has taken longer than the limit.
    let line = format!("echo 1; until [ -e '{}' ]; do sleep 0.01; done", go.display());
    let result = run(&engine, shell(format!("{line}; sleep 0.5; echo 2; echo 3"))).await;
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 2));
    drop(guard);
    assert_two_missed(&handler, result.id).await;
}

#[tokio::test]
async fn call_beyond_the_stall_limit_ends_the_lines_whenever_the_next_one_comes() {
    const LIMIT: Duration = Duration::from_millis(50);
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let touched = go.clone();
    let handler = BlocksAtFirstLine::new(move || {
        let begun = std::time::Instant::now();
        while begun.elapsed() < 3 * LIMIT {
            std::thread::park_timeout(LIMIT);
        }
        std::fs::write(&touched, "").unwrap();
    });
    let engine = with_stall_limit(handler.clone(), LIMIT);
    // The other lines come when the first call is about to return or has returned.
    let line = format!("echo 1; until [ -e '{}' ]; do sleep 0.01; done", go.display());
    let id = run(&engine, shell(format!("{line}; sleep 0.1; echo 2; echo 3"))).await.id;
    assert_two_missed(&handler, id).await;
}

/// Creates a handler that never returns, and the count of its stuck calls.
fn counts_and_blocks(guard: &GateGuard) -> (Arc<dyn EventHandler>, Arc<AtomicUsize>) {
    let gate = Arc::clone(&guard.0);
    let stuck = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&stuck);
    let blocks = Calls(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        gate.pass();
    });
    (Arc::new(blocks), stuck)
}

fn are_few(stuck: &AtomicUsize) {
    let stuck = stuck.load(Ordering::SeqCst);
    assert!((1..=20).contains(&stuck), "{stuck} threads are stuck");
}

#[tokio::test]
async fn blocking_handler_takes_bounded_threads() {
    let guard = GateGuard::new();
    let (blocks, stuck) = counts_and_blocks(&guard);
    let recorder = Recorder::new();
    let engine =
        with_stall_limit(blocks, Duration::from_millis(1)).with_event_handler(recorder.clone());
    for _ in 0..40 {
        // Each takes much longer than the stall limit, so the calls before are stuck by now.
        let result = run(&engine, shell("sleep 0.02; echo here")).await;
        assert_eq!(result.stdout, "here\n");
        recorder.all_of(result.id).await;
    }
    are_few(&stuck);
}

#[tokio::test]
async fn blocking_handler_takes_bounded_threads_for_a_reused_id() {
    let guard = GateGuard::new();
    let (blocks, stuck) = counts_and_blocks(&guard);
    let engine = with_stall_limit(blocks, Duration::from_millis(1));
    let id = Uuid::new_v4();
    for _ in 0..40 {
        run(&engine, shell("sleep 0.02").id(id)).await;
        engine.remove_execution(id).await.unwrap();
    }
    are_few(&stuck);
}

#[tokio::test]
async fn result_does_not_wait_for_a_handler_of_the_terminal_event() {
    let guard = GateGuard::new();
    let gate = Arc::clone(&guard.0);
    let passed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&passed);
    let slow = Calls(move |event: ExecutionEvent| {
        if event.is_terminal() {
            gate.pass();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let engine = engine().with_event_handler(Arc::new(slow));
    let result = run(&engine, shell("echo done")).await;
    assert_eq!(result.stdout, "done\n");
    assert_eq!(engine.get_status(result.id).await, Ok(ExecutionStatus::Completed));
    assert_eq!(passed.load(Ordering::SeqCst), 0, "the handler is still at it");
    drop(guard);
    until("it is done", || passed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn slow_handler_misses_no_line() {
    #[derive(Default)]
    struct Slow {
        recorder: Recorder,
        calls: AtomicU64,
    }

    #[async_trait]
    impl EventHandler for Slow {
        async fn handle_event(&self, event: ExecutionEvent) {
            tokio::task::yield_now().await;
            if self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(20) {
                pause(Duration::from_millis(1)).await;
            }
            self.recorder.handle_event(event).await;
        }
    }

    // These long lines are several times the size of a handler's queue.
    let slow = Arc::new(Slow::default());
    let engine = engine().with_event_handler(slow.clone());
    let result = run(&engine, shell("seq -f '%0500.0f' 1 2000")).await;
    let events = slow.recorder.all_of(result.id).await;
    assert_framed(&events);
    let lines = lines_of(&events, OutputStream::Stdout);
    let numbers: Vec<u32> = lines.iter().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(1..=2000));
    assert_eq!(result.lines_missed, 0);
}

#[tokio::test]
async fn stalled_handler_gets_the_count_of_missed_lines() {
    const LINES: u64 = 100_000;
    let hangs = Arc::new(HangsAtLines::default());
    let recorder = Recorder::new();
    // Long enough that the other handler is not cut off by a busy machine.
    let engine = with_stall_limit(hangs.clone(), Duration::from_secs(3))
        .with_event_handler(recorder.clone());
    let result = run(&engine, shell(format!("seq 1 {LINES}"))).await;
    assert_eq!(result.ending, Ending::Exited { code: 0 });

    let events = hangs.0.all_of(result.id).await;
    let Some([ExecutionEvent::LinesMissed { count, .. }, ExecutionEvent::Completed { .. }]) =
        events.last_chunk()
    else {
        panic!("{:?}", events.last_chunk::<2>());
    };
    let delivered = lines_of(&events, OutputStream::Stdout);
    assert_eq!(delivered, ["1"]);
    assert_eq!(delivered.len() as u64 + count, LINES);
    assert!((1..=*count).contains(&result.lines_missed), "{}", result.lines_missed);

    let all = recorder.all_of(result.id).await;
    assert_framed(&all);
    assert_eq!(lines_of(&all, OutputStream::Stdout).len() as u64, LINES);
}

#[tokio::test]
async fn missed_lines_are_counted_without_a_replay_window() {
    const LINES: u64 = 100_000;
    let hangs = Arc::new(HangsAtLines::default());
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_output_size_bytes: 1, ..Default::default() })
        .replay_window(0)
        .handler_stall_limit(Duration::from_millis(50))
        .event_handler(hangs.clone())
        .build()
        .unwrap();
    let result = run(&engine, shell(format!("seq 1 {LINES}"))).await;
    let events = hangs.0.all_of(result.id).await;
    let missed = events.iter().find_map(|event| match event {
        ExecutionEvent::LinesMissed { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(lines_of(&events, OutputStream::Stdout).len() as u64 + missed.unwrap(), LINES);
}

#[tokio::test]
async fn stalled_handler_misses_lines_only() {
    let hangs = Arc::new(HangsAtLines::default());
    let engine = with_stall_limit(hangs.clone(), Duration::from_millis(100));
    let id = run(&engine, shell("echo one; echo two; echo three")).await.id;
    let events = hangs.0.all_of(id).await;
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            ExecutionEvent::Started { .. } => "started",
            ExecutionEvent::StatusChanged { .. } => "status",
            ExecutionEvent::Stdout { .. } => "line",
            ExecutionEvent::LinesMissed { count, .. } => ["none", "one", "two"][*count as usize],
            ExecutionEvent::Completed { .. } => "completed",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["started", "status", "line", "status", "two", "completed"]);
}

#[tokio::test]
async fn stalled_handler_gets_the_lines_of_the_next_execution() {
    let hung = Arc::new(AtomicUsize::new(0));

    struct HangsOnce {
        recorder: Recorder,
        hung: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl EventHandler for HangsOnce {
        async fn handle_event(&self, event: ExecutionEvent) {
            if is_line(&event) && self.hung.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            self.recorder.handle_event(event).await;
        }
    }

    let handler = Arc::new(HangsOnce { recorder: Recorder::default(), hung });
    let engine = with_stall_limit(handler.clone(), Duration::from_millis(100));
    let first = run(&engine, shell("echo one")).await.id;
    handler.recorder.all_of(first).await;
    let second = run(&engine, shell("echo two")).await.id;
    let events = handler.recorder.all_of(second).await;
    assert_framed(&events);
    assert_eq!(lines_of(&events, OutputStream::Stdout), ["two"]);
}

#[tokio::test]
async fn zero_stall_limit_is_refused() {
    let refused = ExecutionEngine::builder().handler_stall_limit(Duration::ZERO).build();
    let Err(ExecutionError::Validation(error)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("handler_stall_limit"), "{error}");
}
