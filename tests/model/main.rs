//! A model-based random test of the public API: random histories of several callers, whose every
//! outcome is checked against the rules of the documentation.
//!
//! `EXECUTION_ENGINE_MODEL_SECONDS` sets how long it goes on, `EXECUTION_ENGINE_MODEL_SEED` plays the
//! history of one seed again and again. A failure prints the seed, and the history in its smallest
//! form that still fails.

mod caller;
mod checks;
mod generator;
mod handlers;
mod history;
mod panics;
mod poor;
mod profiles;
mod program;
mod rounds;
mod rules;
mod runner;
mod shrink;
mod watch;
mod world;

use std::time::{Duration, Instant};

use execution_engine::Uuid;
use test_support::host;
use test_support::levels::announce;
use test_support::test_name;
use tokio::runtime::{Builder, Runtime};

/// How long histories are played, unless the environment says otherwise.
const SECONDS: u64 = 30;
/// How long a failing history is shrunk.
const SHRINKING: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Returns the seed of a history of this run; the profiles take turns.
fn seed(run: u64, round: u64) -> u64 {
    let profiles = profiles::PROFILES.len() as u64;
    let random = fastrand::Rng::with_seed(run.wrapping_add(round)).u64(..u64::MAX / 2);
    random - random % profiles + round % profiles
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn random_histories_keep_every_rule() {
    panics::watch();
    let replayed = number("EXECUTION_ENGINE_MODEL_SEED");
    let profile = std::env::var("EXECUTION_ENGINE_MODEL_PROFILE").ok();
    if let Some(words) = host::role() {
        return play_for(poor::become_poor(&words), replayed, Some(poor::PROFILE));
    }
    let seconds = number("EXECUTION_ENGINE_MODEL_SECONDS").unwrap_or(SECONDS);
    let only = replayed.map(|seed| generator::profile_of(seed).to_string()).or(profile);
    let share = match only.as_deref() {
        None => 10,
        Some(poor::PROFILE) => 1,
        Some(_) => u32::MAX,
    };
    let time = Duration::from_secs(seconds);
    if share < u32::MAX {
        poor::play_apart(test_name!(), time / share);
    }
    if share > 1 {
        play_for(time, replayed, only.as_deref());
    }
}

/// Plays histories for some time: those of one seed or of one profile, or any.
fn play_for(time: Duration, replayed: Option<u64>, profile: Option<&str>) {
    let runtime = runtime();
    runtime.block_on(runner::warm_up());
    let run = u64::try_from(Uuid::new_v4().as_u128() >> 65).unwrap();
    let begun = Instant::now();
    let mut played = 0;
    let is_poor = profile == Some(poor::PROFILE);
    for round in 0.. {
        if begun.elapsed() > time {
            break;
        }
        let seed = replayed.unwrap_or_else(|| seed(run, round));
        let name = generator::profile_of(seed);
        if profile.is_some_and(|profile| profile != name) || (name == poor::PROFILE) != is_poor {
            continue;
        }
        played += 1;
        let (history, started) = (generator::history(seed), Instant::now());
        if let Err(fault) = runner::play(&history, &runtime) {
            fail(history, fault, &runtime, (played, begun.elapsed()));
        }
        eprintln!("{played}: {name} of seed {seed} in {:?}", started.elapsed());
    }
    announce(&format!("{played} histories in {} s", time.as_secs()));
}

/// Reports a fault in the smallest history that shows it.
fn fail(
    history: history::History,
    fault: rules::Fault,
    runtime: &Runtime,
    (rounds, after): (u64, Duration),
) -> ! {
    let (seed, profile) = (history.seed, history.profile);
    announce(&format!("\nhistory {rounds}, seed {seed} ({profile}), after {after:?}: {fault}\n"));
    let play = &mut |history: &_| runner::play(history, runtime);
    let (history, fault) = shrink::shrink(history, fault, SHRINKING, play);
    panic!(
        "{fault}\n\n{history}\n\nagain: EXECUTION_ENGINE_MODEL_SEED={seed} cargo test --test model"
    );
}
