//! Measures a fleet without faults. `cargo test --release -p fleet-storm figures -- --ignored
//! --nocapture`, beside `cargo run --release -p execution-engine-fleet-nats --example appends`.

use std::time::{Duration, Instant};

use fleet_storm::{Fleet, FleetSetup, Programs, Work};
use tokio::task::JoinSet;

use crate::programs;

const ALONE: usize = 200;
const TOGETHER: usize = 1000;

#[test]
#[ignore = "measures, and decides nothing"]
fn figures() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for sync_interval in ["always", "2m"] {
        runtime.block_on(measure(programs(), sync_interval));
    }
}

async fn measure(programs: Programs, sync_interval: &'static str) {
    let setup = FleetSetup { sync_interval, slots: 8, ..FleetSetup::default() };
    let mut fleet = Fleet::start(programs, &setup).await;
    fleet.start_workers();
    let engine = fleet.engine().await;
    let work = Work { lines: 1, pause: Duration::ZERO, line_bytes: 30, max_attempts: 1 };
    let (mut to_start, mut to_end) = (Vec::new(), Vec::new());
    for _ in 0..ALONE {
        let (request, options) = fleet.request(work);
        let begin = Instant::now();
        let execution = engine.start_with(request, options).await.unwrap();
        execution.wait().await.unwrap();
        to_end.push(begin.elapsed());
        let lives = &fleet.register.seen().lives[&execution.id()];
        to_start.push(lives[0].first - begin);
    }
    let begin = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..TOGETHER {
        let (engine, (request, options)) = (engine.clone(), fleet.request(work));
        all.spawn(async move {
            engine.start_with(request, options).await.unwrap().wait().await.unwrap();
        });
    }
    all.join_all().await;
    let rate = TOGETHER as f64 / begin.elapsed().as_secs_f64();
    let at = |times: &mut Vec<Duration>, percent: usize| {
        times.sort();
        times[times.len() * percent / 100]
    };
    println!(
        "sync_interval {sync_interval}: submit to start p50 {:.1?} p99 {:.1?}, to end p50 {:.1?} \
         p99 {:.1?}; {TOGETHER} at once {rate:.0}/s",
        at(&mut to_start, 50),
        at(&mut to_start, 99),
        at(&mut to_end, 50),
        at(&mut to_end, 99),
    );
}
