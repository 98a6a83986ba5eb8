//! From a request to its durable answer, to the commit and to the start of the program.

use std::path::Path;

use service_judge::recording::{Entry, Recorder};
use service_judge::service::Service;

use super::NAME;
use super::fixture::{Bench, body, clients, get, submit, wait};
use crate::args::Size;
use crate::child::{Cmd, monotonic};
use crate::contender::Contender;
use crate::rounds::percentile;
use crate::table::{Row, Unit};

pub fn measure(exeng: &Path, size: Size) -> Vec<Row> {
    let mut rows: Vec<_> =
        [1, 64].into_iter().flat_map(|width| answers(exeng, width, size)).collect();
    rows.push(commits(exeng, size));
    rows.extend(starts(exeng, size));
    rows
}

fn row(name: String, unit: Unit, value: f64) -> Row {
    Row::new(NAME, name, unit).figure(Contender::Engine, value)
}

fn answers(exeng: &Path, width: usize, size: Size) -> Vec<Row> {
    let bench = Bench::start(exeng);
    let body = body(&Cmd::nothing());
    let total = size.of(2_000, 100) * if width > 1 { 5 } else { 1 };
    let times = clients(&bench, total, width, |connection| {
        let (id, took) = submit(connection, &body);
        // The next answer is measured beside no more programs than there are clients.
        wait(connection, &id);
        took
    });
    let who = if width == 1 { "1 client".to_string() } else { format!("{width} clients") };
    [("median", 0.5), ("99th percentile", 0.99)]
        .map(|(name, share)| {
            let time = percentile(times.clone(), share);
            row(format!("submit to durable answer, {who}, {name}"), Unit::Micros, time)
        })
        .to_vec()
}

/// Counts the synchronizations of the database's log by recording them.
fn commits(exeng: &Path, size: Size) -> Row {
    let mut recorder = None;
    let bench = Bench::start_with(exeng, "", |dir, service: Service| {
        let new = Recorder::new(dir);
        recorder = Some(new.clone());
        service.attach(move |command| new.attach(command))
    });
    let recorder = recorder.expect("it was made");
    let body = body(&Cmd::nothing());
    let total = size.of(5_000, 200);
    clients(&bench, total, 64, |connection| submit(connection, &body));
    let is_commit =
        |entry: &Entry| matches!(entry, Entry::SyncBegin { path, .. } if path == "exeng.db-wal");
    let synchronizations = recorder.entries().iter().filter(|entry| is_commit(entry)).count();
    let each = total as f64 / synchronizations.max(1) as f64;
    row("submits per synchronization, 64 clients, times 100".to_string(), Unit::Count, 100.0 * each)
}

/// Measures until the program's first act: it prints the clock.
fn starts(exeng: &Path, size: Size) -> Vec<Row> {
    let bench = Bench::start(exeng);
    let body = body(&Cmd::clock());
    let times = clients(&bench, size.of(1_000, 50), 1, |connection| {
        let begun = monotonic();
        let (id, _) = submit(connection, &body);
        wait(connection, &id);
        let printed = get(connection, &format!("/v1/executions/{id}/output?stream=stdout"));
        let started: u64 = String::from_utf8_lossy(&printed.body).trim().parse().expect("a clock");
        (started - begun) as f64 / 1e9
    });
    [("median", 0.5), ("99th percentile", 0.99)]
        .map(|(name, share)| {
            let time = percentile(times.clone(), share);
            row(format!("submit to start, {name}"), Unit::Micros, time)
        })
        .to_vec()
}
