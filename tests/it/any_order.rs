//! Random calls of several users in random order: each execution ends once, result, status and
//! events agree, and nothing is left. A failure prints the seed of the order.

use std::collections::HashSet;

use execution_engine::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use test_support::levels::levels;
use test_support::*;
use tokio::task::JoinSet;

const LIMIT: usize = 12;

/// Call that one of several users of an engine makes.
#[derive(Debug, Clone)]
enum Step {
    Execute(&'static str, Option<u64>),
    /// Acts on one of the executions so far.
    Do(Action, prop::sample::Index),
    CleanUp,
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Cancel,
    Pause,
    Resume,
    Hangup,
    Wait,
    Look,
    Watch,
    ReadLog,
    Remove,
}

const LINES: [&str; 10] = [
    "exit 0",
    "echo out; echo err >&2; exit 7",
    "sleep 0.05",
    "sleep 300",
    "trap '' TERM HUP; sleep 300; sleep 300",
    "sleep 300 & sleep 300 & exit 1",
    "seq 1 20000",
    "yes | head -c 200000; sleep 300",
    "kill -KILL $$",
    "kill -STOP $$; exit 0",
];

fn any_step() -> impl Strategy<Value = Step> {
    use Action::*;
    let line = prop::sample::select(&LINES[..]);
    // Nothing runs longer than this, so that the test ends.
    let timeout = prop_oneof![Just(Some(20)), Just(Some(200))];
    let actions = vec![Cancel, Cancel, Pause, Resume, Hangup, Wait, Look, Watch, ReadLog, Remove];
    let action = prop::sample::select(actions);
    prop_oneof![
        4 => (line, timeout).prop_map(|(line, timeout)| Step::Execute(line, timeout)),
        8 => (action, any::<prop::sample::Index>()).prop_map(|(action, of)| Step::Do(action, of)),
        1 => Just(Step::CleanUp),
        1 => Just(Step::List),
    ]
}

fn engine_at(level: ContainmentLevel, recorder: &Arc<Recorder>, logs: PathBuf) -> ExecutionEngine {
    ExecutionEngine::builder()
        .config(ExecutionConfig {
            max_concurrent_executions: LIMIT,
            max_in_memory_executions: 10,
            max_output_size_bytes: 10_000,
            log_dir: Some(logs),
            ..Default::default()
        })
        .stop_grace(Duration::from_millis(30))
        .max_pause(Duration::from_millis(100))
        .containment(level)
        .event_handler(recorder.clone())
        .build()
        .unwrap()
}

/// Makes one call; refusals that can occur at any time are accepted.
async fn take(engine: &ExecutionEngine, step: Step, known: &mut Vec<Uuid>) {
    let refused = |error: ExecutionError| {
        let code = error.error_code();
        let expected = [
            "not_found",
            "already_ended",
            "still_running",
            "concurrency_limit_reached",
            "control_failed",
        ];
        assert!(expected.contains(&code), "{error}");
    };
    match step {
        Step::Execute(line, timeout_ms) => {
            let request = ExecutionRequest { timeout_ms, ..shell(line) };
            match engine.execute(request).await {
                Ok(id) => known.push(id),
                Err(error) => refused(error),
            }
        }
        Step::Do(_, _) if known.is_empty() => {}
        Step::Do(action, of) => {
            let id = *of.get(known);
            let done = match action {
                Action::Cancel => engine.cancel(id).await,
                Action::Pause => soon("a pause", engine.pause(id)).await,
                Action::Resume => soon("a resume", engine.resume(id)).await,
                Action::Hangup => {
                    soon("a signal", engine.signal(id, Signal::Hangup)).await.map(drop)
                }
                Action::Wait => soon("an end", engine.wait_for_completion(id)).await.map(drop),
                Action::Look => engine.get_result(id).await.map(drop),
                Action::Watch => match engine.subscribe(id).await {
                    Err(error) => Err(error),
                    Ok(mut records) => {
                        let watch = async { while records.next().await.is_some() {} };
                        soon("the end of a subscription", watch).await;
                        Ok(())
                    }
                },
                Action::ReadLog => engine.read_logs(id).await.map(drop),
                Action::Remove => engine.remove_execution(id).await,
            };
            done.unwrap_or_else(refused);
        }
        Step::CleanUp => drop(engine.cleanup_old_executions().await),
        Step::List => {
            let running = engine.list_executions().await;
            let running = running.iter().filter(|one| !one.status.is_terminal()).count();
            assert!(running <= LIMIT, "{running} at a time");
        }
    }
}

/// Runs the calls of several concurrent users at one level.
async fn play(level: ContainmentLevel, users: Vec<Vec<Step>>, kinds: &mut HashSet<&'static str>) {
    let home = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let engine = engine_at(level, &recorder, home.path().join("logs"));
    let mut tasks = JoinSet::new();
    for steps in users {
        let engine = engine.clone();
        tasks.spawn(async move {
            let mut known = Vec::new();
            for step in steps {
                take(&engine, step, &mut known).await;
            }
            known
        });
    }
    let started: Vec<Uuid> = tasks.join_all().await.into_iter().flatten().collect();
    for id in started {
        let events = recorder.all_of(id).await;
        let terminal = events.iter().filter(|event| event.is_terminal()).count();
        assert_eq!(terminal, 1, "{events:?}");
        assert!(events.last().unwrap().is_terminal(), "{events:?}");
        let (kind, status) = match events.last().unwrap() {
            ExecutionEvent::Completed { success: true, .. } => ("ok", ExecutionStatus::Completed),
            ExecutionEvent::Completed { .. } => ("failed", ExecutionStatus::Failed),
            ExecutionEvent::Cancelled { .. } => ("cancelled", ExecutionStatus::Cancelled),
            ExecutionEvent::Timeout { .. } => ("timeout", ExecutionStatus::Timeout),
            other => panic!("{other:?}"),
        };
        kinds.insert(kind);
        if let Ok(Some(result)) = engine.get_result(id).await {
            assert_eq!((result.status, result.ending.status()), (status, status), "{result:?}");
            assert!(result.containment.survivors.is_empty(), "{result:?}");
        }
    }
    assert_eq!((engine.running_count().await, engine.available_permits()), (0, LIMIT));
    assert!(engine.total_count().await <= 10);
    drop(engine);
    until("every child is reaped", || own_zombies() == 0).await;
}

#[test]
fn any_order_of_calls_gives_each_execution_one_ending() {
    let seed: [u8; 32] = match std::env::var("ANY_ORDER_SEED") {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) => std::array::from_fn(|at| Uuid::new_v4().as_bytes()[at % 2]),
    };
    eprintln!("again: ANY_ORDER_SEED='{}'", serde_json::to_string(&seed).unwrap());
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
    );
    let users = prop::collection::vec(prop::collection::vec(any_step(), 30), 6);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut kinds = HashSet::new();
    // One round at each level, and more until each kind of ending has occurred.
    for _ in 0..10 {
        for level in levels() {
            let users = users.new_tree(&mut runner).unwrap().current();
            runtime.block_on(play(level, users, &mut kinds));
        }
        if kinds.len() == 4 {
            return;
        }
    }
    panic!("only these endings occurred: {kinds:?}");
}
