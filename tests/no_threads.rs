//! Hosts whose user may have no more processes, and so no more threads: what needs a thread is
//! refused with a reason, nothing is left of it, and it works when there is room again.
//!
//! The limit is that of a user, so each test runs in a host of its own, as a user without other
//! processes.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use execution_engine::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::announce;
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "start_without_room_for_threads_is_refused";

/// The first of the users of these tests, who have no other processes.
const USERS: u32 = 61_900;

/// More threads than an engine with one execution, a handler and logs starts.
const ENOUGH: u64 = 16;

/// Panics of this process.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Runs a part in a host of its own.
fn in_poor_host(part: &str, user: u32) {
    if !rustix::process::geteuid().is_root() {
        return announce("SKIPPED: only root can become a user of its own");
    }
    let host = Host::start(HOST, &format!("{part} {user}"));
    assert_eq!(host.next_line(), "all is well", "{part}");
    assert!(host.end().success());
}

#[test]
fn start_without_room_for_threads_is_refused() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    in_poor_host("start", USERS);
}

#[test]
fn start_with_a_handler_without_room_for_threads_is_refused() {
    in_poor_host("handler", USERS + 1);
}

#[test]
fn start_with_files_without_room_for_threads_is_refused() {
    in_poor_host("files", USERS + 2);
}

#[test]
fn plan_without_room_for_threads_is_refused() {
    in_poor_host("plan", USERS + 3);
}

#[test]
fn work_of_a_running_engine_needs_no_further_threads() {
    in_poor_host("running", USERS + 4);
}

/// Plays the host of a test.
fn play(words: &[String]) {
    host::become_user(words[1].parse().unwrap());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(panic);
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let home = TempDir::new().unwrap();
        match words[0].as_str() {
            "start" => sweep(engine, Start::Execution).await,
            "handler" => {
                sweep(|| engine().with_event_handler(Recorder::new()), Start::Execution).await;
            }
            "files" => {
                let logging = |config: &mut ExecutionConfig| {
                    config.log_dir = Some(home.path().to_path_buf());
                };
                sweep(|| engine_with(logging), Start::Execution).await;
                let spilling = |config: &mut ExecutionConfig| {
                    config.oversized_output_strategy = OversizedOutputStrategy::StreamToFile;
                };
                sweep(|| engine_with(spilling), Start::Execution).await;
            }
            "plan" => sweep(|| engine().with_event_handler(Recorder::new()), Start::Plan).await,
            "running" => running(home).await,
            part => panic!("no such part: {part}"),
        }
    });
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    host::say("all is well");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Execution,
    Plan,
}

/// Starts something in engines with room for no thread, for one, and so on.
async fn sweep(new_engine: impl Fn() -> ExecutionEngine, start: Start) {
    let threads_before = threads();
    let (mut refused, mut started) = (0, 0);
    for room in 0..ENOUGH {
        let engine = new_engine();
        let id = Uuid::new_v4();
        let before = (engine.available_permits(), engine.total_count().await);
        leave_room_for(Some(room));
        let answer = start_as(&engine, id, start).await;
        leave_room_for(None);
        match answer {
            Ok(()) => started += 1,
            Err(ExecutionError::NoThreads { ref source, .. }) => {
                refused += 1;
                assert_eq!(source.os_error, Some(libc::EAGAIN));
                let error = answer.as_ref().unwrap_err();
                assert!(error.is_rejection() && error.is_retryable(), "{error:?}");
                let after = (engine.available_permits(), engine.total_count().await);
                assert_eq!(after, before, "nothing is left with room for {room}");
                start_as(&engine, id, start).await.expect("there is room again, also for its id");
            }
            Err(error) => panic!("room for {room}: {error}"),
        }
        match start {
            Start::Execution => drop(ended(&engine, id).await),
            Start::Plan => drop(soon("its end", engine.wait_for_plan(id)).await.unwrap()),
        }
        drop(engine);
        until("its threads are gone", || threads() == threads_before).await;
    }
    assert!(refused > 0 && started > 0, "{refused} refused, {started} started");
}

async fn start_as(engine: &ExecutionEngine, id: Uuid, start: Start) -> Result<()> {
    let request = || shell("echo here");
    match start {
        Start::Execution => engine.execute(ExecutionRequest { id, ..request() }).await.map(drop),
        Start::Plan => {
            let mut plan = ExecutionPlan::serial([request()]);
            plan.id = id;
            engine.execute_plan(plan).await.map(drop)
        }
    }
}

/// Counts lines.
struct Counts(Arc<AtomicUsize>);

#[async_trait]
impl EventHandler for Counts {
    async fn handle_event(&self, event: ExecutionEvent) {
        if matches!(event, ExecutionEvent::Stdout { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An engine that has run something does all of its work with the threads that it has then.
async fn running(home: TempDir) {
    const AT_A_TIME: usize = 10;
    let before = threads();
    let lines = Arc::new(AtomicUsize::new(0));
    let engine = engine_with(|config| {
        config.log_dir = Some(home.path().to_path_buf());
        config.oversized_output_strategy = OversizedOutputStrategy::StreamToFile;
        config.max_output_size_bytes = 10;
    })
    .with_event_handler(Arc::new(Counts(Arc::clone(&lines))));
    assert!(run(&engine, shell("echo first")).await.success);
    // A shell that forks no process.
    let line = "read -r _; n=0; while [ $n -lt 1000 ]; do n=$((n + 1)); echo $n; done";
    let piped = ExecutionOptions::default().stdin(StdinSource::Piped);
    let mut ids = Vec::new();
    for _ in 0..AT_A_TIME {
        ids.push(engine.execute_with(shell(line), piped.clone()).await.unwrap());
    }
    // Threads without work end after a second.
    assert!(run(&test_support::engine(), shell("sleep 1.5")).await.success);
    leave_room_for(Some(0));
    for id in &ids {
        engine.close_stdin(*id).await.unwrap();
    }
    for id in ids {
        let result = ended(&engine, id).await;
        assert!(result.success && result.output_error.is_none(), "{result:?}");
        assert_eq!(result.lines_missed, 0);
        let log = engine.read_logs(id).await.unwrap();
        assert!(log.contains("out | 1000\n") && log.contains("# ending"), "{log}");
        let to = home.path().join(format!("{id}.overflow"));
        let taken = engine.take_overflow(id, OutputStream::Stdout, &to).await.unwrap();
        assert_eq!(taken + 10, numbers(1000).len() as u64);
    }
    until("all lines are told", || lines.load(Ordering::Relaxed) == 1 + AT_A_TIME * 1000).await;
    drop(engine);
    until("its threads are gone", || threads() == before).await;
}

/// Limits the processes of this user to those that it has and so many more.
fn leave_room_for(more: Option<u64>) {
    set_limit(more.map(|more| processes_of_this_user() as u64 + more));
}

fn set_limit(limit: Option<u64>) {
    let maximum = getrlimit(Resource::Nproc).maximum;
    let current = limit.or(maximum);
    setrlimit(Resource::Nproc, Rlimit { current, maximum }).unwrap();
}

/// Returns the number of threads of all processes of this user.
fn processes_of_this_user() -> usize {
    let me = rustix::process::getuid().as_raw().to_string();
    let threads_of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
        };
        (field("Uid:")? == me).then(|| field("Threads:")?.parse::<usize>().ok())?
    };
    processes().into_iter().filter_map(threads_of).sum()
}
