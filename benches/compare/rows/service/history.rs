//! Many finished executions: reading them, their size on disk, and the start of the service.

use std::path::Path;
use std::time::Instant;

use super::NAME;
use super::fixture::{Bench, body, clients, get, submit, wait};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::Contender;
use crate::rounds::percentile;
use crate::table::{Goal, Row, Unit};

const CAP: f64 = (10u64 << 30) as f64;
const LOG_CAP: f64 = (64u64 << 20) as f64;

pub fn measure(exeng: &Path, size: Size) -> Vec<Row> {
    let count = if size == Size::Large { 1_000_000 } else { size.of(100_000, 500) };
    let config = format!("[retention]\nmax_count = {}\n", 2 * count);
    let mut bench = Bench::start_with(exeng, &config, |_, service| service);
    let echo = Cmd::new("/bin/echo", ["hello"]);
    let ids = clients(&bench, count, 64, |connection| {
        // One in a hundred has the tag that is looked for.
        let mut body = body(&echo);
        if fastrand::u8(..100) == 0 {
            body["request"]["metadata"]["tags"] = serde_json::json!(["bench", "rare"]);
        }
        let (id, _) = submit(connection, &body);
        wait(connection, &id);
        id
    });
    let [database, log] = ["exeng.db", "exeng.db-wal"].map(|name| {
        let path = bench.service.state().join(name);
        path.metadata().map_or(0.0, |metadata| metadata.len() as f64)
    });
    let start = bench.restart();
    let looks = size.of(2_000, 50);
    let list = slow(&bench, looks, |_| "/v1/executions?tag=rare&status=completed".to_string());
    let show = slow(&bench, looks, |look| format!("/v1/executions/{}", ids[look % ids.len()]));

    let row = |name: &str, unit, value: f64, against, limit: f64, goal: f64| {
        Row::new(NAME, format!("{count} finished: {name}"), unit)
            .figure(Contender::Engine, value)
            .figure(Contender::Reference, limit)
            .held_against(against, value / limit, Goal::AtMost(goal))
    };
    vec![
        row("list by tag and status, 99th percentile", Unit::Micros, list, "limit", 0.02, 1.0),
        row("one execution, 99th percentile", Unit::Micros, show, "limit", 0.02, 1.0),
        row("database on disk", Unit::Bytes, database, "cap", CAP, 1.1),
        row("log of the database", Unit::Bytes, log, "cap", LOG_CAP, 1.0),
        row("start of the service", Unit::Micros, start, "limit", 1.0, 1.0),
    ]
}

/// Returns the 99th percentile of the times of answers.
fn slow(bench: &Bench, looks: usize, target: impl Fn(usize) -> String) -> f64 {
    let mut connection = bench.connect();
    let times = (0..looks).map(|look| {
        let target = target(look);
        let begun = Instant::now();
        get(&mut connection, &target);
        begun.elapsed().as_secs_f64()
    });
    percentile(times.collect(), 0.99)
}
