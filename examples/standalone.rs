//! A standalone engine: configuration, a handler, the concurrency limit, a list, a log and cleanup.
//!
//! `cargo run --example standalone`

use std::error::Error;
use std::process::ExitCode;

use async_trait::async_trait;
use execution_engine::*;
use tokio::sync::watch;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match all().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nstandalone: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn all() -> Outcome {
    let logs = tempfile::tempdir()?;

    println!("Configuration");
    let config = ExecutionConfig {
        default_timeout_ms: 10_000,
        max_concurrent_executions: 2,
        max_in_memory_executions: 2,
        // So that the list below shows all executions; cleanup runs only when called.
        enable_auto_cleanup: false,
        log_dir: Some(logs.path().to_path_buf()),
        ..ExecutionConfig::default()
    };
    let (reporter, mut ended) = Reporter::new();
    let engine = ExecutionEngine::new(config)?.with_event_handler(Arc::new(reporter));
    let config = engine.config();
    println!("   at most {} at a time", config.max_concurrent_executions);
    println!("   {} ms unless a request says otherwise", config.default_timeout_ms);
    println!("   {} results kept by cleanup", config.max_in_memory_executions);

    println!("\nThree commands, two places");
    let first = start(&engine, "sleep 0.3; echo first").await?;
    let second = start(&engine, "sleep 0.6; echo second; exit 4").await?;
    let third = start(&engine, "echo third").await?;
    ended.wait_for(|ended| *ended == 3).await?;

    println!("\nList");
    for entry in engine.list_executions().await {
        println!(
            "   {}  {:<10} {:>4} ms  {}",
            short(entry.id),
            entry.status.to_string(),
            entry.duration.as_millis(),
            entry.command
        );
    }
    let statuses = [
        engine.get_status(first).await?,
        engine.get_status(second).await?,
        engine.get_status(third).await?,
    ];
    let expected =
        [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::Completed];
    expect(statuses == expected, "two successes and a failure")?;

    println!("\nLog of {}", short(second));
    for line in engine.read_logs(second).await?.lines() {
        println!("   {line}");
    }

    println!("\nCleanup");
    println!("   {} remembered", engine.total_count().await);
    println!("   {} forgotten by count, the oldest first", engine.cleanup_old_executions().await);
    engine.remove_execution(second).await?;
    println!("   1 removed by its id");
    println!(
        "   {} remembered, {} running",
        engine.total_count().await,
        engine.running_count().await
    );
    expect(engine.total_count().await == 1, "one record left")?;
    expect(engine.available_permits() == 2, "both places free again")
}

/// Starts a shell line, and waits for a permit when all are taken.
async fn start(engine: &ExecutionEngine, line: &str) -> Result<Uuid> {
    loop {
        match engine.execute(ExecutionRequest::shell(line)).await {
            Err(ExecutionError::ConcurrencyLimitReached(limit)) => {
                println!("   no place for {line:?}: {limit} are running; waiting for the oldest");
                let all = engine.list_executions().await;
                if let Some(oldest) = all.iter().find(|entry| !entry.status.is_terminal()) {
                    engine.wait_for_completion(oldest.id).await?;
                }
            }
            started => return started,
        }
    }
}

/// Prints starts, lines and endings, and counts the endings.
struct Reporter {
    ended: watch::Sender<usize>,
}

impl Reporter {
    fn new() -> (Self, watch::Receiver<usize>) {
        let (ended, receiver) = watch::channel(0);
        (Self { ended }, receiver)
    }
}

#[async_trait]
impl EventHandler for Reporter {
    async fn handle_event(&self, event: ExecutionEvent) {
        let id = short(event.execution_id());
        match &event {
            ExecutionEvent::Started { command, .. } => println!("   {id}  started    {command}"),
            ExecutionEvent::Stdout { line, .. } => println!("   {id}  said       {line}"),
            ExecutionEvent::Stderr { line, .. } => println!("   {id}  complained {line}"),
            ExecutionEvent::Completed { exit_code, .. } => {
                println!("   {id}  ended      with exit code {exit_code}");
            }
            other if other.is_terminal() => println!("   {id}  ended      {other:?}"),
            _ => {}
        }
        if event.is_terminal() {
            self.ended.send_modify(|ended| *ended += 1);
        }
    }
}

fn short(id: Uuid) -> String {
    id.to_string()[..8].to_string()
}

fn expect(fulfilled: bool, what: &str) -> Outcome {
    if fulfilled { Ok(()) } else { Err(format!("expected {what}").into()) }
}
