//! Plans with real commands: each strategy, each failure policy, results in the order of the
//! commands, limits, and plans that are larger than the engine.

use std::fs;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

const PATIENT: Duration = Duration::from_secs(300);

async fn run(
    engine: &ExecutionEngine,
    plan: ExecutionPlan,
    options: PlanOptions,
) -> PlanExecutionResult {
    let id = engine.execute_plan_with(plan, options).await.unwrap();
    let result = tokio::time::timeout(PATIENT, engine.wait_for_plan(id)).await;
    result.expect("the plan ends").unwrap()
}

/// Steps that write their number into a file, so that their order can be seen.
struct Witness {
    dir: TempDir,
}

impl Witness {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("order")
    }

    fn step(&self, number: usize, then: &str) -> ExecutionRequest {
        shell(format!("echo {number} >> {}; {then}", self.file().display()))
    }

    fn order(&self) -> Vec<usize> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        text.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }
}

fn endings(result: &PlanExecutionResult) -> Vec<&Ending> {
    result.results.iter().map(|result| &result.ending).collect()
}

fn not_run(result: &ExecutionResult) -> &SkipReason {
    match &result.ending {
        Ending::NotRun { reason } => reason,
        other => panic!("it has run: {other:?}"),
    }
}

/// The number of a step that somebody else is not run for.
fn because_of(reason: &SkipReason) -> usize {
    match reason {
        SkipReason::DependencyFailed { step } | SkipReason::PlanStopped { step } => step.index,
        other => panic!("for another reason: {other:?}"),
    }
}

fn policy(policy: FailurePolicy) -> PlanOptions {
    PlanOptions::default().failure_policy(policy)
}

// ----------------------------------------------------------------------------------------- serial

#[tokio::test]
async fn serial_is_one_after_the_other_in_the_order_of_the_commands() {
    let (engine, witness) = (engine(), Witness::new());
    let plan = ExecutionPlan::serial((0..5).map(|number| witness.step(number, "true")));
    let ids: Vec<Uuid> = plan.commands.iter().map(|request| request.id).collect();
    let plan_id = plan.id;
    let result = run(&engine, plan, PlanOptions::default()).await;

    assert_eq!(witness.order(), [0, 1, 2, 3, 4]);
    assert_eq!((result.plan_id, result.status), (plan_id, ExecutionStatus::Completed));
    assert_eq!(result.ending, PlanEnding::Completed);
    assert_eq!(result.results.iter().map(|result| result.id).collect::<Vec<_>>(), ids);
    for pair in result.results.windows(2) {
        assert!(pair[1].started_at >= pair[0].completed_at, "one at a time");
    }
    assert_eq!((result.stats.total, result.stats.completed), (5, 5));
    let alone: Duration = result.results.iter().map(|result| result.duration).sum();
    assert!(result.total_duration >= alone);
    // Its commands are executions like all others.
    for id in ids {
        assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Completed));
    }
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
}

#[tokio::test]
async fn serial_stops_at_an_error_or_goes_on_as_it_is_told() {
    for stop_on_error in [true, false] {
        let (engine, witness) = (engine(), Witness::new());
        let commands =
            vec![witness.step(0, "true"), witness.step(1, "exit 7"), witness.step(2, "true")];
        let plan = ExecutionPlan::new(ExecutionStrategy::Serial { stop_on_error }, commands);
        let result = run(&engine, plan, PlanOptions::default()).await;
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert_eq!(result.ending, PlanEnding::Failed { step: PlanStep { index: 1, name: None } });
        assert_eq!(result.results[1].exit_code, 7);
        if stop_on_error {
            assert_eq!(witness.order(), [0, 1]);
            assert_eq!(because_of(not_run(&result.results[2])), 1);
            let stats = result.stats;
            assert_eq!((stats.completed, stats.failed, stats.not_run), (1, 1, 1));
        } else {
            assert_eq!(witness.order(), [0, 1, 2]);
            assert_eq!((result.stats.completed, result.stats.failed), (2, 1));
        }
    }
}

// --------------------------------------------------------------------------------------- parallel

#[tokio::test]
async fn parallel_is_all_at_the_same_time() {
    // Each waits until all have come.
    let dir = TempDir::new().unwrap();
    let line = |number: usize| {
        let dir = dir.path().display();
        shell(format!(
            "touch {dir}/{number}; while [ $(ls {dir} | wc -l) -lt 4 ]; do sleep 0.01; done"
        ))
    };
    let plan = ExecutionPlan::parallel((0..4).map(line));
    let result = run(&engine(), plan, PlanOptions::default()).await;
    assert_eq!(result.status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn parallel_goes_on_after_a_failure() {
    let plan = ExecutionPlan::parallel(["exit 1", "true", "exit 2"].map(shell));
    let result = run(&engine(), plan, PlanOptions::default()).await;
    let codes: Vec<_> = result.results.iter().map(|result| result.exit_code).collect();
    assert_eq!(codes, [1, 0, 2]);
    assert_eq!((result.status, result.stats.failed), (ExecutionStatus::Failed, 2));
}

/// Lines that count how many of them are alive.
fn counting(dir: &Path, count: usize) -> Vec<ExecutionRequest> {
    fs::create_dir_all(dir.join("alive")).unwrap();
    let dir = dir.display();
    let line =
        format!("touch {dir}/alive/$$; ls {dir}/alive | wc -l >> {dir}/counts; rm {dir}/alive/$$");
    (0..count).map(|_| shell(&line)).collect()
}

fn most_alive(dir: &Path) -> usize {
    let counts = fs::read_to_string(dir.join("counts")).unwrap();
    counts.split_whitespace().map(|word| word.parse().unwrap()).max().unwrap()
}

#[tokio::test]
async fn max_concurrency_is_exact_wherever_it_is_said() {
    let in_strategy = |commands| {
        let strategy = ExecutionStrategy::Parallel { max_concurrency: Some(2) };
        (ExecutionPlan::new(strategy, commands), PlanOptions::default())
    };
    let in_options = |commands: Vec<_>| {
        (ExecutionPlan::graph(commands, []), PlanOptions::default().max_concurrency(2))
    };
    let the_lower_of_both = |commands| {
        let strategy = ExecutionStrategy::Parallel { max_concurrency: Some(2) };
        (ExecutionPlan::new(strategy, commands), PlanOptions::default().max_concurrency(9))
    };
    for make in [&in_strategy as &dyn Fn(Vec<_>) -> _, &in_options, &the_lower_of_both] {
        let dir = TempDir::new().unwrap();
        let (plan, options) = make(counting(dir.path(), 30));
        assert_eq!(run(&engine(), plan, options).await.stats.completed, 30);
        assert!(most_alive(dir.path()) <= 2);
    }
}

#[tokio::test]
async fn a_fan_of_a_thousand_with_a_limit_below_the_width() {
    let dir = TempDir::new().unwrap();
    let engine = engine_with(|config| config.max_concurrent_executions = 8);
    // One before all, one after all, a thousand between.
    let mut commands = vec![shell("true")];
    commands.extend(counting(dir.path(), 1000));
    commands.push(shell("true"));
    let between = (1..=1000).map(|step| (step, vec![0]));
    let plan = ExecutionPlan::graph(commands, between.chain([(1001, (1..=1000).collect())]));
    let result = run(&engine, plan, PlanOptions::default()).await;

    assert_eq!((result.status, result.stats.completed), (ExecutionStatus::Completed, 1002));
    assert!(most_alive(dir.path()) <= 8);
    let (first, last) = (&result.results[0], &result.results[1001]);
    let between = &result.results[1..1001];
    assert!(between.iter().all(|step| step.started_at >= first.completed_at));
    assert!(between.iter().all(|step| step.completed_at <= last.started_at));
    assert_eq!(engine.available_permits(), 8);
}

// ------------------------------------------------------------------------------------------ graph

#[tokio::test]
async fn a_diamond() {
    let witness = Witness::new();
    let commands: Vec<_> = (0..4).map(|number| witness.step(number, "true")).collect();
    let plan = ExecutionPlan::graph(commands, [(1, vec![0]), (2, vec![0]), (3, vec![1, 2])]);
    let result = run(&engine(), plan, PlanOptions::default()).await;
    assert_eq!(result.status, ExecutionStatus::Completed);
    let order = witness.order();
    assert_eq!((order[0], order[3], order.len()), (0, 3, 4));
    let [top, left, right, bottom] = &result.results[..] else { panic!("four") };
    assert!(left.started_at >= top.completed_at && right.started_at >= top.completed_at);
    assert!(bottom.started_at >= left.completed_at && bottom.started_at >= right.completed_at);
}

#[tokio::test]
async fn a_chain_of_a_thousand_runs_in_order_whatever_the_order_of_the_commands() {
    let witness = Witness::new();
    // The last command is the first in the chain.
    let commands = (0..1000).map(|number| witness.step(number, "true"));
    let plan = ExecutionPlan::graph(commands, (0..999).map(|step| (step, vec![step + 1])));
    let result = run(&engine(), plan, PlanOptions::default()).await;
    assert_eq!(result.stats.completed, 1000);
    assert_eq!(witness.order(), (0..1000).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn below_a_failure_nothing_runs_and_beside_it_all_does() {
    let witness = Witness::new();
    // 0 fails; 1 and 3 are below it, 3 below 2 as well; 2 and 4 are beside it.
    let commands = vec![
        witness.step(0, "exit 1"),
        witness.step(1, "true"),
        witness.step(2, "true"),
        witness.step(3, "true"),
        witness.step(4, "true"),
    ];
    let plan = ExecutionPlan::graph(commands, [(1, vec![0]), (3, vec![1, 2]), (4, vec![2])]);
    let result = run(&engine(), plan, PlanOptions::default()).await;
    let mut order = witness.order();
    order.sort_unstable();
    assert_eq!(order, [0, 2, 4]);
    for below in [1, 3] {
        let step = &result.results[below];
        assert_eq!(because_of(not_run(step)), 0, "the one that failed is named");
        assert_eq!((step.status, step.success), (ExecutionStatus::Cancelled, false));
        assert_eq!(step.error.as_deref(), Some("never ran: it depends on step 0, which failed"));
        assert!(matches!(step.ending.error(), Some(ExecutionError::NotRun(_))));
    }
    let stats = result.stats;
    assert_eq!((stats.total, stats.completed, stats.failed, stats.not_run), (5, 2, 1, 2));
}

#[tokio::test]
async fn each_kind_of_bad_ending_is_a_failure() {
    let engine = engine();
    let bad = [
        shell("exit 1"),
        shell("kill -9 $$"),
        shell("sleep 60").timeout(Duration::from_millis(50)),
        ExecutionRequest::exec("no-such-program", [""; 0]),
    ];
    for request in bad {
        let plan = ExecutionPlan::serial([request, shell("true")]);
        let result = run(&engine, plan, PlanOptions::default()).await;
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert!(!result.results[0].success);
        assert_eq!(because_of(not_run(&result.results[1])), 0);
    }
}

// --------------------------------------------------------------------------------------- policies

/// A step that fails while two others run, and one more that has not started: it fits only when
/// one of the three has ended.
fn failing_beside_running(witness: &Witness) -> ExecutionPlan {
    let (dir, order) = (witness.dir.path().display(), witness.file());
    let order = order.display();
    let running = |number| {
        shell(format!("echo {number} >> {order}; while [ ! -e {dir}/go ]; do sleep 0.01; done"))
    };
    let fails = shell(format!(
        "while [ ! -e {order} ] || [ $(wc -l < {order}) -lt 2 ]; do sleep 0.01; done; exit 1"
    ));
    ExecutionPlan::parallel([running(0), running(1), fails, witness.step(3, "true")])
}

#[tokio::test]
async fn stop_at_first_error_starts_nothing_new_and_lets_finish_what_runs() {
    let (engine, witness) = (engine(), Witness::new());
    let plan = failing_beside_running(&witness);
    let (id, failing) = (plan.id, plan.commands[2].id);
    let options = policy(FailurePolicy::StopAtFirstError).max_concurrency(3);
    engine.execute_plan_with(plan, options).await.unwrap();
    let mut records = engine.subscribe_plan(id).await.unwrap();
    // Its execution has failed a moment before the plan has heard of it.
    let is_known = |event| match event {
        ExecutionEvent::Progress { execution_id, status, .. } => {
            execution_id == failing && status == ExecutionStatus::Failed
        }
        _ => false,
    };
    soon("the plan knows of the failure", async {
        while !is_known(records.next().await.expect("it goes on").event) {}
    })
    .await;
    assert_eq!(engine.get_plan_status(id).await, Ok(ExecutionStatus::Running));
    fs::write(witness.dir.path().join("go"), "").unwrap();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.stats.completed, 2, "what ran could finish");
    assert_eq!((result.stats.failed, result.stats.not_run), (1, 1));
    assert_eq!(because_of(not_run(&result.results[3])), 2);
}

#[tokio::test]
async fn cancel_at_first_error_stops_what_runs() {
    let (engine, witness) = (engine(), Witness::new());
    let plan = failing_beside_running(&witness);
    let options = policy(FailurePolicy::CancelAtFirstError).max_concurrency(3);
    let result = run(&engine, plan, options).await;
    assert_eq!(result.results[0].ending, Ending::Cancelled);
    assert_eq!(result.results[1].ending, Ending::Cancelled);
    assert_eq!(result.results[2].exit_code, 1);
    assert_eq!(because_of(not_run(&result.results[3])), 2);
    let failed = PlanStep { index: 2, name: None };
    assert_eq!(result.ending, PlanEnding::Failed { step: failed }, "the first cause");
}

#[tokio::test]
async fn continue_runs_even_what_depends_on_a_failure_but_in_order() {
    let witness = Witness::new();
    let commands = vec![
        witness.step(0, "sleep 0.1; exit 1"),
        witness.step(1, "true"),
        witness.step(2, "true"),
    ];
    let plan = ExecutionPlan::graph(commands, [(1, vec![0]), (2, vec![1])]);
    let result = run(&engine(), plan, policy(FailurePolicy::Continue)).await;
    assert_eq!(witness.order(), [0, 1, 2]);
    assert_eq!((result.status, result.stats.completed), (ExecutionStatus::Failed, 2));
}

#[tokio::test]
async fn the_policy_of_the_options_goes_before_that_of_the_strategy() {
    let serial = || ExecutionPlan::serial(["exit 1", "true"].map(shell));
    let result = run(&engine(), serial(), policy(FailurePolicy::Continue)).await;
    assert_eq!(result.stats.completed, 1);
    let parallel = ExecutionPlan::new(
        ExecutionStrategy::Parallel { max_concurrency: Some(1) },
        ["exit 1", "true"].map(shell).into(),
    );
    let result = run(&engine(), parallel, policy(FailurePolicy::StopAtFirstError)).await;
    assert_eq!((result.stats.completed, result.stats.not_run), (0, 1));
}

// ------------------------------------------------------------------------- what the steps share

#[tokio::test]
async fn steps_share_environment_and_directory_and_may_have_their_own() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let say = "echo $SHARED $OWN $(basename $PWD)";
    let plan = ExecutionPlan::parallel([
        shell(say),
        shell(say).env("SHARED", "mine").env("OWN", "own"),
        shell(say).working_dir("sub"),
        shell(say).working_dir("/"),
    ]);
    let options = PlanOptions::default().env("SHARED", "ours").working_dir(dir.path());
    let result = run(&engine(), plan, options).await;
    let root = dir.path().file_name().unwrap().to_str().unwrap();
    let said: Vec<_> = result.results.iter().map(|result| result.stdout.trim()).collect();
    let expected =
        [format!("ours {root}"), format!("mine own {root}"), "ours sub".into(), "ours /".into()];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn the_output_of_one_step_is_a_variable_of_another() {
    let PlanSpec { plan, options, .. } = ExecutionPlan::builder()
        .step("version", shell("printf '\\n  1.2 $(echo evil) `id` \"q\"\\n\\n'"))
        .step("use", ExecutionRequest::exec("printenv", ["VERSION"]))
        .env_from("VERSION", "version")
        .step("quote", shell("echo \"<$VERSION>\""))
        .input(StepInput::env("VERSION", "version").trim(Trim::LineEndings))
        .build()
        .unwrap();
    let result = run(&engine(), plan, options).await;
    assert_eq!(result.results[1].stdout, "1.2 $(echo evil) `id` \"q\"\n", "no shell reads it");
    assert_eq!(result.results[2].stdout, "<\n  1.2 $(echo evil) `id` \"q\">\n");
}

#[tokio::test]
async fn the_output_of_one_step_is_the_input_of_another_byte_for_byte() {
    let PlanSpec { plan, options, .. } = ExecutionPlan::builder()
        .step("bytes", shell(r"printf 'b\377\000a\n\n'"))
        .step("as it is", shell("od -An -tx1"))
        .stdin_from("bytes")
        .step("trimmed", shell("od -An -tx1; echo $BYTES"))
        .input(StepInput::stdin("bytes").trim(Trim::LineEndings))
        .step("nothing", shell("true"))
        .step("empty", shell("wc -c"))
        .stdin_from("nothing")
        .build()
        .unwrap();
    let result = run(&engine(), plan, options).await;
    assert_eq!(result.results[1].stdout, " 62 ff 00 61 0a 0a\n");
    assert_eq!(result.results[2].stdout, " 62 ff 00 61\n\n");
    assert_eq!(result.results[4].stdout.trim(), "0");
}

#[tokio::test]
async fn an_output_that_cannot_be_handed_on_fails_the_step_that_wants_it() {
    let cases = [
        ("is 4; raise max_bytes", "echo 12345", Some(4)),
        ("NUL", "printf 'a\\0b'", None),
        ("UTF-8", "printf '\\377'", None),
        ("raise max_output_size_bytes", "head -c 3000 /dev/zero | tr '\\0' x", None),
    ];
    let engine = engine_with(|config| config.max_output_size_bytes = 2000);
    for (words, source, max_bytes) in cases {
        let mut input = StepInput::env("X", "source");
        input.max_bytes = max_bytes;
        let PlanSpec { plan, options, .. } = ExecutionPlan::builder()
            .step("source", shell(source))
            .step("sink", shell("echo ran"))
            .input(input)
            .step("after", shell("echo ran"))
            .after("sink")
            .build()
            .unwrap();
        let result = run(&engine, plan, options).await;
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert_eq!(result.results[1].status, ExecutionStatus::Failed);
        match not_run(&result.results[1]) {
            SkipReason::Input { from, reason } => {
                assert_eq!(from.name.as_deref(), Some("source"));
                assert!(reason.contains(words), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(because_of(not_run(&result.results[2])), 1);
        let stats = result.stats;
        assert_eq!((stats.completed, stats.failed, stats.not_run), (1, 0, 2));
    }
}

#[tokio::test]
async fn each_step_has_its_own_options_or_those_of_the_plan() {
    let engine = ExecutionEngine::builder().group("one", 1).build().unwrap();
    let dir = TempDir::new().unwrap();
    let plan = ExecutionPlan::parallel(counting(dir.path(), 10));
    let all_in_group = ExecutionOptions::default().group("one");
    let result = run(&engine, plan, PlanOptions::default().defaults(all_in_group)).await;
    assert_eq!(result.stats.completed, 10);
    assert_eq!(most_alive(dir.path()), 1, "the group of all");

    // Priority decides among those that may start.
    let witness = Witness::new();
    let plan = ExecutionPlan::parallel((0..3).map(|number| witness.step(number, "true")));
    let urgent = ExecutionOptions::default().priority(5);
    let options = PlanOptions::default()
        .max_concurrency(1)
        .step(StepOptions::default())
        .step(StepOptions::named("urgent").options(urgent));
    run(&engine, plan, options).await;
    assert_eq!(witness.order(), [1, 0, 2]);
}

#[tokio::test]
async fn steps_that_wait_for_a_full_group_keep_no_others_from_starting() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 2, ..Default::default() })
        .group("one", 1)
        .build()
        .unwrap();
    let dir = TempDir::new().unwrap();
    let go = dir.path().join("go");
    let options = ExecutionOptions::default().group("one").priority(9);
    let waits = shell(format!("while [ ! -e {} ]; do sleep 0.01; done", go.display()));
    let mut plan = ExecutionPlan::parallel([waits]);
    let mut plan_options = PlanOptions::default();
    for _ in 0..5 {
        plan.commands.push(shell("true"));
    }
    for _ in 0..6 {
        plan_options = plan_options.step(StepOptions::default().options(options.clone()));
    }
    // Only this one, which comes last, lets the first one end.
    plan.commands.push(shell(format!("touch {}", go.display())));
    let result = run(&engine, plan, plan_options).await;
    assert_eq!(result.stats.completed, 7);
}

// ------------------------------------------------------------------------------- beside the engine

#[tokio::test]
async fn a_plan_waits_while_the_engine_is_busy() {
    for admission in [Admission::Reject, Admission::Queue { max_waiting: 1 }] {
        let engine = ExecutionEngine::builder()
            .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
            .admission(admission)
            .build()
            .unwrap();
        let holder = engine.execute(shell("sleep 60")).await.unwrap();
        let plan = ExecutionPlan::parallel(["echo a", "echo b", "echo c"].map(shell));
        let (id, first) = (plan.id, plan.commands[0].id);
        engine.execute_plan(plan).await.unwrap();
        soon("its first step waits", async {
            while engine.get_status(first).await != Ok(ExecutionStatus::Pending) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(engine.get_plan_result(id).await, Ok(None));
        engine.cancel(holder).await.unwrap();
        let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
        assert_eq!(result.stats.completed, 3);
        assert!(result.results[0].waited > Duration::ZERO);
    }
}

#[tokio::test]
async fn a_long_plan_does_not_push_others_back() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 2, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 1 })
        .build()
        .unwrap();
    let mut holders = Vec::new();
    for _ in 0..2 {
        holders.push(engine.execute(shell("sleep 60")).await.unwrap());
    }
    let plan = ExecutionPlan::parallel((0..50).map(|_| shell("true")));
    let id = engine.execute_plan(plan).await.unwrap();
    soon("as many as could run wait", async {
        while engine.waiting_count().await < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Behind those two, before the other 48, and not counted with them against `max_waiting`.
    let other = engine.execute(shell("echo other")).await.unwrap();
    assert_eq!(engine.queue_position(other).await, Ok(Some(3)));
    assert_eq!((engine.waiting_count().await, engine.total_count().await), (3, 5));
    for holder in holders {
        engine.cancel(holder).await.unwrap();
    }
    assert!(soon("the other", engine.wait_for_completion(other)).await.unwrap().success);
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.stats.completed, 50);
}

#[tokio::test]
async fn plans_and_executions_share_the_limit() {
    let dir = TempDir::new().unwrap();
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 3, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 100 })
        .build()
        .unwrap();
    let mut plans = Vec::new();
    let mut executions = Vec::new();
    for _ in 0..3 {
        let plan = ExecutionPlan::parallel(counting(dir.path(), 20));
        plans.push(engine.execute_plan(plan).await.unwrap());
        for request in counting(dir.path(), 5) {
            executions.push(engine.execute(request).await.unwrap());
        }
    }
    for id in plans {
        let result = soon("a plan", engine.wait_for_plan(id)).await.unwrap();
        assert_eq!(result.stats.completed, 20);
    }
    for id in executions {
        assert!(soon("an execution", engine.wait_for_completion(id)).await.unwrap().success);
    }
    assert!(most_alive(dir.path()) <= 3);
    assert_eq!((engine.available_permits(), engine.waiting_count().await), (3, 0));
}

#[tokio::test]
async fn results_are_whole_even_if_the_engine_forgets_executions_at_once() {
    let engine = engine_with(|config| config.max_in_memory_executions = 1);
    let plan = ExecutionPlan::parallel((0..20).map(|number| shell(format!("echo {number}"))));
    let result = run(&engine, plan, PlanOptions::default()).await;
    for (number, result) in result.results.iter().enumerate() {
        assert_eq!(result.stdout, format!("{number}\n"));
    }
    assert!(engine.total_count().await <= 1);
}

#[tokio::test]
async fn plans_are_listed_and_forgotten_by_the_same_rules() {
    let engine = engine_with(|config| config.max_in_memory_executions = 5);
    let mut ids = Vec::new();
    for number in 0..4 {
        let mut plan = ExecutionPlan::parallel(["true", "exit 1"].map(shell));
        plan.description = Some(format!("plan {number}"));
        ids.push(run(&engine, plan, PlanOptions::default()).await.plan_id);
    }
    let listed = engine.list_plans().await;
    let named: Vec<_> = listed.iter().filter_map(|plan| plan.description.as_deref()).collect();
    assert_eq!(named, ["plan 2", "plan 3"], "two plans of two steps fit, three do not");
    assert_eq!((listed[1].total, listed[1].ended), (2, 2));
    assert_eq!(listed[1].status, ExecutionStatus::Failed);
    let gone = engine.get_plan_result(ids[0]).await;
    assert_eq!(gone, Err(ExecutionError::PlanNotFound(ids[0])));

    engine.remove_plan(ids[3]).await.unwrap();
    assert_eq!(engine.remove_plan(ids[3]).await, Err(ExecutionError::PlanNotFound(ids[3])));
    assert_eq!(engine.list_plans().await.len(), 1);

    let running = engine.execute_plan(ExecutionPlan::serial([shell("sleep 60")])).await.unwrap();
    assert_eq!(engine.remove_plan(running).await, Err(ExecutionError::StillRunning(running)));
    engine.cancel_plan(running).await.unwrap();
    soon("the plan", engine.wait_for_plan(running)).await.unwrap();
}

#[tokio::test]
async fn many_wait_for_one_plan_and_before_and_after_its_end() {
    let engine = engine();
    let plan = ExecutionPlan::serial([shell("sleep 0.2; echo done")]);
    let id = engine.execute_plan(plan).await.unwrap();
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let engine = engine.clone();
        waiters.spawn(async move { engine.wait_for_plan(id).await.unwrap() });
    }
    let first = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    for other in soon("the others", waiters.join_all()).await {
        assert_eq!(other, first);
    }
    assert_eq!(engine.get_plan_result(id).await, Ok(Some(first)));
}

// ------------------------------------------------------------------------------------------- JSON

#[tokio::test]
async fn plans_travel_as_json() {
    let text = r#"{
        "description": "a diamond",
        "strategy": {"type": "dependency_graph", "dependencies": {"3": [1, 2], "1": [0], "2": [0]}},
        "commands": [
            {"command": {"type": "shell", "command": "echo 0"}},
            {"command": {"type": "shell", "command": "echo 1"}},
            {"command": {"type": "exec", "program": "echo", "args": ["2"]}},
            {"command": {"type": "shell", "command": "echo 3"}}
        ]
    }"#;
    let plan: ExecutionPlan = serde_json::from_str(text).unwrap();
    let again = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<ExecutionPlan>(&again).unwrap(), plan);
    let dependencies = r#""dependencies":{"1":[0],"2":[0],"3":[1,2]}"#;
    assert!(again.contains(dependencies), "in order: {again}");

    let options = r#"{
        "steps": [
            {"name": "top"},
            {"name": "left", "options": {"priority": 2}},
            {"name": "right", "inputs": [{"from": "top", "to": {"type": "env", "name": "TOP"}, "trim": "nothing"}]},
            {"after": ["left", 2]}
        ],
        "failure_policy": "cancel_at_first_error",
        "deadline_ms": 60000,
        "env": {"A": "b"}
    }"#;
    let options: PlanOptions = serde_json::from_str(options).unwrap();
    let again = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<PlanOptions>(&again).unwrap(), options);

    let result = run(&engine(), plan, options).await;
    assert_eq!(result.stats.completed, 4);
    let text = serde_json::to_string(&result).unwrap();
    let mut read: PlanExecutionResult = serde_json::from_str(&text).unwrap();
    assert_eq!(endings(&read), endings(&result));
    assert_eq!(read.total_duration.as_millis(), result.total_duration.as_millis());
    read.total_duration = result.total_duration;
    read.results.clone_from(&result.results);
    assert_eq!(read, result);

    for (strategy, text) in [
        (
            ExecutionStrategy::Serial { stop_on_error: true },
            r#"{"type":"serial","stop_on_error":true}"#,
        ),
        (
            ExecutionStrategy::Parallel { max_concurrency: Some(3) },
            r#"{"type":"parallel","max_concurrency":3}"#,
        ),
        (ExecutionStrategy::Parallel { max_concurrency: None }, r#"{"type":"parallel"}"#),
    ] {
        assert_eq!(serde_json::to_string(&strategy).unwrap(), text);
        assert_eq!(serde_json::from_str::<ExecutionStrategy>(text).unwrap(), strategy);
    }
    let wrong = r#"{"type":"dependency_graph","dependencies":{"one":[0]}}"#;
    let error = serde_json::from_str::<ExecutionStrategy>(wrong).unwrap_err();
    assert!(error.to_string().contains("\"one\" is no index"), "{error}");
}

// ---------------------------------------------------------------------------------------- picture

#[tokio::test]
async fn after_a_run_the_picture_shows_states_and_durations() {
    let PlanSpec { plan, options, .. } = ExecutionPlan::builder()
        .step("good", shell("true"))
        .step("bad", shell("exit 3"))
        .after("good")
        .step("never", shell("true"))
        .after("bad")
        .build()
        .unwrap();
    let result = run(&engine(), plan.clone(), options.clone()).await;
    let picture = plan.to_mermaid_after(&options, &result);
    for words in [
        "s0[\"good<br/>true<br/>completed, ",
        "s1[\"bad<br/>exit 3<br/>exit code 3, ",
        "s2[\"never<br/>true<br/>never ran\"]",
        "s0 --> s1",
        "s1 --> s2",
        "class s0 completed",
        "class s1 failed",
        "class s2 not_run",
    ] {
        assert!(picture.contains(words), "{words}:\n{picture}");
    }
}

#[tokio::test]
async fn secrets_of_a_plan_show_nowhere() {
    const SECRET: &str = "hunter2";
    let options = PlanOptions::default().env("TOKEN", SECRET);
    assert!(!format!("{options:?}").contains(SECRET));
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    let plan = ExecutionPlan::serial([shell("test -n \"$TOKEN\""), shell("exit 1")]);
    let id = plan.id;
    let result = run(&engine, plan, options).await;
    assert_eq!(result.stats.completed, 1);
    assert!(!format!("{result:?}").contains(SECRET));
    let events = recorder.all_of(id).await;
    assert!(!format!("{events:?}").contains(SECRET));
}
