//! What is left of an execution when it has ended, in bytes on the heap, which do not depend on how
//! busy a machine is. The one test of this binary, because it counts those of the whole process.

use execution_engine::*;
use test_support::*;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How many are remembered.
const RECORDS: usize = 1000;
/// How many bytes each of them may take, its place among the others included and its output aside.
const MOST_BYTES: usize = 1228;
/// How many bytes one that is forgotten may leave behind. Records do not all have the same length.
const MOST_LEFT: usize = 16;

#[tokio::test]
async fn record_memory_stays_within_budget_and_is_released() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let engine = engine_with(|config| config.max_in_memory_executions = RECORDS);
    // What is there once, such as threads.
    run(&engine, 20).await;
    let few = bytes();
    run(&engine, RECORDS - 20).await;
    let each = || bytes().saturating_sub(few) / (RECORDS - 20) - "hello\n".len();
    println!("{} bytes for each record, {MOST_BYTES} at most", each());
    // The last ones may not have given everything else back yet.
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
