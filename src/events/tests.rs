//! Handlers for which there are not enough threads: a pool of one thread instead of very many.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Utc;
use parking_lot::Mutex;
use uuid::Uuid;

use super::EventHandler;
use super::handler_pool::{HandlerPool, RegisteredHandler};
use super::handler_queue::HandlerQueue;
use crate::config::OversizedOutputStrategy;
use crate::output::{EventPayload, Journal, JournalLimits, JournalOwner, View};
use crate::types::{ExecutionEvent, OutputStream};

/// Longer than anything takes on a machine that is very busy.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Passes events on, after calling a function with them.
struct Forwards<F>(Mutex<Sender<ExecutionEvent>>, F);

#[async_trait]
impl<F: Fn(&ExecutionEvent) + Send + Sync + 'static> EventHandler for Forwards<F> {
    async fn handle_event(&self, event: ExecutionEvent) {
        (self.1)(&event);
        self.0.lock().send(event).unwrap();
    }
}

/// One thread, one handler, and the events that it received.
struct Scene {
    pool: Arc<HandlerPool>,
    handler: Arc<RegisteredHandler>,
    received: Receiver<ExecutionEvent>,
}

impl Scene {
    fn new(stall_limit: Duration, also: impl Fn(&ExecutionEvent) + Send + Sync + 'static) -> Self {
        let (sender, received) = channel();
        let pool = Arc::new(HandlerPool::with_threads(1, stall_limit));
        pool.start().unwrap();
        let handler =
            Arc::new(RegisteredHandler::new(Arc::new(Forwards(Mutex::new(sender), also))));
        Self { pool, handler, received }
    }

    fn queue(&self, journal: &Arc<Journal>) -> Arc<HandlerQueue> {
        let (handler, pool) = (Arc::clone(&self.handler), Arc::clone(&self.pool));
        HandlerQueue::new(Arc::clone(journal), View::Lines, handler, pool)
    }

    fn next(&self) -> ExecutionEvent {
        self.received.recv_timeout(TIME_LIMIT).expect("it takes too long")
    }
}

fn journal() -> Arc<Journal> {
    let owner = JournalOwner { id: Uuid::new_v4(), ..JournalOwner::default() };
    let limits = JournalLimits {
        limit: 1 << 20,
        oversized: OversizedOutputStrategy::TruncateWithWarning,
        window: 0,
        max_line_bytes: 1000,
    };
    Arc::new(Journal::new(owner, "test".into(), limits))
}

fn started(journal: &Journal) {
    journal.event(Utc::now(), EventPayload::Started { pid: 1 });
}

fn line(journal: &Journal) {
    journal.append(OutputStream::Stdout, &mut b"line\n".to_vec());
}

fn end(journal: &Journal) {
    let (execution_id, duration) = (journal.id(), Duration::ZERO);
    journal.event(Utc::now(), ExecutionEvent::Cancelled { execution_id, duration });
}

#[test]
fn an_execution_that_waits_for_a_thread_is_not_stuck() {
    /// A call that runs is stuck at once.
    const STALL_LIMIT: Duration = Duration::ZERO;
    const OTHERS: usize = 20;
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let scene = Scene::new(STALL_LIMIT, move |event| {
        if let ExecutionEvent::Started { .. } = event {
            gate.lock().recv().unwrap();
        }
    });
    let busy = journal();
    started(&busy);
    scene.queue(&busy).wake();

    let journals: Vec<_> = (0..OTHERS).map(|_| journal()).collect();
    let wake = |journal: &Arc<Journal>| {
        line(journal);
        end(journal);
        scene.queue(journal).wake();
    };
    journals.iter().for_each(wake);
    let late = journal();
    wake(&late);

    go.send(()).unwrap();
    assert!(matches!(scene.next(), ExecutionEvent::Started { .. }));
    let mut received: HashMap<Uuid, Vec<ExecutionEvent>> = HashMap::new();
    for _ in 0..2 * (OTHERS + 1) {
        let event = scene.next();
        received.entry(event.execution_id()).or_default().push(event);
    }
    for journal in journals.iter().chain([&late]) {
        let [line, end] = &received[&journal.id()][..] else { panic!("{received:?}") };
        assert!(matches!(line, ExecutionEvent::Stdout { .. }) && end.is_terminal(), "{received:?}");
    }
}

#[test]
fn a_handler_that_never_finishes_one_execution_gets_events_of_others() {
    let (endless, other) = (journal(), journal());
    let (journal, id) = (Arc::clone(&endless), endless.id());
    let continues = Arc::new(AtomicBool::new(true));
    let more = Arc::clone(&continues);
    let scene = Scene::new(TIME_LIMIT, move |event| {
        if event.execution_id() == id && more.load(Ordering::Acquire) {
            line(&journal);
        }
    });
    line(&endless);
    let queue = scene.queue(&endless);
    queue.wake();
    scene.next();
    end(&other);
    scene.queue(&other).wake();
    let begun = Instant::now();
    while !scene.next().is_terminal() {
        assert!(begun.elapsed() < TIME_LIMIT, "it never has its turn");
    }
    continues.store(false, Ordering::Release);
    end(&endless);
    queue.wake();
    while !scene.next().is_terminal() {}
}

/// Calls a function with each log line, as a host may.
struct OnLog<F>(F);

impl<F: Fn() + 'static> tracing::Subscriber for OnLog<F>
where
    Self: Send + Sync,
{
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        (self.0)();
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_cut_off_is_logged_without_the_lock_of_the_queue() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let scene = Scene::new(Duration::ZERO, move |_| gate.lock().recv().unwrap());
    let journal = journal();
    let queue = scene.queue(&journal);
    started(&journal);
    queue.wake();
    let (sender, asked) = channel();
    let (sender, logged) = (Mutex::new(sender), Arc::clone(&queue));
    let on_log = OnLog(move || {
        let (queue, sender) = (Arc::clone(&logged), sender.lock().clone());
        let asks = std::thread::spawn(move || sender.send(queue.missed()).unwrap());
        let begun = Instant::now();
        while !asks.is_finished() && begun.elapsed() < TIME_LIMIT {
            std::thread::yield_now();
        }
        assert!(asks.is_finished(), "the lock is held");
    });
    line(&journal);
    let begun = Instant::now();
    tracing::subscriber::with_default(on_log, || {
        while !queue.cut_off_if_stuck() {
            assert!(begun.elapsed() < TIME_LIMIT, "it never runs");
        }
    });
    assert_eq!(asked.try_recv(), Ok(1), "the line is counted before the log says so");
    go.send(()).unwrap();
}
