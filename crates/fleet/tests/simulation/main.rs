//! The loops of workers and clients over simulated servers and a simulated network: random deaths,
//! partitions and lost answers, the same for the same seed.
//!
//! `FLEET_SEEDS=1000..1200` plays other seeds than those of the normal run.

mod calls;
mod cluster;
mod programs;
mod run;
mod servers;
mod world;

use std::ops::Range;

use execution_engine::Duration;
use execution_engine::blocking::ExecutionEngine;
use run::{Fault, Report};
use test_support::host;

/// Seeds of a normal run.
const SEEDS: Range<u64> = 0..200;

fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var("FLEET_SEEDS") else { return SEEDS };
    let ends = seeds.split_once("..").map(|(from, to)| (from.parse(), to.parse()));
    match ends {
        Some((Ok(from), Ok(to))) => from..to,
        _ => panic!("FLEET_SEEDS is {seeds:?}; write two numbers like 1000..1200"),
    }
}

fn engine() -> ExecutionEngine {
    ExecutionEngine::new(execution_engine::ExecutionConfig::default()).unwrap()
}

/// Longest time of a play.
const LIMIT: Duration = Duration::from_secs(300);

/// Plays a seed in a process of its own. What tokio does at the end of a host depends on how many tasks
/// the process has had, so only then is a play the same each time.
fn play(engine: &ExecutionEngine, seed: u64, fault: Fault) -> Report {
    let role = serde_json::to_string(&(seed, fault)).unwrap();
    let result = engine.run(host::request("plays_one_seed", &role).timeout(LIMIT)).unwrap();
    let report = result.stdout.lines().find_map(|line| line.strip_prefix(REPORT));
    let report =
        report.unwrap_or_else(|| panic!("seed {seed}: {}\n{}", result.stdout, result.stderr));
    serde_json::from_str(report).unwrap()
}

/// What comes before the report of a play.
const REPORT: &str = "report of a play: ";

/// The role of the processes of [`play`]; else it does nothing.
#[test]
fn plays_one_seed() {
    let Some(role) = host::role() else { return };
    let (seed, fault) = serde_json::from_str(&role.concat()).unwrap();
    println!("\n{REPORT}{}", serde_json::to_string(&run::play(seed, fault)).unwrap());
}

/// Plays each second seed, so that two tests share the cores.
fn play_half(odd: u64) {
    let engine = engine();
    let mut all = Report::default();
    for seed in seeds().filter(|seed| seed % 2 == odd) {
        let report = play(&engine, seed, Fault::None);
        assert_eq!(report.broken, Vec::<String>::new(), "seed {seed}");
        all.add(&report);
    }
    println!("{all:?}");
    // What was never played was not tested.
    let was_played = [
        all.crashes,
        all.partitions,
        all.second_starts,
        all.lost,
        all.cancelled,
        all.ended,
        all.objects,
    ];
    assert!(was_played.iter().all(|count| *count > 0), "{all:?}");
}

#[test]
fn every_promise_holds_under_faults_of_even_seeds() {
    play_half(0);
}

#[test]
fn every_promise_holds_under_faults_of_odd_seeds() {
    play_half(1);
}

#[test]
fn the_same_seed_plays_the_same() {
    let engine = engine();
    for seed in [3, 17] {
        let first = play(&engine, seed, Fault::None);
        assert_eq!(first.history, play(&engine, seed, Fault::None).history, "seed {seed}");
        assert_ne!(first.history, play(&engine, seed + 1, Fault::None).history);
    }
}

/// The checks find what they are for.
#[test]
fn planted_faults_are_found() {
    let engine = engine();
    for (fault, words) in [
        (Fault::NoLeaseGuard, "runs beside"),
        (Fault::NoFences, "stale write"),
        (Fault::LosesRecords, ""),
        (Fault::LosesObjects, "its output is"),
    ] {
        let found = |seed| {
            let broken = play(&engine, seed, fault).broken;
            broken.iter().any(|broken| broken.contains(words))
        };
        assert!((0..100).any(found), "{fault:?} is not found in 100 seeds");
    }
}
