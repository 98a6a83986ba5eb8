//! Memory of service and keeper, idle and with many running executions.

use std::path::Path;
use std::time::Duration;

use service_judge::service::until;

use super::NAME;
use super::fixture::{Bench, body, clients, get, submit, wait};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::Contender;
use crate::table::{Row, Unit};

pub fn measure(exeng: &Path, size: Size) -> Vec<Row> {
    let count = size.of(1_000, 50);
    let bench = Bench::start_with(exeng, &format!("max_running = {count}"), |_, service| service);
    let mut connection = bench.connect();
    let (id, _) = submit(&mut connection, &body(&Cmd::nothing()));
    wait(&mut connection, &id);
    settle();
    let idle = bench.processes().map(memory);
    let sleep = Cmd::new("/bin/sleep", ["600"]);
    clients(&bench, count, 16, |connection| submit(connection, &body(&sleep)));
    until("the starts", || {
        let status = get(&mut connection, "/v1/service").json();
        status["running"] == count && status["queued"] == 0
    });
    settle();
    let busy = bench.processes().map(memory);
    let mut rows = Vec::new();
    for (who, index) in [("service", 0), ("keeper", 1)] {
        let row = |name, value| Row::new(NAME, name, Unit::Bytes).figure(Contender::Engine, value);
        let each = (busy[index] - idle[index]) / count as f64;
        rows.push(row(format!("memory of the {who}, idle"), idle[index]));
        rows.push(row(format!("memory of the {who}, {count} running"), busy[index]));
        rows.push(row(format!("memory of the {who}, each running"), each));
    }
    rows
}

/// Gives the processes a moment to do what no event announces.
fn settle() {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

/// Returns the anonymous resident memory of a process in bytes.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib * 1024.0
}
