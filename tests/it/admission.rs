//! Admission: never more live executions than the limit, every ending returns its permit, and a
//! refused request leaves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Barrier;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;
use tokio::task::JoinSet;

const LIMIT: usize = 10;
const CALLS: usize = 200;

fn limited(limit: usize) -> ExecutionEngine {
    engine_with(|config| config.max_concurrent_executions = limit)
}

fn permits(engine: &ExecutionEngine) -> (usize, usize) {
    (at_once(engine.running_count()), engine.available_permits())
}

// -------------------------------------------------------------------------------------- the exact limit

#[tokio::test]
async fn concurrent_calls_are_accepted_exactly_up_to_the_limit() {
    let home = TempDir::new().unwrap();
    let (logs, gate) = (home.path().join("logs"), home.path().join("gate"));
    let recorder = Recorder::new();
    let engine = engine_with(|config| {
        config.max_concurrent_executions = LIMIT;
        config.log_dir = Some(logs.clone());
    })
    .with_event_handler(recorder.clone());
    let start_line = Barrier::new(CALLS);
    let racers = || {
        let request = shell(wait_for(&gate));
        let id = request.id;
        start_line.wait();
        (id, at_once(engine.execute(request)))
    };

    let answers: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..CALLS).map(|_| scope.spawn(racers)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });

    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.is_ok());
    assert_eq!((accepted.len(), refused.len()), (LIMIT, CALLS - LIMIT));
    assert_eq!(permits(&engine), (LIMIT, 0));
    assert_eq!(engine.total_count().await, LIMIT, "no record of a refused one");
    assert_eq!(fs::read_dir(&logs).unwrap().count(), LIMIT, "no log of a refused one");
    for (id, answer) in &refused {
        assert_eq!(*answer, Err(ExecutionError::ConcurrencyLimitReached(LIMIT)));
        assert_eq!(engine.get_status(*id).await, Err(ExecutionError::NotFound(*id)));
    }

    fs::write(&gate, "").unwrap();
    for (id, _) in &accepted {
        let result = soon("an accepted one", engine.wait_for_completion(*id)).await.unwrap();
        assert_eq!(result.ending, Ending::Exited { code: 0 });
        recorder.all_of(*id).await;
    }
    assert_eq!(permits(&engine), (0, LIMIT));
    assert!(
        refused.iter().all(|(id, _)| recorder.of(*id).is_empty()),
        "a refused request has events"
    );
}

/// Tries again until the engine accepts the request.
async fn insist(engine: &ExecutionEngine, request: ExecutionRequest) -> ExecutionResult {
    loop {
        match engine.run(request.clone()).await {
            Err(ExecutionError::ConcurrencyLimitReached(LIMIT)) => {
                let all = engine.list_executions().await;
                if let Some(one) = all.iter().find(|one| !one.status.is_terminal()) {
                    engine.wait_for_completion(one.id).await.unwrap();
                }
                tokio::task::yield_now().await;
            }
            result => return result.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_never_run_above_the_limit() {
    let home = TempDir::new().unwrap();
    let diary = home.path().join("diary");
    let engine = limited(LIMIT);
    let mut all = JoinSet::new();
    for _ in 0..CALLS {
        // One write each, at the end of the file: their order is that of the writes.
        let line = format!("exec >>'{}'; echo +1; sleep 0.01; echo -1", diary.display());
        let engine = engine.clone();
        all.spawn(async move { insist(&engine, shell(line)).await });
    }
    let results = soon("all of them", all.join_all()).await;
    assert!(results.iter().all(|result| result.success));

    let diary = fs::read_to_string(diary).unwrap();
    let steps: Vec<isize> = diary.lines().map(|line| line.parse().unwrap()).collect();
    let alive = steps.iter().scan(0, |alive, step| {
        *alive += step;
        Some(*alive)
    });
    assert_eq!((steps.len(), steps.iter().sum::<isize>()), (2 * CALLS, 0));
    assert!(alive.max() <= Some(10), "{diary}");
    assert_eq!(permits(&engine), (0, LIMIT));
}

// ------------------------------------------------------------------------------------------- permits

/// Returns an executable file that is not a program.
fn no_program(home: &TempDir) -> ExecutionRequest {
    let path = home.path().join("no-program");
    fs::write(&path, "\x7fELF, but not really").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    ExecutionRequest::exec::<String>(path.to_str().unwrap(), [])
}

#[tokio::test]
async fn every_ending_returns_its_permit_before_waiters_wake() {
    let home = TempDir::new().unwrap();
    // With a single permit, a leak stops all that follow.
    let engine = engine_with(|config| {
        config.max_concurrent_executions = 1;
        config.max_output_size_bytes = 1000;
        config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
    });
    let ends = async |request: ExecutionRequest, options: ExecutionOptions| {
        let id = engine.execute_with(request, options).await.unwrap();
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(permits(&engine), (0, 1), "after {}", result.ending);
        result.ending
    };
    let plain = ExecutionOptions::default;
    let short = |line: &str| shell(line).timeout(Duration::from_millis(50));
    let no_grace = plain().stop_grace(Duration::ZERO);
    let mut limits = Limits::default();
    (limits.file_size_bytes, limits.core_bytes) = (Some(100), Some(0));

    for _ in 0..3 {
        assert_eq!(ends(shell("exit 0"), plain()).await, Ending::Exited { code: 0 });
        assert_eq!(ends(shell("exit 9"), plain()).await, Ending::Exited { code: 9 });
        assert_eq!(
            ends(shell("kill -KILL $$"), plain()).await,
            Ending::Signaled { signal: 9, core_dumped: false }
        );
        assert_eq!(ends(shell("sleep 60 & exit 4"), plain()).await, Ending::Exited { code: 4 });
        assert_eq!(ends(short("sleep 60"), plain()).await, Ending::TimedOut { timeout_ms: 50 });
        assert_eq!(
            ends(short("trap '' TERM; sleep 60"), no_grace.clone()).await,
            Ending::TimedOut { timeout_ms: 50 }
        );
        assert_eq!(
            ends(shell("yes"), plain()).await,
            Ending::OutputLimit { stream: OutputStream::Stdout, limit: 1000 }
        );
        let big_file = format!("head -c 1000 /dev/zero >'{}'", home.path().join("big").display());
        assert_eq!(
            ends(shell(format!("exec {big_file}")), plain().limits(limits)).await,
            Ending::ResourceLimit { limit: ResourceLimit::FileSize }
        );
        let unstarted = ends(no_program(&home), plain()).await;
        assert!(matches!(unstarted, Ending::SpawnFailed { .. }), "{unstarted:?}");

        let id = engine.execute(shell("sleep 60")).await.unwrap();
        engine.cancel(id).await.unwrap();
        let result = soon("the cancelled one", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!((result.ending, permits(&engine)), (Ending::Cancelled, (0, 1)));
    }
}

#[tokio::test]
async fn permit_is_held_until_the_last_process_has_exited() {
    let home = TempDir::new().unwrap();
    let (asked, gate) = (home.path().join("asked"), home.path().join("gate"));
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .stop_grace(PATIENCE)
        .build()
        .unwrap();
    let reluctant = format!(
        "trap 'echo asked >{}' TERM; echo ready; {}",
        asked.display(),
        // The signal ends the sleep, and the loop continues.
        wait_for(&gate)
    );
    let recorder = Recorder::new();
    let engine = engine.with_event_handler(recorder.clone());
    let id = engine.execute(shell(reluctant)).await.unwrap();
    recorder.when(id, |events| !lines_of(events, OutputStream::Stdout).is_empty()).await;
    engine.cancel(id).await.unwrap();
    when_written(&asked).await;

    assert_eq!(permits(&engine), (1, 0), "it is being stopped, and still there");
    let refused = engine.execute(shell("exit 0")).await;
    assert_eq!(refused, Err(ExecutionError::ConcurrencyLimitReached(1)));

    fs::write(&gate, "").unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.ending, permits(&engine)), (Ending::Cancelled, (0, 1)));
}

#[tokio::test]
async fn failed_spawn_returns_its_permit_without_a_waiter() {
    let home = TempDir::new().unwrap();
    let recorder = Recorder::new();
    let engine = limited(1).with_event_handler(recorder.clone());
    let id = engine.execute(no_program(&home)).await.unwrap();
    recorder.all_of(id).await;
    assert_eq!(permits(&engine), (0, 1));
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Failed));
}

// ------------------------------------------------------------------------------------ dropped half-way

#[tokio::test]
async fn dropped_call_has_started_an_execution_or_left_nothing() {
    let engine = limited(1);
    drop(engine.execute(shell("exit 0")));
    drop(engine.run(shell("exit 0")));
    assert_eq!(permits(&engine), (0, 1));
    assert_eq!(engine.total_count().await, 0);

    // Polled once, `run` has started its program, and waits.
    let home = TempDir::new().unwrap();
    let gate = home.path().join("gate");
    let request = shell(format!("{}; exit 3", wait_for(&gate)));
    let id = request.id;
    tokio::select! {
        biased;
        _ended = engine.run(request) => panic!("the gate is closed"),
        () = async {} => {}
    }
    assert_eq!(permits(&engine), (1, 0));
    fs::write(gate, "").unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.ending, permits(&engine)), (Ending::Exited { code: 3 }, (0, 1)));
}

#[tokio::test]
async fn aborted_callers_leak_no_permit() {
    let engine = limited(100);
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let (engine, request) = (engine.clone(), shell(format!("exit {number}")));
        tasks.spawn(async move { engine.run(request).await });
        if number % 3 == 0 {
            tokio::task::yield_now().await;
        }
        tasks.abort_all();
    }
    while tasks.join_next().await.is_some() {}
    for one in engine.list_executions().await {
        soon("its end", engine.wait_for_completion(one.id)).await.unwrap();
    }
    assert_eq!(permits(&engine), (0, 100));
}

// ------------------------------------------------------------------------------------ order of refusals

#[tokio::test]
async fn validation_error_comes_before_the_limit_error() {
    let engine = limited(1);
    let busy = shell("sleep 60");
    let id = engine.execute(busy.clone()).await.unwrap();

    let invalid = engine.execute(shell("")).await;
    assert!(matches!(invalid, Err(ExecutionError::Validation(_))), "{invalid:?}");
    assert_eq!(engine.execute(busy).await, Err(ExecutionError::DuplicateId(id)));
    let full = engine.execute(shell("exit 0")).await;
    assert_eq!(full, Err(ExecutionError::ConcurrencyLimitReached(1)));
    assert_eq!((permits(&engine), engine.total_count().await), ((1, 0), 1));
    engine.cancel(id).await.unwrap();
}

#[tokio::test]
async fn refused_request_runs_nothing_and_its_id_stays_free() {
    let home = TempDir::new().unwrap();
    let engine = limited(1);
    let busy = engine.execute(shell("sleep 60")).await.unwrap();
    let mark = |name: &str| home.path().join(name);
    let touch = |file: &Path| shell(format!("echo >'{}'", file.display()));
    let request = touch(&mark("ran")).output_log(mark("raw/out.log"));

    let refused = engine.execute(request.clone()).await;
    assert_eq!(refused, Err(ExecutionError::ConcurrencyLimitReached(1)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);

    engine.cancel(busy).await.unwrap();
    soon("its end", engine.wait_for_completion(busy)).await.unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "it was never queued either");
    let result = soon("the same again", engine.run(request)).await.unwrap();
    assert!(result.success && mark("ran").exists() && mark("raw/out.log").exists());
}
