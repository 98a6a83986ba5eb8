//! Event handlers: they see everything once and in order, and whatever they do, nobody else is
//! harmed.

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

// What is told.

#[tokio::test]
async fn every_line_comes_once_and_in_order_between_start_and_end() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let line = "seq -f 'out %.0f' 1 20000 & seq -f 'err %.0f' 1 20000 >&2; wait";
    let result = run(&engine, shell(line)).await;
    let events = recorder.all_of(result.id).await;
    assert_framed(&events);
    assert!(lines_of(&events, OutputStream::Stdout) == numbered("out ", 20_000));
    assert!(lines_of(&events, OutputStream::Stderr) == numbered("err ", 20_000));
    assert_eq!(result.lines_missed, 0);
}

#[tokio::test]
async fn lines_come_without_their_endings_and_the_last_one_needs_none() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let result = run(&engine, shell(r"printf 'a\n\nb\r\n \377c\nlast'")).await;
    let lines = lines_of(&recorder.all_of(result.id).await, OutputStream::Stdout);
    assert_eq!(lines, ["a", "", "b", " \u{fffd}c", "last"]);
}

#[tokio::test]
async fn lines_come_while_the_program_runs() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let id = engine.execute(shell("echo here; exec sleep 1000")).await.unwrap();
    recorder.when(id, |events| lines_of(events, OutputStream::Stdout) == ["here"]).await;
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running));
    engine.cancel(id).await.unwrap();
    let events = recorder.all_of(id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })));
}

#[tokio::test]
async fn the_start_names_command_and_process() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let result = run(&engine, shell("echo $$")).await;
    let pid: u32 = result.stdout.trim().parse().unwrap();
    let started = &recorder.all_of(result.id).await[0];
    let expected =
        ExecutionEvent::Started { execution_id: result.id, command: "echo $$".into(), pid };
    assert_eq!(*started, expected);
}

#[tokio::test]
async fn each_of_two_handlers_gets_everything() {
    let [one, two] = [Recorder::new(), Recorder::new()];
    let engine = engine().with_event_handler(one.clone()).with_event_handler(two.clone());
    let result = run(&engine, shell("seq 1 5000; seq 1 5000 >&2; exit 2")).await;
    let events = one.all_of(result.id).await;
    assert_eq!(events.len(), 10_004);
    assert!(events == two.all_of(result.id).await);
}

#[tokio::test]
async fn a_handler_added_later_hears_of_later_executions_only() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let [early, late] = [Recorder::new(), Recorder::new()];
    let engine = engine().with_event_handler(early.clone());
    let line = format!("until [ -e '{}' ]; do sleep 0.01; done; echo", go.display());
    let first = engine.execute(shell(line)).await.unwrap();

    let with_late = engine.clone().with_event_handler(late.clone());
    std::fs::write(go, "").unwrap();
    soon("the first", engine.wait_for_completion(first)).await.unwrap();
    early.all_of(first).await;
    for engine in [&engine, &with_late] {
        let later = run(engine, shell("echo")).await.id;
        assert_framed(&late.all_of(later).await);
        assert_framed(&early.all_of(later).await);
    }
    assert_eq!(late.of(first), []);
}

#[tokio::test]
async fn events_of_fifty_executions_at_a_time_are_each_in_order() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let mut running = JoinSet::new();
    for number in 0..50 {
        let engine = engine.clone();
        let line = format!("seq -f '{number}: %.0f' 1 300");
        running.spawn(async move { (number, run(&engine, shell(line)).await.id) });
    }
    for (number, id) in running.join_all().await {
        let events = recorder.all_of(id).await;
        assert_framed(&events);
        assert_eq!(lines_of(&events, OutputStream::Stdout), numbered(&format!("{number}: "), 300));
    }
}

#[tokio::test]
async fn the_end_of_the_engine_is_told_as_a_cancel() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let id = engine.execute(shell("echo here; exec sleep 1000")).await.unwrap();
    recorder.when(id, |events| lines_of(events, OutputStream::Stdout) == ["here"]).await;
    drop(engine);
    let events = recorder.all_of(id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })));
}

#[tokio::test]
async fn handlers_go_with_their_engine() {
    let recorder = Recorder::new();
    let handler: Weak<Recorder> = Arc::downgrade(&recorder);
    let engine = engine().with_event_handler(recorder);
    run(&engine, shell("seq 1 1000")).await;
    assert!(handler.upgrade().is_some());
    drop(engine);
    until("the handler is gone", || handler.upgrade().is_none()).await;
}

// Handlers that misbehave.

#[tokio::test]
async fn a_handler_that_panics_at_each_event_harms_nobody() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let panics = Calls(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        // Like a panic, but without a report for each of them.
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

/// What a panic is about, and panics itself when nobody wants to know.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(Self));
    }
}

#[tokio::test]
async fn a_panic_that_panics_again_when_it_is_dropped_is_a_panic_like_others() {
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
    until("the handler was told everything", || seen.load(Ordering::Relaxed) == expected).await;
}

#[tokio::test]
async fn a_handler_that_panics_misses_only_the_event_it_panicked_at() {
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
async fn a_handler_that_blocks_for_ever_keeps_nobody_waiting() {
    let keeper = Keeper::new();
    let blocked = shell("seq 1 1000; exit 3");
    let blocks = Blocks::new(blocked.id, &keeper);
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
async fn twenty_megabytes_for_a_handler_that_blocks_for_ever_come_to_an_end() {
    let keeper = Keeper::new();
    let request = shell("yes 'a line of some length' | head -c 20000000");
    let blocks = Blocks::new(request.id, &keeper);
    let result = run(&patient(blocks, Duration::from_millis(100)), request).await;
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.stdout_stats.seen_bytes, 20_000_000);
    assert!(result.lines_missed > 0);
}

#[tokio::test]
async fn the_timeout_runs_on_while_a_handler_holds_the_program_back() {
    let keeper = Keeper::new();
    let request = shell("yes").timeout(Duration::from_millis(300));
    let blocks = Blocks::new(request.id, &keeper);
    let result = run(&patient(blocks, NEVER), request).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 300 });
    let seen = result.stdout_stats.seen_bytes;
    assert!((1..1_000_000).contains(&seen), "{seen} bytes were read with nobody to take them");
    assert_eq!(result.lines_missed, 0);
}

#[tokio::test]
async fn a_cancel_gets_through_while_a_handler_holds_the_program_back() {
    let keeper = Keeper::new();
    let request = shell("yes");
    let blocks = Blocks::new(request.id, &keeper);
    let engine = patient(blocks, NEVER);
    let id = engine.execute(request).await.unwrap();
    engine.cancel(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
}

/// A handler that never comes back, and how many of its calls are stuck.
fn counts_and_blocks(keeper: &Keeper) -> (Arc<dyn EventHandler>, Arc<AtomicUsize>) {
    let gate = Arc::clone(&keeper.0);
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
async fn a_handler_that_always_blocks_costs_a_bounded_number_of_threads() {
    let keeper = Keeper::new();
    let (blocks, stuck) = counts_and_blocks(&keeper);
    let recorder = Recorder::new();
    let engine = patient(blocks, Duration::from_millis(1)).with_event_handler(recorder.clone());
    for _ in 0..40 {
        // Each takes much longer than the stall limit, so the calls before are stuck by now.
        let result = run(&engine, shell("sleep 0.02; echo here")).await;
        assert_eq!(result.stdout, "here\n");
        recorder.all_of(result.id).await;
    }
    are_few(&stuck);
}

#[tokio::test]
async fn a_handler_that_always_blocks_costs_no_more_threads_where_an_id_is_used_again() {
    let keeper = Keeper::new();
    let (blocks, stuck) = counts_and_blocks(&keeper);
    let engine = patient(blocks, Duration::from_millis(1));
    let id = Uuid::new_v4();
    for _ in 0..40 {
        run(&engine, shell("sleep 0.02").id(id)).await;
        engine.remove_execution(id).await.unwrap();
    }
    are_few(&stuck);
}

#[tokio::test]
async fn nobody_waits_for_a_handler_that_is_slow_to_take_the_terminal_event() {
    let keeper = Keeper::new();
    let gate = Arc::clone(&keeper.0);
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
    drop(keeper);
    until("it is done", || passed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_slow_handler_loses_no_line() {
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
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.recorder.handle_event(event).await;
        }
    }

    // With some more digits, these lines are several times what may wait for a handler.
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
async fn a_handler_that_waits_for_ever_is_told_how_many_lines_it_missed() {
    const LINES: u64 = 100_000;
    let hangs = Arc::new(HangsAtLines::default());
    let recorder = Recorder::new();
    let engine =
        patient(hangs.clone(), Duration::from_millis(100)).with_event_handler(recorder.clone());
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
async fn the_lines_that_a_stuck_handler_missed_are_counted_also_where_nothing_of_them_is_kept() {
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
async fn a_handler_that_waits_for_ever_misses_no_event_but_lines() {
    let hangs = Arc::new(HangsAtLines::default());
    let engine = patient(hangs.clone(), Duration::from_millis(100));
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
async fn a_handler_stuck_in_one_execution_gets_the_lines_of_the_next() {
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
    let engine = patient(handler.clone(), Duration::from_millis(100));
    let first = run(&engine, shell("echo one")).await.id;
    handler.recorder.all_of(first).await;
    let second = run(&engine, shell("echo two")).await.id;
    let events = handler.recorder.all_of(second).await;
    assert_framed(&events);
    assert_eq!(lines_of(&events, OutputStream::Stdout), ["two"]);
}

#[tokio::test]
async fn a_stall_limit_of_nothing_is_refused() {
    let refused = ExecutionEngine::builder().handler_stall_limit(Duration::ZERO).build();
    let Err(ExecutionError::Validation(error)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("handler_stall_limit"), "{error}");
}

// Handlers that do something themselves.

/// A handler with an engine to call, which a test sets once it has one, and takes away at its end:
/// otherwise the two would keep each other alive.
#[derive(Default)]
struct Hand {
    engine: Mutex<Option<ExecutionEngine>>,
}

impl Hand {
    fn engine(&self) -> ExecutionEngine {
        self.engine.lock().unwrap().clone().unwrap()
    }
}

#[tokio::test]
async fn a_handler_may_ask_for_and_cancel_the_execution_it_hears_of() {
    struct Cancels {
        hand: Arc<Hand>,
        said: mpsc::UnboundedSender<(ExecutionStatus, Result<()>)>,
    }

    #[async_trait]
    impl EventHandler for Cancels {
        async fn handle_event(&self, event: ExecutionEvent) {
            let id = event.execution_id();
            if is_line(&event) {
                let engine = self.hand.engine();
                let status = engine.get_status(id).await.unwrap();
                self.said.send((status, engine.cancel(id).await)).unwrap();
            }
        }
    }

    let hand = Arc::new(Hand::default());
    let (said, mut hears) = mpsc::unbounded_channel();
    let handler = Cancels { hand: Arc::clone(&hand), said };
    let engine = engine().with_event_handler(Arc::new(handler));
    *hand.engine.lock().unwrap() = Some(engine.clone());

    let result = run(&engine, shell("echo ready; exec sleep 1000")).await;
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!(hears.recv().await, Some((ExecutionStatus::Running, Ok(()))));
    hand.engine.lock().unwrap().take();
}

#[tokio::test]
async fn a_handler_may_wait_for_the_end_of_the_execution_it_hears_of() {
    struct Waits {
        hand: Arc<Hand>,
        results: mpsc::UnboundedSender<ExecutionResult>,
    }

    #[async_trait]
    impl EventHandler for Waits {
        async fn handle_event(&self, event: ExecutionEvent) {
            if is_line(&event) || event.is_terminal() {
                let engine = self.hand.engine();
                let result = engine.wait_for_completion(event.execution_id()).await;
                self.results.send(result.unwrap()).unwrap();
            }
        }
    }

    let hand = Arc::new(Hand::default());
    let (results, mut ended) = mpsc::unbounded_channel();
    let handler = Waits { hand: Arc::clone(&hand), results };
    let engine = engine().with_event_handler(Arc::new(handler));
    *hand.engine.lock().unwrap() = Some(engine.clone());

    let result = run(&engine, shell("echo waited for; exit 3")).await;
    for event in ["line", "terminal"] {
        let same = soon(event, ended.recv()).await.unwrap();
        assert_eq!((same.ending, same.stdout), (result.ending.clone(), result.stdout.clone()));
    }
    hand.engine.lock().unwrap().take();
}

#[tokio::test]
async fn a_handler_may_start_the_next_execution() {
    struct Chains {
        hand: Arc<Hand>,
        results: mpsc::UnboundedSender<ExecutionResult>,
    }

    #[async_trait]
    impl EventHandler for Chains {
        async fn handle_event(&self, event: ExecutionEvent) {
            if let ExecutionEvent::Stdout { line, .. } = event
                && line == "first"
            {
                let result = self.hand.engine().run(shell("echo second")).await;
                self.results.send(result.unwrap()).unwrap();
            }
        }
    }

    let hand = Arc::new(Hand::default());
    let (results, mut ended) = mpsc::unbounded_channel();
    let handler = Chains { hand: Arc::clone(&hand), results };
    let engine = engine().with_event_handler(Arc::new(handler));
    *hand.engine.lock().unwrap() = Some(engine.clone());

    run(&engine, shell("echo first")).await;
    assert_eq!(soon("the second", ended.recv()).await.unwrap().stdout, "second\n");
    hand.engine.lock().unwrap().take();
}

#[tokio::test]
async fn a_handler_runs_within_tokio() {
    struct Works(mpsc::UnboundedSender<u32>);

    #[async_trait]
    impl EventHandler for Works {
        async fn handle_event(&self, event: ExecutionEvent) {
            if event.is_terminal() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let spawned = tokio::spawn(async { 1 }).await.unwrap();
                let blocking = tokio::task::spawn_blocking(|| 2).await.unwrap();
                self.0.send(spawned + blocking).unwrap();
            }
        }
    }

    let (sums, mut told) = mpsc::unbounded_channel();
    let engine = engine().with_event_handler(Arc::new(Works(sums)));
    run(&engine, shell("echo")).await;
    assert_eq!(soon("the sum", told.recv()).await, Some(3));
}

#[test]
fn handlers_need_no_runtime_of_the_caller() {
    let (events, told) = std::sync::mpsc::channel();
    let events = Mutex::new(events);
    let handler = Calls(move |event| events.lock().unwrap().send(event).unwrap());
    let engine = engine().with_event_handler(Arc::new(handler));
    let id = {
        // Starting waits for nothing, so one look at the future is enough.
        let mut start = std::pin::pin!(engine.execute(shell("echo here")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match start.as_mut().poll(&mut context) {
            std::task::Poll::Ready(started) => started.unwrap(),
            std::task::Poll::Pending => panic!("starting waited"),
        }
    };
    let next = || told.recv_timeout(PATIENCE).unwrap();
    let events: Vec<_> = std::iter::repeat_with(next).take(5).collect();
    assert_framed(&events);
    assert_eq!(events[2], ExecutionEvent::Stdout { execution_id: id, line: "here".into() });
}

// The handlers that come with the library.

#[tokio::test]
async fn a_multi_event_handler_passes_everything_on_in_the_order_of_its_handlers() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let numbered = |number: usize| -> Arc<dyn EventHandler> {
        let order = Arc::clone(&order);
        Arc::new(Calls(move |event| order.lock().unwrap().push((number, event))))
    };
    let recorder = Recorder::new();
    let multi = MultiEventHandler::new(vec![numbered(0), numbered(1)])
        .with(numbered(2))
        .with(recorder.clone());
    assert_eq!(format!("{multi:?}"), "MultiEventHandler(4 handlers)");

    let engine = engine().with_event_handler(Arc::new(multi));
    let id = run(&engine, shell("seq 1 100")).await.id;
    let events = recorder.all_of(id).await;
    assert_framed(&events);
    let expected: Vec<_> =
        events.iter().flat_map(|event| (0..3).map(move |number| (number, event.clone()))).collect();
    assert!(*order.lock().unwrap() == expected);
}

#[tokio::test]
async fn handlers_that_do_nothing_leave_all_as_it_is() {
    let recorder = Recorder::new();
    let engine = engine()
        .with_event_handler(Arc::new(NoopEventHandler))
        .with_event_handler(Arc::new(MultiEventHandler::default()))
        .with_event_handler(recorder.clone());
    let result = run(&engine, shell("seq 1 1000")).await;
    assert_framed(&recorder.all_of(result.id).await);
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
}

#[tokio::test]
async fn the_logging_handler_traces_lines_quietly_and_failures_as_warnings() {
    let traces = Traces::of_this_process();
    let recorder = Recorder::new();
    let both = MultiEventHandler::new(vec![Arc::new(LoggingEventHandler), recorder.clone()]);
    let engine = engine().with_event_handler(Arc::new(both));
    let traced = async |line: &str| {
        let id = run(&engine, shell(line)).await.id;
        recorder.all_of(id).await;
        let mut mine = traces.so_far();
        mine.retain(|trace| trace.contains(&id.to_string()));
        mine.join("\n")
    };

    let good = traced("echo one; echo two >&2").await;
    for text in ["INFO", "started", "out | one", "err | two", "completed"] {
        assert!(good.contains(text), "{text} is not in\n{good}");
    }
    assert!(good.lines().any(|line| line.starts_with("DEBUG") && line.contains("out | one")));
    assert!(!good.contains("WARN"), "{good}");

    let bad = traced("exit 3").await;
    let warning = bad.lines().find(|line| line.starts_with("WARN")).unwrap();
    assert!(warning.contains("exit_code=3"), "{bad}");
}
