//! How long it takes from starting `true` to having its result in hand: this engine beside raw
//! `tokio::process`, interleaved in one run, as medians and their ratio.
//!
//! `cargo bench --bench wake`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use execution_engine::{ExecutionConfig, ExecutionEngine, ExecutionRequest};

const WARM_UP: usize = 50;
const ROUNDS: usize = 1000;

#[tokio::main]
async fn main() -> ExitCode {
    let engine = ExecutionEngine::new(ExecutionConfig::default()).expect("the defaults are valid");
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let pair = [timed(through_engine(&engine)).await, timed(through_tokio()).await];
        if round >= WARM_UP {
            ours.push(pair[0]);
            raw.push(pair[1]);
        }
    }
    println!("{ROUNDS} runs of `true`, output captured, one at a time, interleaved");
    println!("{:>16} {:>12} {:>12} {:>8}", "", "engine", "raw tokio", "ratio");
    for (name, share) in [("median", 0.5), ("99th percentile", 0.99)] {
        let (ours, raw) = (percentile(&mut ours, share), percentile(&mut raw, share));
        let ratio = ours.as_secs_f64() / raw.as_secs_f64();
        println!("{name:>16} {ours:>12.1?} {raw:>12.1?} {ratio:>8.2}");
    }
    ExitCode::SUCCESS
}

async fn through_engine(engine: &ExecutionEngine) {
    let nothing: [&str; 0] = [];
    let result = engine.run(ExecutionRequest::exec("true", nothing)).await.expect("true starts");
    assert!(result.success);
}

#[expect(clippy::disallowed_methods, reason = "this is what the engine is measured against")]
async fn through_tokio() {
    let output = tokio::process::Command::new("true").output().await.expect("true starts");
    assert!(output.status.success());
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let begun = Instant::now();
    work.await;
    begun.elapsed()
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list of this length"
    )]
    let index = ((times.len() - 1) as f64 * share) as usize;
    times[index]
}
