//! Allocations per execution, which do not depend on the load of the machine.
//!
//! The only test of this binary: it counts the allocations of the whole process.

use execution_engine::*;
use test_support::*;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Allocations of one execution of `true`, from request to result. Each variable of the environment
/// adds one or a few.
const MOST_ALLOCATIONS: u64 = 45;
const MOST_FOR_EACH_VARIABLE: u64 = 3;

const RUNS: u64 = 50;

#[tokio::test]
async fn allocations_per_execution_stay_within_budget() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let engine = engine();
    for _ in 0..RUNS {
        run_true(&engine).await;
    }
    let before = dhat::HeapStats::get();
    for _ in 0..RUNS {
        run_true(&engine).await;
    }
    let after = dhat::HeapStats::get();

    let variables = std::env::vars_os().count() as u64;
    let each = (after.total_blocks - before.total_blocks) / RUNS;
    let bytes = (after.total_bytes - before.total_bytes) / RUNS;
    let budget = MOST_ALLOCATIONS + MOST_FOR_EACH_VARIABLE * variables;
    println!("{each} allocations, {bytes} bytes; {budget} at most with {variables} variables");
    assert!(each <= budget, "{each} allocations for each execution, {budget} at most");
}

async fn run_true(engine: &ExecutionEngine) {
    assert!(run(engine, exec("true")).await.success);
}
