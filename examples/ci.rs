//! A small CI runner: runs the steps of a YAML pipeline as soon as those that they wait for have ended,
//! shows their output live, and prints a table at the end.
//!
//! ```text
//! cargo run --example ci                 the pipeline of examples/pipelines/ci.yaml, in a new directory
//! cargo run --example ci -- FILE [DIR]   another pipeline, in a directory
//! ```
//!
//! Ctrl-C cancels the pipeline; steps that run `always` still run. A second Ctrl-C stops these, too.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use execution_engine::*;
use serde::Deserialize;

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pipeline {
    description: Option<String>,
    #[serde(default)]
    env: HashMap<String, String>,
    timeout_s: Option<u64>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    /// A line for /bin/sh.
    run: String,
    #[serde(default)]
    env: HashMap<String, String>,
    #[serde(default)]
    after: Vec<String>,
    timeout_s: Option<u64>,
    /// Attempts.
    retry: Option<u32>,
    #[serde(default)]
    allow_failure: bool,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    only_if: Vec<StepCondition>,
}

impl Pipeline {
    fn plan(self, dir: PathBuf) -> Result<PlanSpec> {
        let mut plan = ExecutionPlan::builder().working_dir(dir);
        for (name, value) in self.env {
            plan = plan.env(name, value);
        }
        if let Some(seconds) = self.timeout_s {
            plan = plan.deadline(Duration::from_secs(seconds));
        }
        if let Some(text) = self.description {
            plan = plan.description(text);
        }
        self.steps.into_iter().fold(plan, |plan, step| step.add_to(plan)).build()
    }
}

impl Step {
    fn add_to(self, plan: PlanBuilder) -> PlanBuilder {
        // The first command that fails ends the step, as users of CI expect.
        let mut request = ExecutionRequest::shell(format!("set -e\n{}", self.run));
        request.env = self.env;
        if let Some(seconds) = self.timeout_s {
            request = request.timeout(Duration::from_secs(seconds));
        }
        let mut plan = plan.step(self.name, request).after_all(self.after);
        if let Some(attempts) = self.retry {
            plan = plan.retry(RetryPolicy::new(attempts));
        }
        if self.allow_failure {
            plan = plan.allow_failure();
        }
        if self.always {
            plan = plan.always();
        }
        self.only_if.into_iter().fold(plan, PlanBuilder::only_if)
    }
}

/// Prints what the steps write, each line with the name of its step.
async fn show(mut records: PlanSubscription) {
    while let Some(record) = records.next().await {
        let step = records.step(record.execution_id);
        let name = step.and_then(|step| step.name.clone()).unwrap_or_default();
        match record.event {
            ExecutionEvent::Stdout { line, .. } => println!("{name}: {line}"),
            ExecutionEvent::Stderr { line, .. } => eprintln!("{name}: {line}"),
            ExecutionEvent::Retrying { ending, .. } => eprintln!("{name}: {ending}; once more"),
            _ => {}
        }
    }
}

fn print_table(result: &PlanExecutionResult) {
    println!();
    for (report, step) in result.steps.iter().zip(&result.results) {
        let name = report.name.as_deref().unwrap_or_default();
        let allowed = if report.failure_allowed { " (allowed)" } else { "" };
        println!("{name:<12} {:>8.1?}  {}{allowed}", step.duration, step.ending);
    }
    println!("\n{} in {:.1?}", result.status, result.total_duration);
}

/// Runs the pipeline of a file in a directory.
async fn run(file: &Path, dir: PathBuf) -> std::result::Result<PlanExecutionResult, Failure> {
    let pipeline: Pipeline = serde_saphyr::from_str(&std::fs::read_to_string(file)?)?;
    let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    let plan = engine.execute_plan(pipeline.plan(dir)?).await?;
    let stopper = engine.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            // It may have ended in this moment.
            let _stopped = stopper.cancel_plan(plan).await;
        }
    });
    show(engine.subscribe_plan(plan).await?).await;
    Ok(engine.wait_for_plan(plan).await?)
}

#[tokio::main]
async fn main() -> std::io::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/pipelines/ci.yaml");
    let file = arguments.next().unwrap_or_else(default);
    let scratch = tempfile::tempdir()?;
    let dir = arguments.next().unwrap_or_else(|| scratch.path().to_path_buf());
    let result = match run(&file, dir).await {
        Ok(result) => result,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return Ok(ExitCode::from(2));
        }
    };
    print_table(&result);
    let is_good = result.status == ExecutionStatus::Completed;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
