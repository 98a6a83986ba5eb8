//! Three ways to run a Python script, then a virtual environment, a status query, live output and a
//! cancellation. The script is `test-scripts/demo.py`.
//!
//! `cargo run --example python_execution`

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use async_trait::async_trait;
use execution_engine::*;
use tokio::sync::mpsc;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-scripts");

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match all().await {
        Ok(()) => {
            println!("\nAll seven went as they should.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\npython_execution: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn all() -> Outcome {
    let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    let scratch = tempfile::tempdir()?;

    script(&engine).await?;
    exec(&engine).await?;
    shell(&engine).await?;
    virtual_environment(&engine, scratch.path()).await?;
    status(&engine).await?;
    live().await?;
    cancel().await
}

/// Runs a request written as a literal, as when it is filled from a form or a file.
async fn script(engine: &ExecutionEngine) -> Outcome {
    title("1  Script: a file and its interpreter");
    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Script {
            path: PathBuf::from("demo.py"),
            interpreter: Some("python3".to_string()),
        },
        env: HashMap::from([("DEMO_UNIT".to_string(), "F".to_string())]),
        working_dir: Some(PathBuf::from(SCRIPTS)),
        timeout_ms: Some(30_000),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };
    announce(&request);
    let execution_id = engine.execute(request).await?;
    let result = engine.wait_for_completion(execution_id).await?;
    show(&result);
    expect(result.success && result.stdout.contains("(°F)"), "a summary in Fahrenheit")
}

/// Runs the script through a builder; this time it finds a problem in its data.
async fn exec(engine: &ExecutionEngine) -> Outcome {
    title("2  Exec: a program and its arguments");
    let request =
        ExecutionRequest::exec("python3", ["demo.py", "--by", "time", "--min-rows", "50"])
            .working_dir(SCRIPTS)
            .timeout(Duration::from_secs(30));
    announce(&request);
    let result = engine.run(request).await?;
    show(&result);
    expect(result.exit_code == 3, "exit code 3 for too few rows")
}

async fn shell(engine: &ExecutionEngine) -> Outcome {
    title("3  Shell: pipes and redirections");
    let request = ExecutionRequest::shell("python3 demo.py 2>/dev/null | sort -r | head -n 3")
        .interpreter("/bin/bash")
        .working_dir(SCRIPTS)
        .timeout(Duration::from_secs(30));
    announce(&request);
    let result = engine.run(request).await?;
    show(&result);
    expect(result.success && result.stderr.is_empty(), "three lines and no warnings")
}

async fn virtual_environment(engine: &ExecutionEngine, scratch: &Path) -> Outcome {
    title("4  A virtual environment");
    let make = ExecutionRequest::exec("python3", ["-m", "venv", "--without-pip", "venv"])
        .working_dir(scratch);
    engine.run(make).await?.into_result()?;

    // The path is passed in a variable, so that quoting cannot go wrong.
    let request =
        ExecutionRequest::shell(r#"source venv/bin/activate && python "$DEMO" --verbose"#)
            .interpreter("/bin/bash")
            .env("DEMO", format!("{SCRIPTS}/demo.py"))
            .working_dir(scratch);
    announce(&request);
    let result = engine.run(request).await?;
    show(&result);
    expect(result.stdout.contains("of a virtual environment"), "the Python of the environment")
}

async fn status(engine: &ExecutionEngine) -> Outcome {
    title("5  The status, without waiting");
    let id = engine.execute(demo(&["--pause", "0.02"])).await?;
    let (status, result) = (engine.get_status(id).await?, engine.get_result(id).await?);
    println!(
        "   at once     {status}, result: {}",
        if result.is_some() { "there" } else { "none" }
    );
    expect(!status.is_terminal() && result.is_none(), "a script that still runs")?;

    engine.wait_for_completion(id).await?;
    let (status, result) = (engine.get_status(id).await?, engine.get_result(id).await?);
    println!(
        "   afterwards  {status}, result: {}",
        if result.is_some() { "there" } else { "none" }
    );
    expect(status == ExecutionStatus::Completed && result.is_some(), "a script that has ended")
}

/// A handler that sends events through a channel.
struct Forward(mpsc::UnboundedSender<ExecutionEvent>);

#[async_trait]
impl EventHandler for Forward {
    async fn handle_event(&self, event: ExecutionEvent) {
        // The receiver may be gone.
        let _unheard = self.0.send(event);
    }
}

/// Returns an engine and the events of its executions.
fn engine_with_events() -> Result<(ExecutionEngine, mpsc::UnboundedReceiver<ExecutionEvent>)> {
    let (sender, events) = mpsc::unbounded_channel();
    let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    Ok((engine.with_event_handler(Arc::new(Forward(sender))), events))
}

async fn live() -> Outcome {
    title("6  Live output");
    let (engine, mut events) = engine_with_events()?;
    let begun = std::time::Instant::now();
    let id = engine.execute(demo(&["--pause", "0.04"])).await?;
    let mut lines = 0;
    while let Some(event) = events.recv().await {
        let at = begun.elapsed().as_secs_f64();
        match event {
            ExecutionEvent::Started { pid, .. } => println!("   {at:.2} s  process {pid}"),
            ExecutionEvent::Stdout { line, .. } => {
                println!("   {at:.2} s  out | {line}");
                lines += 1;
            }
            ExecutionEvent::Stderr { line, .. } => println!("   {at:.2} s  err | {line}"),
            ExecutionEvent::Completed { exit_code, .. } => {
                println!("   {at:.2} s  exit code {exit_code}");
                break;
            }
            last if last.is_terminal() => break,
            _ => {}
        }
    }
    let result = engine.wait_for_completion(id).await?;
    expect(lines == result.stdout.lines().count(), "each line once")
}

async fn cancel() -> Outcome {
    title("7  Cancel");
    let (engine, mut events) = engine_with_events()?;
    let id = engine.execute(demo(&["--verbose", "--pause", "60"])).await?;
    while let Some(event) = events.recv().await {
        if let ExecutionEvent::Stdout { line, .. } = event {
            println!("   first line  {line}");
            break;
        }
    }
    engine.cancel(id).await?;
    let result = engine.wait_for_completion(id).await?;
    println!("   last words  {}", result.stderr.trim_end());
    println!("   ending      {} after {:.1} s", result.ending, result.duration.as_secs_f64());
    println!("   left over   {} processes", result.containment.survivors.len());
    expect(result.status == ExecutionStatus::Cancelled, "a cancelled execution")?;
    expect(result.containment.survivors.is_empty(), "nothing left over")
}

fn demo(args: &[&str]) -> ExecutionRequest {
    let all = ["demo.py"].iter().chain(args).copied();
    ExecutionRequest::exec("python3", all).working_dir(SCRIPTS).timeout(Duration::from_secs(120))
}

fn title(text: &str) {
    println!("\n{text}");
}

/// Checks that a command is displayed as it would be typed.
fn announce(request: &ExecutionRequest) {
    println!("   $ {}", request.command);
}

fn show(result: &ExecutionResult) {
    for (name, text) in [("out", &result.stdout), ("err", &result.stderr)] {
        for line in text.lines() {
            println!("   {name} | {line}");
        }
    }
    println!("   {} in {} ms", result.ending, result.duration.as_millis());
}

fn expect(fulfilled: bool, what: &str) -> Outcome {
    if fulfilled { Ok(()) } else { Err(format!("expected {what}").into()) }
}
