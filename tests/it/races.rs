//! Races: the first cause decides, every later call is refused, and result, status and events agree.

use std::sync::Barrier;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

const RACERS: usize = 50;

/// Runs a closure on many threads at the same moment.
fn all_at_once<T: Send>(racers: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start_line = Barrier::new(racers);
    let race = |number| {
        start_line.wait();
        work(number)
    };
    let race = &race;
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..racers).map(|number| scope.spawn(move || race(number))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    })
}

#[tokio::test]
async fn one_of_many_concurrent_cancels_succeeds() {
    for _ in 0..10 {
        let engine = engine();
        let id = engine.execute(shell("sleep 60")).await.unwrap();
        let answers = all_at_once(RACERS, |_| at_once(engine.cancel(id)));
        let (done, late): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), late.len()), (1, RACERS - 1));
        let told = ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Cancelled };
        assert!(late.iter().all(|answer| *answer == Err(told.clone())), "{late:?}");
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(result.ending, Ending::Cancelled);
    }
}

#[tokio::test]
async fn one_of_many_requests_with_the_same_id_runs() {
    let home = TempDir::new().unwrap();
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let diary = home.path().join("diary");
    let request = shell(format!("echo ran >>'{}'", diary.display()));
    let id = request.id;
    let answers = all_at_once(RACERS, |_| at_once(engine.execute(request.clone())));
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len(), refused.len()), (1, RACERS - 1));
    assert!(refused.iter().all(|answer| *answer == Err(ExecutionError::DuplicateId(id))));
    soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(std::fs::read_to_string(diary).unwrap(), "ran\n");
    assert_eq!((engine.total_count().await, engine.running_count().await), (1, 0));
    let starts = |event: &&ExecutionEvent| matches!(event, ExecutionEvent::Started { .. });
    assert_eq!(recorder.all_of(id).await.iter().filter(starts).count(), 1);
}

/// Checks that result, status and events agree on the ending of an execution, and returns it.
async fn all_agree(engine: &ExecutionEngine, recorder: &Recorder, id: Uuid) -> Ending {
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.status, result.ending.status());
    assert_eq!(engine.get_status(id).await, Ok(result.status));
    let events = recorder.all_of(id).await;
    let terminal: Vec<_> = events.iter().filter(|event| event.is_terminal()).collect();
    let fits = match (terminal.as_slice(), &result.ending) {
        ([ExecutionEvent::Completed { exit_code, .. }], Ending::Exited { code }) => {
            exit_code == code
        }
        ([ExecutionEvent::Cancelled { .. }], Ending::Cancelled) => true,
        ([ExecutionEvent::Timeout { .. }], Ending::TimedOut { .. }) => true,
        _ => false,
    };
    assert!(fits && events.last() == Some(terminal[0]), "{result:?}\n{events:?}");
    result.ending
}

#[tokio::test]
async fn cancel_racing_the_exit_has_one_winner() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let mut race = Race::new(Duration::from_millis(1));
    while race.continues(200) {
        let id = engine.execute(shell("exit 3")).await.unwrap();
        pause(race.delay()).await;
        let cancelled = engine.cancel(id).await;
        let ending = all_agree(&engine, &recorder, id).await;
        match cancelled {
            Ok(()) => {
                race.was_early();
                assert_eq!(ending, Ending::Cancelled, "an accepted cancel is the ending");
            }
            Err(error) => {
                race.was_late();
                assert_eq!(error.error_code(), "already_ended");
                assert_eq!(ending, Ending::Exited { code: 3 });
            }
        }
    }
}

#[tokio::test]
async fn timeout_racing_the_exit_has_one_winner() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let mut race = Race::new(Duration::from_millis(20));
    while race.continues(100) {
        let request = shell("sleep 0.01").timeout(race.delay().max(Duration::from_millis(1)));
        let timeout_ms = request.timeout_ms.unwrap();
        let id = engine.execute(request).await.unwrap();
        match all_agree(&engine, &recorder, id).await {
            Ending::TimedOut { timeout_ms: reported } => {
                race.was_early();
                assert_eq!(reported, timeout_ms);
            }
            ending => {
                race.was_late();
                assert_eq!(ending, Ending::Exited { code: 0 });
            }
        }
    }
}

#[tokio::test]
async fn one_of_many_concurrent_removals_succeeds() {
    for _ in 0..20 {
        let engine = engine();
        let id = engine.execute(shell("exit 0")).await.unwrap();
        soon("its end", engine.wait_for_completion(id)).await.unwrap();
        let answers = all_at_once(8, |_| at_once(engine.remove_execution(id)));
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(engine.total_count().await, 0);
    }
}

/// Looks without pause until there is something to see: a sleep would miss the moment of the end.
fn look_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn terminal_status_implies_result_available() {
    let engine = engine();
    for _ in 0..200 {
        let id = engine.execute(shell("head -c 200000 /dev/zero")).await.unwrap();
        look_until(|| at_once(engine.get_status(id)).unwrap().is_terminal().then_some(()));
        assert!(at_once(engine.get_result(id)).unwrap().is_some(), "it has ended");
        assert_eq!(at_once(engine.remove_execution(id)), Ok(()));
    }
}

#[tokio::test]
async fn listed_terminal_status_implies_ending() {
    let engine = engine();
    for _ in 0..200 {
        let id = engine.execute(shell("head -c 200000 /dev/zero")).await.unwrap();
        let listed = look_until(|| {
            let one = at_once(engine.list_executions()).into_iter().find(|one| one.id == id);
            one.filter(|one| one.status.is_terminal())
        });
        assert_eq!(listed.ending.map(|ending| ending.status()), Some(listed.status));
        soon("its end", engine.wait_for_completion(id)).await.unwrap();
        at_once(engine.remove_execution(id)).unwrap();
    }
}

#[tokio::test]
async fn terminal_plan_status_implies_removable() {
    let engine = engine();
    for _ in 0..200 {
        let plan = ExecutionPlan::parallel([shell("true")]);
        let id = engine.execute_plan(plan).await.unwrap();
        look_until(|| at_once(engine.get_plan_status(id)).unwrap().is_terminal().then_some(()));
        assert_eq!(at_once(engine.remove_plan(id)), Ok(()));
        assert!(at_once(engine.list_plans()).is_empty());
    }
}

#[tokio::test]
async fn concurrent_queries_and_cleanup_disturb_no_execution() {
    let recorder = Recorder::new();
    let engine = engine_with(|config| config.max_in_memory_executions = 5)
        .with_event_handler(recorder.clone());
    let answers = all_at_once(8, |number| {
        let mut accepted = Vec::new();
        for round in 0..25 {
            match number % 4 {
                0 => drop(at_once(engine.list_executions())),
                1 => drop(at_once(engine.cleanup_old_executions())),
                2 => drop(engine.available_permits()),
                _ => {
                    let request = shell(format!("exit {round}"));
                    accepted.push(at_once(engine.execute(request)).unwrap());
                }
            }
        }
        accepted
    });
    for id in answers.into_iter().flatten() {
        recorder.all_of(id).await;
    }
    assert_eq!((engine.running_count().await, engine.total_count().await), (0, 5));
}
