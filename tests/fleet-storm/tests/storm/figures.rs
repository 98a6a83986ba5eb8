//! Measures a fleet without faults, beside a bare publisher on the same servers. `cargo test --release -p
//! fleet-storm figures -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use execution_engine::ExecutionEngine;
use fleet_storm::{Cost, Fleet, FleetSetup, Programs, Work, pause};
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use crate::programs;

/// What each execution prints: 4 KiB.
const WORK: Work = Work { lines: 4, pause: Duration::ZERO, line_bytes: 1024, max_attempts: 1 };
const ALONE: usize = 200;
const PACED: usize = 30;
const TOGETHER: usize = 2000;
/// Executions, or messages, under way at a time.
const UNDER_WAY: usize = 64;
const MESSAGES: usize = 5000;
const MESSAGE_BYTES: usize = 512;

#[test]
#[ignore = "measures, and decides nothing"]
fn figures() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for sync_interval in ["always", "2m"] {
        runtime.block_on(measure(programs(), sync_interval));
    }
}

async fn measure(programs: Programs, sync_interval: &'static str) {
    println!("sync_interval {sync_interval}");
    let setup = FleetSetup { sync_interval, slots: 16, ..FleetSetup::default() };
    let mut fleet = Fleet::start(programs, &setup).await;
    bare_publisher(&fleet).await;
    fleet.start_workers();
    let engine = fleet.engine().await;
    one_by_one(&fleet, &engine).await;
    paced(&fleet, &engine).await;
    together(&fleet, &engine).await;
}

/// Publishes what the smallest record of an execution has, with the same condition, and does not look at
/// the answer.
async fn bare_publisher(fleet: &Fleet) {
    let client = &fleet.bare_client().await;
    let bytes = &Bytes::from(vec![7; MESSAGE_BYTES]);
    let publish = |_| async move {
        let id = Uuid::new_v4();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{id}.claim"));
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        let begin = Instant::now();
        let subject = Fleet::log_subject(id);
        let answer = client.request_with_headers(subject, headers, bytes.clone()).await.unwrap();
        assert!(!answer.payload.starts_with(br#"{"error"#), "{:?}", answer.payload);
        begin.elapsed()
    };
    let mut alone = Vec::new();
    for n in 0..ALONE {
        alone.push(publish(n).await);
    }
    let begin = (Instant::now(), fleet.cost());
    let _times: Vec<_> =
        stream::iter(0..MESSAGES).map(publish).buffer_unordered(UNDER_WAY).collect().await;
    println!("  bare publisher, one message: {}", percentiles(alone));
    report("bare publisher, messages under way", MESSAGES, begin, fleet.cost());
}

/// One execution after the other.
async fn one_by_one(fleet: &Fleet, engine: &ExecutionEngine) {
    let (mut to_start, mut to_end) = (Vec::new(), Vec::new());
    for _ in 0..ALONE {
        let begin = Instant::now();
        let id = execute(fleet, engine).await;
        to_end.push(begin.elapsed());
        to_start.push(fleet.register.seen().lives[&id][0].first - begin);
    }
    println!("  submit to start: {}", percentiles(to_start));
    println!("  submit to end: {}", percentiles(to_end));
}

/// One execution each second, beside what the fleet uses without any.
async fn paced(fleet: &Fleet, engine: &ExecutionEngine) {
    let second = Duration::from_secs(1);
    let begin = (Instant::now(), fleet.cost());
    pause(second * PACED as u32).await;
    report("idle, seconds", PACED, begin, fleet.cost());
    let begin = (Instant::now(), fleet.cost());
    for n in 1..=PACED as u32 {
        execute(fleet, engine).await;
        pause((second * n).saturating_sub(begin.0.elapsed())).await;
    }
    report("one execution a second", PACED, begin, fleet.cost());
}

async fn together(fleet: &Fleet, engine: &ExecutionEngine) {
    let begin = (Instant::now(), fleet.cost());
    let all = stream::iter(0..TOGETHER).map(|_| execute(fleet, engine));
    let _ids: Vec<_> = all.buffer_unordered(UNDER_WAY).collect().await;
    report("executions under way", TOGETHER, begin, fleet.cost());
}

async fn execute(fleet: &Fleet, engine: &ExecutionEngine) -> Uuid {
    let (request, options) = fleet.request(WORK);
    let execution = engine.start_with(request, options).await.unwrap();
    execution.wait().await.unwrap();
    execution.id()
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    format!("p50 {:.1?} p99 {:.1?}", at(50), at(99))
}

fn report(what: &str, count: usize, (began, before): (Instant, Cost), after: Cost) {
    let (rate, cost) = (count as f64 / began.elapsed().as_secs_f64(), after - before);
    let each = |time: Duration| time.as_secs_f64() * 1e3 / count as f64;
    println!(
        "  {count} {what}: {rate:.0}/s; each: servers {:.2} ms, workers {:.2} ms, client {:.2} ms, \
         {:.1} KiB to disks",
        each(cost.servers),
        each(cost.workers),
        each(cost.client),
        cost.written as f64 / 1024.0 / count as f64,
    );
}
