//! Thousands of executions with every kind of ending leave no descriptor, thread, zombie, control group
//! or file.
//!
//! The only test of this binary: it looks at the whole process.

use std::collections::{HashMap as Counts, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;
use tokio::task::JoinSet;

const EXECUTIONS: usize = 2000;
/// Number at the weaker levels, which look through all processes of the machine each time.
const FEWER: usize = 200;
const AT_A_TIME: usize = 100;

/// Call that follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Wait,
    Cancel,
    /// No call follows.
    Forget,
}

/// Returns the request and the next call of a number: together all kinds of endings.
fn work(number: usize, home: &Path) -> (ExecutionRequest, Then) {
    let no_program = home.join("no-program").to_str().unwrap().to_string();
    let brief = |line: &str| shell(line).timeout(Duration::from_millis(40));
    let log = home.join("raw.log");
    match number % 16 {
        0 => (shell("echo out; echo err >&2"), Then::Wait),
        1 => (shell("exit 7").output_log(log), Then::Wait),
        2 => (shell("kill -KILL $$"), Then::Wait),
        3 => (shell("head -c 5000 /dev/zero"), Then::Wait),
        4 => (brief("sleep 60"), Then::Wait),
        5 => (brief("trap '' TERM; sleep 60; sleep 60"), Then::Wait),
        6 => (brief("kill -STOP $$"), Then::Wait),
        7 => (brief("yes"), Then::Wait),
        8 => (ExecutionRequest::exec::<String>(no_program, []), Then::Wait),
        9 => (shell("sleep 60 & sleep 60 & exit 1"), Then::Wait),
        10 => (shell("sleep 60 | sleep 60 | sleep 60"), Then::Cancel),
        11 => (shell("exec >&- 2>&-; sleep 60"), Then::Cancel),
        12 => (ExecutionRequest::exec("sleep", ["60"]), Then::Cancel),
        13 => (shell("exit 0"), Then::Forget),
        14 => (brief("(sleep 60 & sleep 60 & sleep 60) & wait; sleep 60"), Then::Forget),
        // Refused: it leaves nothing.
        _ => (shell("").output_log(log), Then::Wait),
    }
}

/// Ending in a word, and the overflow file.
type Outcome = (String, Option<PathBuf>);

async fn one(engine: ExecutionEngine, (request, then): (ExecutionRequest, Then)) -> Outcome {
    let id = request.id;
    let options = ExecutionOptions::default().stop_grace(Duration::from_millis(20));
    match engine.execute_with(request, options).await {
        Err(ExecutionError::Validation(_)) => return ("refused".to_string(), None),
        started => assert_eq!(started, Ok(id)),
    }
    match then {
        Then::Wait => {}
        // On a busy machine it may have ended by itself.
        Then::Cancel => drop(engine.cancel(id).await),
        Then::Forget => return ("forgotten".to_string(), None),
    }
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.containment.survivors.is_empty(), "{result:?}");
    let ending = result.ending.to_string();
    let kind = ending.split(':').next().unwrap_or_default();
    (kind.to_string(), result.stdout_overflow_file)
}

fn engine_at(
    level: ContainmentLevel,
    oversized_output_strategy: OversizedOutputStrategy,
    home: &Path,
) -> ExecutionEngine {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig {
            // Executions without a waiter may still run when others start.
            max_concurrent_executions: 2 * AT_A_TIME,
            max_in_memory_executions: 50,
            max_output_size_bytes: 1000,
            oversized_output_strategy,
            log_dir: Some(home.join("logs")),
            ..ExecutionConfig::default()
        })
        .containment(level)
        .event_handler(Recorder::new())
        .build()
        .unwrap();
    Arc::new(engine.clone()).start_cleanup_task();
    engine
}

/// Runs the mixture through engines of its own, drops them, and returns the overflow files.
async fn run_mixture(level: ContainmentLevel, count: usize) -> HashSet<PathBuf> {
    let begun = std::time::Instant::now();
    let home = TempDir::new().unwrap();
    let no_program = home.path().join("no-program");
    fs::write(&no_program, "\x7fELF, but not really").unwrap();
    fs::set_permissions(&no_program, fs::Permissions::from_mode(0o755)).unwrap();
    let strategies =
        [OversizedOutputStrategy::StreamToFile, OversizedOutputStrategy::FailExecution];
    let engines = strategies.map(|strategy| engine_at(level, strategy, home.path()));

    let mut outcomes = Vec::new();
    let mut tasks = JoinSet::new();
    for (place, engine) in (0..count).zip(engines.iter().cycle()) {
        if tasks.len() == AT_A_TIME {
            outcomes.extend(soon("one of them", tasks.join_next()).await);
        }
        tasks.spawn(one(engine.clone(), work(place / 2, home.path())));
    }
    while let Some(outcome) = soon("one of them", tasks.join_next()).await {
        outcomes.push(outcome);
    }
    for engine in &engines {
        forgotten(engine).await;
        assert_eq!((engine.running_count().await, engine.available_permits()), (0, 2 * AT_A_TIME));
    }
    let mut endings = Counts::<String, usize>::new();
    let mut files = HashSet::new();
    for (kind, file) in outcomes.into_iter().map(Result::unwrap) {
        *endings.entry(kind).or_default() += 1;
        files.extend(file);
    }
    eprintln!("{level}: {:.1?}, {endings:?}", begun.elapsed());
    assert!(endings.len() >= 10 && endings.values().sum::<usize>() == count, "{endings:?}");
    files
}

/// Waits for the executions without a waiter.
async fn forgotten(engine: &ExecutionEngine) {
    for one in engine.list_executions().await {
        if !one.status.is_terminal() {
            soon("a forgotten one", engine.wait_for_completion(one.id)).await.unwrap();
        }
    }
}

/// Returns the control groups that this process has created.
fn own_groups() -> Vec<PathBuf> {
    let prefix = format!("execution-engine.{}.", std::process::id());
    let Some(dir) = own_group() else { return Vec::new() };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

fn own_group() -> Option<PathBuf> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = group.lines().find_map(|line| line.strip_prefix("0::/"))?.to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    Some(Path::new(mount.split(' ').nth(4)?).join(group))
}

#[tokio::test]
async fn two_thousand_executions_leave_nothing() {
    let threads_before = threads();
    for (level, executions) in [
        (ContainmentLevel::Cgroup, EXECUTIONS),
        (ContainmentLevel::ProcessTree, FEWER),
        (ContainmentLevel::ProcessGroup, FEWER),
    ] {
        if let Err(error) = ExecutionEngine::builder().containment(level).build() {
            eprintln!("SKIPPED: {error}");
            continue;
        }
        // A process opens some resources once and keeps them.
        run_mixture(level, 32).await;
        until("the threads of the first are gone", || threads() == threads_before).await;
        let descriptors_before = open_descriptors();

        let files = run_mixture(level, executions).await;

        until("every thread is gone", || threads() == threads_before).await;
        until("every descriptor is closed", || open_descriptors() == descriptors_before).await;
        until("every child is reaped", || own_zombies() == 0).await;
        until("every control group is removed", || own_groups().is_empty()).await;
        assert!(!files.is_empty());
        for file in &files {
            assert!(!file.parent().unwrap().exists(), "{} is left", file.display());
        }
    }
}
