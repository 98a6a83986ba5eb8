//! Shows what the earlier starts of this program have run, and runs one more command.
//!
//! `cargo run -p execution-engine-store --example history [DIRECTORY]`

use execution_engine::*;
use execution_engine_store::StoreHistory;

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let default = || std::env::temp_dir().join("execution-engine-history").into();
    let dir = std::env::args_os().nth(1).unwrap_or_else(default);
    let history = Arc::new(StoreHistory::open(&dir)?);
    let engine = ExecutionEngine::builder().history(history).build()?;

    let mut query = HistoryQuery::default().limit(100);
    loop {
        let page = engine.list_history(query.clone()).await?;
        for entry in &page.entries {
            let (at, status) = (entry.accepted_at, entry.summary.status);
            // None if it was removed since it was listed.
            let output = engine.get_result(entry.id()).await?.map(|result| result.stdout);
            println!("{at} {status} {output:?}");
        }
        let Some(next) = page.next else { break };
        query = query.cursor(next);
    }

    engine.run(ExecutionRequest::shell("date")).await?;
    // Until everything is stored.
    engine.shutdown(Duration::from_secs(5)).await;
    println!("{} has one more", dir.display());
    Ok(())
}
