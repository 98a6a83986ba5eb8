//! Handlers for whom there are not threads enough. With one thread instead of very many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Utc;
use uuid::Uuid;

use super::EventHandler;
use super::handler_pool::{HandlerPool, RegisteredHandler};
use super::handler_queue::HandlerQueue;
use crate::output::{Journal, JournalLimits, JournalOwner, KeepPolicy, View};
use crate::types::{ExecutionEvent, OutputStream};

/// Longer than anything takes on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Passes events on, and does what it is told to beside that.
struct Tells<F>(Mutex<Sender<ExecutionEvent>>, F);

#[async_trait]
impl<F: Fn(&ExecutionEvent) + Send + Sync + 'static> EventHandler for Tells<F> {
    async fn handle_event(&self, event: ExecutionEvent) {
        (self.1)(&event);
        self.0.lock().unwrap().send(event).unwrap();
    }
}

/// One thread, one handler, and what it has been told.
struct Scene {
    stage: Arc<HandlerPool>,
    actor: Arc<RegisteredHandler>,
    told: Receiver<ExecutionEvent>,
}

impl Scene {
    fn new(stall_limit: Duration, also: impl Fn(&ExecutionEvent) + Send + Sync + 'static) -> Self {
        let (sender, told) = channel();
        let stage = Arc::new(HandlerPool::with_threads(1, stall_limit));
        stage.ready().unwrap();
        let actor = Arc::new(RegisteredHandler::new(Arc::new(Tells(Mutex::new(sender), also))));
        Self { stage, actor, told }
    }

    fn queue(&self, journal: &Arc<Journal>) -> Arc<HandlerQueue> {
        let (actor, stage) = (Arc::clone(&self.actor), Arc::clone(&self.stage));
        HandlerQueue::new(Arc::clone(journal), View::Lines, actor, stage)
    }

    fn next(&self) -> ExecutionEvent {
        self.told.recv_timeout(PATIENCE).expect("it takes too long")
    }
}

fn journal() -> Arc<Journal> {
    let owner = JournalOwner { id: Uuid::new_v4(), ..JournalOwner::default() };
    let holding =
        JournalLimits { limit: 1 << 20, keep: KeepPolicy::First, window: 0, max_line_bytes: 1000 };
    Arc::new(Journal::new(owner, "test".into(), holding))
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
    /// So that whoever is at work is stuck.
    const STALL_LIMIT: Duration = Duration::ZERO;
    const OTHERS: usize = 20;
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let scene = Scene::new(STALL_LIMIT, move |event| {
        if let ExecutionEvent::Started { .. } = event {
            gate.lock().unwrap().recv().unwrap();
        }
    });
    let busy = journal();
    busy.started(1);
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
    let mut told: HashMap<Uuid, Vec<ExecutionEvent>> = HashMap::new();
    for _ in 0..2 * (OTHERS + 1) {
        let event = scene.next();
        told.entry(event.execution_id()).or_default().push(event);
    }
    for journal in journals.iter().chain([&late]) {
        let [line, end] = &told[&journal.id()][..] else { panic!("{told:?}") };
        assert!(matches!(line, ExecutionEvent::Stdout { .. }) && end.is_terminal(), "{told:?}");
    }
}

#[test]
fn a_handler_that_is_never_done_with_one_execution_has_its_turn_with_others() {
    let (endless, other) = (journal(), journal());
    let (journal, id) = (Arc::clone(&endless), endless.id());
    let goes_on = Arc::new(AtomicBool::new(true));
    let more = Arc::clone(&goes_on);
    let scene = Scene::new(PATIENCE, move |event| {
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
        assert!(begun.elapsed() < PATIENCE, "it never has its turn");
    }
    goes_on.store(false, Ordering::Release);
    end(&endless);
    queue.wake();
    while !scene.next().is_terminal() {}
}
