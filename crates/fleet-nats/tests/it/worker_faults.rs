//! Workers with a bug, and workers whose certificate is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use execution_engine::*;
use execution_engine_fleet::{
    Certificate, Clock, Description, EngineRunner, KeyKind, ProgramEvent, ProgramEvents, Runner,
    RunningProgram, Seed, Signer, Start, Ticket, WorkerError, certify,
};
use parking_lot::Mutex;
use test_support::soon;

use crate::test_fleet::{TestClock, TestFleet};

/// Panics in the first starts, and does what the engine does in the others.
struct Planted {
    runner: EngineRunner,
    /// How many starts are interrupted.
    left: AtomicU32,
    /// Whether that is before the program is started, or while it runs.
    at_start: bool,
}

#[async_trait]
impl Runner for Planted {
    fn describe(&self) -> Description {
        self.runner.describe()
    }

    async fn start(&self, ticket: Ticket, start: &Start) -> RunningProgram {
        let left = self.left.load(Ordering::SeqCst);
        self.left.store(left.saturating_sub(1), Ordering::SeqCst);
        assert!(left == 0 || !self.at_start, "planted");
        let RunningProgram { program, events } = self.runner.start(ticket, start).await;
        let panics = left > 0;
        RunningProgram { program, events: Box::new(PlantedEvents { events, panics }) }
    }
}

struct PlantedEvents {
    events: Box<dyn ProgramEvents>,
    panics: bool,
}

#[async_trait]
impl ProgramEvents for PlantedEvents {
    async fn next(&mut self) -> ProgramEvent {
        let event = self.events.next().await;
        let is_output = matches!(event, ProgramEvent::Output(..));
        assert!(!(is_output && std::mem::take(&mut self.panics)), "planted");
        event
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_start_is_a_lost_start() {
    for at_start in [false, true] {
        let fleet = TestFleet::start().await;
        let engine = fleet.engine().await;
        let runner = Planted { runner: fleet.runner().await, left: AtomicU32::new(2), at_start };
        let clock = Arc::new(TestClock(Instant::now()));
        let worker = fleet.idle_worker("w1", Signer::unsigned(), Arc::new(runner), clock).await;
        let _run = tokio::spawn(async move { worker.run().await });
        // The first one runs for ever, if nothing stops it.
        let request = ExecutionRequest::shell("echo up; exec sleep 600");
        let result = soon("the end", engine.run(request)).await.unwrap();
        let lost = Ending::WorkerLost { worker: "w1".into(), attempts: 1 };
        assert_eq!(result.ending, lost, "{at_start}");
        let options = ExecutionOptions::default().max_attempts(2);
        let request = ExecutionRequest::shell("echo $EXECUTION_ENGINE_FENCE");
        let result = soon("the second start", engine.run_with(request, options)).await.unwrap();
        assert_eq!(result.ending, Ending::Exited { code: 0 }, "{at_start}");
        assert_eq!(result.place.unwrap().attempt, 2, "{at_start}");
    }
}

/// A clock whose time of day is set.
struct SetClock {
    boot: Instant,
    unix_ms: Mutex<u64>,
    panics: AtomicBool,
}

impl SetClock {
    fn new() -> Arc<Self> {
        let (unix_ms, panics) = (Mutex::new(NOW), AtomicBool::new(false));
        Arc::new(Self { boot: Instant::now(), unix_ms, panics })
    }
}

impl Clock for SetClock {
    fn since_boot(&self) -> Duration {
        self.boot.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        assert!(!self.panics.load(Ordering::SeqCst), "planted");
        *self.unix_ms.lock()
    }
}

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 3_600_000;

/// Starts a fleet whose workers sign, and returns it with a signer for a day.
async fn signed() -> (TestFleet, Signer) {
    let (signing, key) = (Seed::new(KeyKind::Pool), Seed::new(KeyKind::Worker));
    let certificate =
        Certificate { key: key.public().to_owned(), pool: "p".into(), not_after_ms: NOW + DAY };
    let signer = Signer::new(&key, &certify(&signing, &certificate).unwrap()).unwrap();
    (TestFleet::start_with(Some(signing)).await, signer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_before_its_certificate() {
    let (fleet, signer) = signed().await;
    let (engine, clock) = (fleet.engine().await, SetClock::new());
    let runner = Arc::new(fleet.runner().await);
    let worker = fleet.idle_worker("w1", signer, runner, Arc::clone(&clock) as _).await;
    let run = tokio::spawn(async move { worker.run().await });
    let execution = engine.start(ExecutionRequest::shell("echo up; exec sleep 600")).await.unwrap();
    let mut chunks = execution.chunks().await.unwrap();
    soon("its output", chunks.next()).await.unwrap();
    // The machine has slept until the last minute.
    *clock.unix_ms.lock() = NOW + DAY - 30_000;
    assert_eq!(soon("the end of the worker", run).await.unwrap(), Ok(()));
    let result = soon("the end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::WorkerLost { worker: "w1".into(), attempts: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_valid_certificate_does_not_begin() {
    let (fleet, signer) = signed().await;
    let clock = SetClock::new();
    *clock.unix_ms.lock() = NOW + DAY;
    let worker = fleet.idle_worker("w1", signer, Arc::new(fleet.runner().await), clock).await;
    let ended = soon("the refusal", worker.run()).await;
    assert_eq!(ended, Err(WorkerError::CertificateOver("w1".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_task_of_the_worker_ends_it() {
    let (fleet, signer) = signed().await;
    let clock = SetClock::new();
    let runner = Arc::new(fleet.runner().await);
    let worker = fleet.idle_worker("w1", signer, runner, Arc::clone(&clock) as _).await;
    let run = tokio::spawn(async move { worker.run().await });
    let engine = fleet.engine().await;
    let result = soon("a result", engine.run(ExecutionRequest::shell("true"))).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    // The task that watches the certificate looks at the clock.
    clock.panics.store(true, Ordering::SeqCst);
    let ended = soon("the end of the worker", run).await.unwrap();
    assert_eq!(ended, Err(WorkerError::Panicked("w1".into())));
}

/// A clock that panics once, at the question with this number.
struct OnceClock {
    boot: Instant,
    left: AtomicU32,
}

impl Clock for OnceClock {
    fn since_boot(&self) -> Duration {
        self.boot.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        assert_ne!(self.left.fetch_sub(1, Ordering::SeqCst), 1, "planted");
        NOW
    }
}

/// The clock is asked for the claim, for its signature, and for the signature of the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_before_the_end_is_told_is_a_lost_start() {
    for question in [1, 2, 3] {
        let fleet = TestFleet::start().await;
        let engine = fleet.engine().await;
        let clock = Arc::new(OnceClock { boot: Instant::now(), left: AtomicU32::new(question) });
        let runner = Arc::new(fleet.runner().await);
        let worker = fleet.idle_worker("w1", Signer::unsigned(), runner, clock).await;
        let _run = tokio::spawn(async move { worker.run().await });
        let result = soon("the end", engine.run(ExecutionRequest::shell("true"))).await.unwrap();
        let expected = match question {
            3 => Ending::WorkerLost { worker: "w1".into(), attempts: 1 },
            _ => Ending::Exited { code: 0 },
        };
        assert_eq!(result.ending, expected, "{question}");
    }
}
