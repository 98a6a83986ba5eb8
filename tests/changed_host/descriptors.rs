//! Hosts with a low limit of open files: executions wait until there are descriptors for them, or are
//! refused for that reason, and the host keeps some.

use std::fs::{self, File};
use std::time::Instant;

use execution_engine::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::levels::{level_named, levels, name_of};
use test_support::*;

/// Test that plays the hosts of this binary when it has a role.
const HOST: &str = "descriptors::executions_beyond_the_limit_of_open_files_are_queued";

/// The limit of open files of these hosts.
const LIMIT: u64 = 256;

/// Runs a part at each level in a host of its own.
fn at_each_level(part: &str) {
    for level in levels() {
        let host = Host::start(HOST, &format!("{part} {}", name_of(level)));
        assert_eq!(host.next_line(), "all is well", "{part} at {level}");
        assert!(host.end().success());
    }
}

#[test]
fn executions_beyond_the_limit_of_open_files_are_queued() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    at_each_level("queued");
}

#[test]
fn running_executions_hold_few_descriptors() {
    at_each_level("holds_few");
}

#[test]
fn execution_beyond_the_limit_of_open_files_is_refused_without_a_queue() {
    at_each_level("refused");
}

#[test]
fn queued_executions_go_on_when_the_host_closes_files() {
    at_each_level("closes_files");
}

#[test]
fn all_that_wait_for_descriptors_go_on_when_the_host_closes_files() {
    at_each_level("all_go_on");
}

#[test]
fn executions_do_not_wait_for_descriptors_when_no_program_runs() {
    at_each_level("nothing_runs");
}

#[test]
fn everything_that_a_start_opens_waits_for_descriptors() {
    at_each_level("opens_wait");
}

#[test]
fn start_that_does_not_get_a_descriptor_fails_and_is_not_refused() {
    at_each_level("opens_fail");
}

#[test]
fn overflow_file_waits_for_a_descriptor() {
    at_each_level("overflow");
}

#[test]
fn steps_wait_for_descriptors() {
    at_each_level("steps");
}

/// Plays the host of a test.
fn play(words: &[String]) {
    limit_open_files(LIMIT);
    let level = level_named(&words[1]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let scene = Scene::new(level);
        match words[0].as_str() {
            "queued" => queued(&scene).await,
            "holds_few" => holds_few(&scene).await,
            "refused" => refused(&scene).await,
            "closes_files" => closes_files(&scene).await,
            "all_go_on" => all_go_on(&scene).await,
            "nothing_runs" => nothing_runs(&scene).await,
            "opens_wait" => opens_wait(&scene).await,
            "opens_fail" => opens_fail(&scene).await,
            "overflow" => overflow(&scene).await,
            "steps" => steps(&scene).await,
            part => panic!("no such part: {part}"),
        }
    });
    host::say("all is well");
}

fn limit_open_files(limit: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).unwrap();
}

/// Level of a host, and a file that ends its programs.
struct Scene {
    level: ContainmentLevel,
    home: TempDir,
}

impl Scene {
    fn new(level: ContainmentLevel) -> Self {
        Self { level, home: TempDir::new().unwrap() }
    }

    fn engine(&self, admission: Admission) -> ExecutionEngine {
        self.engine_of(1000, admission)
    }

    fn engine_of(&self, permits: usize, admission: Admission) -> ExecutionEngine {
        let config = ExecutionConfig {
            max_concurrent_executions: permits,
            log_dir: Some(self.home.path().join("logs")),
            ..Default::default()
        };
        let builder = ExecutionEngine::builder().config(config).containment(self.level);
        builder.admission(admission).build().unwrap()
    }

    /// Returns a program that runs until the file is there.
    fn waits(&self) -> ExecutionRequest {
        let go = self.home.path().join("go");
        shell(format!("until [ -e '{}' ]; do sleep 0.2; done; echo done", go.display()))
    }

    fn go(&self) {
        fs::write(self.home.path().join("go"), "").unwrap();
    }

    /// Lets the programs that follow run until the next [`go`](Self::go).
    fn stop_again(&self) {
        fs::remove_file(self.home.path().join("go")).unwrap();
    }
}

const QUEUE: Admission = Admission::Queue { max_waiting: 1000 };

/// Checks that the host can still open files.
fn assert_some_are_left() {
    let more: Vec<_> = (0..10).map(|_| File::open("/dev/null")).collect();
    assert!(more.iter().all(Result::is_ok), "{} of {LIMIT} are open", open_descriptors());
}

async fn queued(scene: &Scene) {
    let engine = scene.engine(QUEUE);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (engine, request) = (engine.clone(), scene.waits());
        tasks.spawn(async move { engine.execute(request).await.unwrap() });
    }
    let ids = soon("all are accepted", tasks.join_all()).await;
    let waiting = engine.waiting_count().await;
    // Each has a log, too.
    let at_once = 200 - waiting;
    assert!(at_once > 40 && at_once < 60, "{at_once} run at once");
    assert!(engine.available_permits() > 500);
    assert_some_are_left();
    scene.go();
    for id in ids {
        let result = ended(&engine, id).await;
        assert!(result.success && result.stdout == "done\n", "{result:?}");
        assert_eq!(result.output_error, None);
    }
    assert_eq!((engine.waiting_count().await, engine.available_permits()), (0, 1000));
}

async fn holds_few(scene: &Scene) {
    let engine = ExecutionEngine::builder().containment(scene.level).build().unwrap();
    assert!(run(&engine, shell("true")).await.success);
    for (output, each) in [(OutputMode::Separate, 3), (OutputMode::Merged, 2)] {
        let before = open_descriptors();
        let options = || ExecutionOptions::default().output(output);
        let mut ids = Vec::new();
        for _ in 0..40 {
            ids.push(engine.execute_with(scene.waits(), options()).await.unwrap());
        }
        for id in &ids {
            running(&engine, *id).await;
        }
        let held = open_descriptors() - before;
        // Some control groups keep three files open for the next execution.
        assert!(
            held <= 40 * each + LIMIT as usize / 64 * 3,
            "{held} for 40 with {output:?} output"
        );
        scene.go();
        for id in ids {
            assert!(ended(&engine, id).await.success);
        }
        scene.stop_again();
    }
}

async fn refused(scene: &Scene) {
    let engine = scene.engine(Admission::Reject);
    let mut ids = Vec::new();
    let error = loop {
        match engine.execute(scene.waits()).await {
            Ok(id) => ids.push(id),
            Err(error) => break error,
        }
        assert!(ids.len() < 200, "more than there are descriptors for");
    };
    let ExecutionError::OpenFileLimitReached { in_use, limit } = error else { panic!("{error}") };
    assert!(limit == LIMIT && in_use < LIMIT && in_use > LIMIT / 2, "{error}");
    assert!(error.is_rejection() && error.is_retryable());
    assert!(error.to_string().contains("limit of open files"), "{error}");
    assert_some_are_left();
    assert_eq!(engine.total_count().await, ids.len());
    assert_eq!(engine.available_permits(), 1000 - ids.len());
    scene.go();
    for id in ids {
        assert!(ended(&engine, id).await.success);
    }
    assert!(run(&engine, shell("true")).await.success, "there are descriptors again");
}

async fn closes_files(scene: &Scene) {
    let engine = scene.engine(QUEUE);
    let holder = engine.execute(scene.waits()).await.unwrap();
    running(&engine, holder).await;
    let files = open_all();
    // The first learns from the system that there are none.
    let later = || shell("echo later");
    let waits = [engine.execute(later()).await.unwrap(), engine.execute(later()).await.unwrap()];
    for (id, position) in waits.into_iter().zip([None, Some(1)]) {
        assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Pending);
        assert_eq!(engine.queue_position(id).await.unwrap(), position);
    }
    drop(files);
    for id in waits {
        let result = ended(&engine, id).await;
        assert!(result.stdout == "later\n" && result.output_error.is_none(), "{result:?}");
    }
    assert_eq!(engine.get_status(holder).await.unwrap(), ExecutionStatus::Running);
    scene.go();
    assert!(ended(&engine, holder).await.success);
}

/// Opens files until no descriptor is left.
fn open_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

async fn all_go_on(scene: &Scene) {
    let engine = scene.engine(QUEUE);
    let holder = engine.execute(scene.waits()).await.unwrap();
    running(&engine, holder).await;
    let files = open_all();
    let mut ids = vec![holder];
    for _ in 0..5 {
        ids.push(engine.execute(scene.waits()).await.unwrap());
    }
    drop(files);
    // None ends meanwhile, so each learns by itself that there are descriptors.
    for id in &ids {
        running(&engine, *id).await;
    }
    scene.go();
    for id in ids {
        assert!(ended(&engine, id).await.success);
    }
}

/// Two executions whose starts the system refuses at the same moment do not wait for each other.
async fn nothing_runs(scene: &Scene) {
    let engine = scene.engine_of(2, QUEUE);
    for _ in 0..10 {
        let holders = [
            engine.execute(scene.waits()).await.unwrap(),
            engine.execute(scene.waits()).await.unwrap(),
        ];
        for holder in holders {
            running(&engine, holder).await;
        }
        let waiting = [
            engine.execute(shell("true")).await.unwrap(),
            engine.execute(shell("true")).await.unwrap(),
        ];
        // Those that are open stay open.
        limit_open_files(3);
        let (first, second) = tokio::join!(engine.cancel(holders[0]), engine.cancel(holders[1]));
        first.and(second).unwrap();
        for id in waiting {
            let result = ended(&engine, id).await;
            assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{result:?}");
            assert!(result.ending.to_string().contains("Too many open files"), "{result:?}");
        }
        limit_open_files(LIMIT);
    }
    assert!(run(&engine, shell("true")).await.success);
}

/// Returns requests that need a descriptor for different things, first of all.
fn opens(scene: &Scene) -> Vec<(&'static str, ExecutionRequest, ExecutionOptions)> {
    let home = scene.home.path();
    let (input, script) = (home.join("input"), home.join("script"));
    fs::write(&input, "later\n").unwrap();
    // The engine reads the line of a script that may not be executed.
    fs::write(&script, "#!/bin/sh\necho later\n").unwrap();
    let options = ExecutionOptions::default;
    let later = || shell("echo later");
    vec![
        ("pipes", later(), options()),
        ("input", exec("cat"), options().stdin(StdinSource::file(&input))),
        ("raw log", later().output_log(home.join("raw")), options()),
        ("script", ExecutionRequest::script(&script), options()),
        ("directory", later().working_dir(home), options()),
    ]
}

async fn opens_wait(scene: &Scene) {
    let builder = ExecutionEngine::builder().containment(scene.level);
    let engine = builder.admission(QUEUE).build().unwrap();
    let holder = engine.execute(scene.waits()).await.unwrap();
    running(&engine, holder).await;
    for (what, request, options) in opens(scene) {
        let files = open_all();
        let id = engine.execute_with(request, options).await.unwrap();
        // Longer than a start is tried again in any case.
        let begun = Instant::now();
        until("it waits", || begun.elapsed() > Duration::from_millis(700)).await;
        assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Pending, "{what}");
        drop(files);
        let result = ended(&engine, id).await;
        assert!(result.stdout == "later\n" && result.output_error.is_none(), "{what}: {result:?}");
    }
    scene.go();
    assert!(ended(&engine, holder).await.success);
}

async fn opens_fail(scene: &Scene) {
    let engine = ExecutionEngine::builder().containment(scene.level).build().unwrap();
    assert!(run(&engine, shell("true")).await.success);
    for (what, request, options) in opens(scene) {
        let files = open_all();
        let id = engine.execute_with(request, options).await.unwrap();
        let result = ended(&engine, id).await;
        drop(files);
        let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
        assert_eq!(*os_error, Some(24), "{what}: {reason}");
    }
    assert!(run(&engine, shell("true")).await.success);
}

async fn overflow(scene: &Scene) {
    let config = ExecutionConfig {
        max_output_size_bytes: 10,
        oversized_output_strategy: OversizedOutputStrategy::StreamToFile,
        ..Default::default()
    };
    let builder = ExecutionEngine::builder().config(config).containment(scene.level);
    let engine = builder.build().unwrap();
    let line = "echo begins; until [ -e go ]; do sleep 0.02; done; seq 1000";
    for is_in_time in [true, false] {
        let request = shell(line).working_dir(scene.home.path());
        let id = engine.execute(request).await.unwrap();
        let mut chunks = engine.subscribe_chunks(id).await.unwrap();
        output(&mut chunks).await;
        // Those that are open stay open.
        limit_open_files(3);
        let go = scene.home.path().join("go");
        fs::create_dir(&go).unwrap();
        output(&mut chunks).await;
        if is_in_time {
            limit_open_files(LIMIT);
        }
        let result = ended(&engine, id).await;
        limit_open_files(LIMIT);
        fs::remove_dir(&go).unwrap();
        if is_in_time {
            assert!(result.success && result.output_error.is_none(), "{result:?}");
            let rest = fs::read_to_string(result.stdout_overflow_file.as_ref().unwrap()).unwrap();
            let numbers: String = (1..=1000).map(|number| format!("{number}\n")).collect();
            assert_eq!(result.stdout + &rest, format!("begins\n{numbers}"));
        } else {
            let Ending::OutputLost { reason, .. } = &result.ending else { panic!("{result:?}") };
            assert!(reason.contains("Too many open files"), "{reason}");
        }
    }
}

/// Waits until output is told.
async fn output(chunks: &mut ChunkSubscription) {
    loop {
        let record = soon("output", chunks.next()).await.unwrap();
        if matches!(record.content, ChunkContent::Output { .. }) {
            return;
        }
    }
}

async fn steps(scene: &Scene) {
    let engine = scene.engine(Admission::Reject);
    let plan = ExecutionPlan::parallel((0..200).map(|_| scene.waits()));
    let id = engine.execute_plan(plan).await.unwrap();
    until("as many as possible run", || at_once(engine.waiting_count()) > 100).await;
    assert_some_are_left();
    scene.go();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.stats.completed, 200, "{result:?}");
}
