//! A stop that comes together with a start: either nothing starts, or it is told.

use std::fs;
use std::path::Path;
use std::thread;

use super::*;

/// Returns a command that leaves a mark for each of its runs.
fn marks(file: &Path) -> ExecutionRequest {
    shell(format!("echo ran >> {}; sleep 60", file.display()))
}

/// Gives an execution a log in many directories that do not exist, so that much time passes between
/// its admission and its start.
fn slowly(request: ExecutionRequest, dir: &TempDir) -> ExecutionRequest {
    let dirs = dir.path().join(Uuid::new_v4().to_string()).join("a/".repeat(30));
    request.output_log(dirs.join("log"))
}

fn marks_left(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// Checks that all starts were told; returns how many there were.
async fn told(recorder: &Recorder, result: &ExecutionResult, file: &Path) -> usize {
    let events = recorder.all_of(result.id).await;
    let starts = starts(&events);
    assert!(marks_left(file) <= starts, "it ran untold: {events:?}");
    assert_eq!(result.attempts as usize, starts, "{events:?}");
    assert!(result.usage.is_none() || starts > 0, "{result:?}");
    let to_running = |event: &&ExecutionEvent| {
        let running = ExecutionStatus::Running;
        matches!(event, ExecutionEvent::StatusChanged { to, .. } if *to == running)
    };
    assert_eq!(events.iter().filter(to_running).count(), starts.min(1), "{events:?}");
    starts
}

/// Counts who won the race of a cancel with the start that comes after `earlier` ones.
fn cancelled_after(earlier: usize, race: &mut Race, starts: usize, result: &ExecutionResult) {
    assert_eq!(result.ending, Ending::Cancelled);
    if starts == earlier { race.was_early() } else { race.was_late() }
}

/// Starts an execution, while another thread acts at this delay after its admission.
fn started_beside(
    engine: &ExecutionEngine,
    request: ExecutionRequest,
    delay: Duration,
    act: impl FnOnce() + Send,
) {
    let id = request.id;
    thread::scope(|scope| {
        scope.spawn(|| {
            look_until(|| at_once(engine.get_status(id)).ok());
            spin(delay);
            act();
        });
        at_once(engine.execute(request)).unwrap();
    });
}

fn recorded(builder: EngineBuilder) -> (ExecutionEngine, Arc<Recorder>) {
    let recorder = Recorder::new();
    let builder = builder.event_handler(Arc::clone(&recorder) as Arc<_>);
    (builder.stop_grace(Duration::ZERO).build().unwrap(), recorder)
}

#[tokio::test]
async fn cancel_between_admission_and_start_prevents_it_or_it_is_told() {
    let (engine, recorder) = recorded(limited_to(100));
    let dir = TempDir::new().unwrap();
    let mut race = Race::new(Duration::from_micros(500));
    while race.continues(200) {
        let file = dir.path().join(Uuid::new_v4().to_string());
        let request = slowly(marks(&file), &dir);
        let (id, delay) = (request.id, race.delay());
        started_beside(&engine, request, delay, || at_once(engine.cancel(id)).unwrap());
        let result = ended(&engine, id).await;
        cancelled_after(0, &mut race, told(&recorder, &result, &file).await, &result);
    }
}

#[tokio::test]
async fn cancel_at_the_end_of_the_queue_prevents_the_start_or_it_is_told() {
    let (engine, recorder) = recorded(queueing(1, 9));
    let dir = TempDir::new().unwrap();
    let mut race = Race::new(Duration::from_millis(2));
    while race.continues(100) {
        let file = dir.path().join(Uuid::new_v4().to_string());
        let holder = engine.execute(shell("exec sleep 60")).await.unwrap();
        let waiting = engine.execute(marks(&file)).await.unwrap();
        engine.cancel(holder).await.unwrap();
        spin(race.delay());
        engine.cancel(waiting).await.unwrap();
        let result = ended(&engine, waiting).await;
        cancelled_after(0, &mut race, told(&recorder, &result, &file).await, &result);
        ended(&engine, holder).await;
    }
}

#[tokio::test]
async fn cancel_between_attempts_prevents_the_next_or_it_is_told() {
    let (engine, recorder) = recorded(limited_to(100));
    let dir = TempDir::new().unwrap();
    let retry = RetryPolicy::new(2).initial_delay(Duration::ZERO).jitter(Jitter::None);
    let mut race = Race::new(Duration::from_millis(2));
    while race.continues(100) {
        let file = dir.path().join(Uuid::new_v4().to_string());
        let line = format!("echo ran >> {0}; [ $(wc -l < {0}) = 2 ] && sleep 60", file.display());
        let options = ExecutionOptions::default().retry(retry.clone());
        let id = engine.execute_with(shell(line), options).await.unwrap();
        spin(race.delay());
        engine.cancel(id).await.unwrap();
        let result = ended(&engine, id).await;
        cancelled_after(1, &mut race, told(&recorder, &result, &file).await, &result);
    }
}

#[tokio::test]
async fn shutdown_at_the_start_prevents_it_or_stops_it() {
    let dir = TempDir::new().unwrap();
    let mut race = Race::new(Duration::from_micros(500));
    while race.continues(50) {
        let (engine, recorder) = recorded(limited_to(100));
        let file = dir.path().join(Uuid::new_v4().to_string());
        let request = slowly(marks(&file), &dir);
        let (id, delay) = (request.id, race.delay());
        started_beside(&engine, request, delay, || {
            let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
            let mut shutdown = Box::pin(engine.shutdown(Duration::ZERO));
            let _begun = shutdown.as_mut().poll(&mut nobody);
        });
        let result = ended(&engine, id).await;
        match told(&recorder, &result, &file).await {
            0 => {
                race.was_early();
                let reason = SkipReason::EngineClosed;
                assert_eq!(result.ending, Ending::NotRun { reason });
            }
            _ => {
                race.was_late();
                assert_eq!(result.ending, Ending::EngineClosed);
            }
        }
    }
}
