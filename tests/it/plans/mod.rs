//! Plans with real commands.

mod bad;
mod cleanup;
mod conditions;
mod engine;
mod events;
mod inputs;
mod json;
mod policies;
mod rules;
mod run;
mod stop;

use std::fs;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

const PATIENT: Duration = Duration::from_secs(300);

/// Runs a plan to its end.
async fn run_plan(engine: &ExecutionEngine, plan: impl Into<PlanSpec>) -> PlanExecutionResult {
    let result = tokio::time::timeout(PATIENT, engine.run_plan(plan)).await;
    result.expect("the plan ends").unwrap()
}

/// Returns a plan of these steps.
fn graph(step: impl FnOnce(PlanBuilder) -> PlanBuilder) -> PlanSpec {
    step(ExecutionPlan::builder()).build().unwrap()
}

/// File into which steps write their numbers, in the order in which they run.
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

fn not_run(result: &ExecutionResult) -> &SkipReason {
    match &result.ending {
        Ending::NotRun { reason } => reason,
        other => panic!("it has run: {other:?}"),
    }
}

/// Returns the number of the step because of which another one did not run.
fn because_of(reason: &SkipReason) -> usize {
    match reason {
        SkipReason::DependencyFailed { step } | SkipReason::PlanStopped { step } => step.index,
        other => panic!("for another reason: {other:?}"),
    }
}

fn policy(policy: FailurePolicy) -> PlanOptions {
    PlanOptions::default().failure_policy(policy)
}

fn busy_engine(recorder: &Arc<Recorder>) -> ExecutionEngine {
    ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .event_handler(Arc::clone(recorder) as Arc<dyn EventHandler>)
        .stop_grace(Duration::from_millis(100))
        .build()
        .unwrap()
}

/// Waits for the end of a plan.
async fn plan_ended(engine: &ExecutionEngine, id: Uuid) -> PlanExecutionResult {
    soon("the plan", engine.wait_for_plan(id)).await.unwrap()
}

/// Waits until a plan has reported a status of some steps.
async fn steps_have_status(
    engine: &ExecutionEngine,
    plan: Uuid,
    steps: impl Fn(Uuid) -> bool,
    (status, count): (ExecutionStatus, usize),
) {
    let mut records = engine.subscribe_plan(plan).await.unwrap();
    let mut seen = 0;
    soon("the status of the steps", async {
        while seen < count {
            let record = records.next().await.expect("the plan has not ended");
            seen += usize::from(matches!(
                record.event,
                ExecutionEvent::Progress { execution_id, status: is, .. }
                    if is == status && steps(execution_id)
            ));
        }
    })
    .await;
}

/// Waits until a plan has reported a status of a step.
async fn has_status(engine: &ExecutionEngine, plan: Uuid, step: Uuid, status: ExecutionStatus) {
    steps_have_status(engine, plan, |id| id == step, (status, 1)).await;
}

fn never(reason: SkipReason) -> Ending {
    Ending::NotRun { reason }
}

fn endings(result: &PlanExecutionResult) -> Vec<Ending> {
    result.results.iter().map(|result| result.ending.clone()).collect()
}

/// Returns lines that count how many of them are alive.
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
