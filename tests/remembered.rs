//! Memory of an ended execution in bytes on the heap, which do not depend on the load of the machine.
//!
//! The only test of this binary: it counts the memory of the whole process.

use execution_engine::*;
use test_support::*;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Number of remembered executions.
const RECORDS: usize = 1000;
/// Bytes that each of them may take, with its place in the registry and without its output.
const MOST_BYTES: usize = 1228;
/// Bytes that an evicted one may leave. Records do not all have the same length.
const MOST_LEFT: usize = 16;

#[tokio::test]
async fn record_memory_stays_within_budget_and_is_released() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let engine = engine_with(|config| config.max_in_memory_executions = RECORDS);
    // Resources that exist once, such as threads.
    run(&engine, 20).await;
    let few = bytes();
    run(&engine, RECORDS - 20).await;
    let each = || bytes().saturating_sub(few) / (RECORDS - 20) - "hello\n".len();
    println!("{} bytes for each record, {MOST_BYTES} at most", each());
    // The last ones may not have released everything yet.
    until("all there is of them fits the budget", || each() <= MOST_BYTES).await;

    let full = bytes();
    run(&engine, RECORDS).await;
    assert_eq!(engine.total_count().await, RECORDS);
    let left = || bytes().saturating_sub(full) / RECORDS;
    println!("{} bytes left behind by each that is forgotten, {MOST_LEFT} at most", left());
    until("as many are forgotten as have ended", || left() <= MOST_LEFT).await;
}

async fn run(engine: &ExecutionEngine, count: usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let engine = engine.clone();
        tasks.spawn(async move { engine.run(ExecutionRequest::exec("echo", ["hello"])).await });
        if tasks.len() == 4 {
            ended(&mut tasks).await;
        }
    }
    while !tasks.is_empty() {
        ended(&mut tasks).await;
    }
}

async fn ended(tasks: &mut JoinSet<Result<ExecutionResult>>) {
    let result = soon("one of them", tasks.join_next()).await.unwrap().unwrap();
    assert_eq!(result.unwrap().stdout, "hello\n");
}

fn bytes() -> usize {
    dhat::HeapStats::get().curr_bytes
}
