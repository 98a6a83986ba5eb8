//! Runs a plan from a file with live progress.
//!
//! ```text
//! cargo run --example plan                                  the plan of examples/plans/build.json
//! cargo run --example plan -- examples/plans/checks.json    another plan
//! cargo run --example plan -- FILE --mermaid                also print its Mermaid diagram
//! ```
//!
//! The file holds a plan and its options: `{"plan": {..}, "options": {..}}`. The steps run in a
//! directory that is removed afterwards, unless the options name one.

use std::collections::BTreeMap;
use std::process::ExitCode;

use execution_engine::*;
use execution_engine_mermaid::diagram_after;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

type Failure = Box<dyn std::error::Error>;

/// A progress bar for the plan, and a line for each active step.
struct Screen {
    lines: MultiProgress,
    plan: ProgressBar,
    steps: BTreeMap<Uuid, ProgressBar>,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let (mut file, mut wants_picture) = (None, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--mermaid" => wants_picture = true,
            _ => file = Some(PathBuf::from(argument)),
        }
    }
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/plans/build.json");
    let text = std::fs::read_to_string(file.unwrap_or_else(default))?;
    let mut spec: PlanSpec = serde_json::from_str(&text)?;
    let scratch = tempfile::tempdir()?;
    spec.options.working_dir.get_or_insert_with(|| scratch.path().to_path_buf());

    let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    println!("{}", spec.plan.description.as_deref().unwrap_or("A plan"));
    let id = engine.execute_plan(spec.clone()).await?;
    let screen = Screen::new(spec.plan.commands.len());
    screen.follow(engine.subscribe_plan(id).await?).await;

    let result = engine.wait_for_plan(id).await?;
    report(&result);
    if wants_picture {
        println!("\n{}", diagram_after(&spec, &result));
    }
    let is_good = result.status == ExecutionStatus::Completed;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Screen {
    fn new(steps: usize) -> Self {
        let lines = MultiProgress::new();
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {elapsed}");
        let plan = lines.add(ProgressBar::new(steps as u64));
        plan.set_style(style.expect("the template is valid"));
        plan.enable_steady_tick(Duration::from_millis(100));
        Self { lines, plan, steps: BTreeMap::new() }
    }

    /// Shows progress until the plan has ended.
    async fn follow(mut self, mut records: PlanSubscription) {
        while let Some(EventRecord { execution_id, event, .. }) = records.next().await {
            match event {
                ExecutionEvent::Progress { completed, step, execution_id, status, .. } => {
                    self.plan.set_position(completed as u64);
                    self.step(&step, execution_id, status);
                }
                ExecutionEvent::Stdout { line, .. } | ExecutionEvent::Stderr { line, .. } => {
                    self.say(execution_id, line);
                }
                ExecutionEvent::Retrying { attempt, ending, delay, .. } => {
                    let again = format!("attempt {attempt}: {ending}; again in {delay:.1?}");
                    self.say(execution_id, again);
                }
                _ => {}
            }
        }
        self.plan.finish_and_clear();
    }

    fn step(&mut self, step: &PlanStep, id: Uuid, status: ExecutionStatus) {
        if status.is_terminal() {
            if let Some(line) = self.steps.remove(&id) {
                line.finish_and_clear();
            }
            // A failed print is not worth stopping for.
            let _shown = self.lines.println(format!("{:>9}  {}", status.to_string(), name(step)));
            return;
        }
        let style = ProgressStyle::with_template("  {spinner} {prefix} {wide_msg}");
        let line = self.lines.insert_before(&self.plan, ProgressBar::new_spinner());
        line.set_style(style.expect("the template is valid"));
        line.set_prefix(name(step));
        line.enable_steady_tick(Duration::from_millis(100));
        self.steps.insert(id, line);
    }

    /// The last status of a step.
    fn say(&self, id: Uuid, words: String) {
        if let Some(line) = self.steps.get(&id) {
            line.set_message(words);
        }
    }
}

fn name(step: &PlanStep) -> String {
    step.name.clone().unwrap_or_else(|| step.to_string())
}

fn report(result: &PlanExecutionResult) {
    println!();
    for (report, step) in result.steps.iter().zip(&result.results) {
        let name = report.name.as_deref().unwrap_or("(no name)");
        let attempts = match step.attempts {
            0 | 1 => String::new(),
            last => format!(", attempt {last}"),
        };
        println!("{name:<12} {:>8.1?}  {}{attempts}", step.duration, step.ending);
        let last_words = step.stdout.lines().last().or(step.stderr.lines().last());
        if let Some(words) = last_words {
            println!("{:>23}{words}", "");
        }
    }
    let PlanStats { total, completed, .. } = result.stats;
    println!("\n{}: {completed} of {total} in {:.1?}", result.status, result.total_duration);
}
