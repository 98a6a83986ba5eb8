//! Faults at random: processes are killed and stopped, and links taken down.

use std::time::{Duration, Instant};

use crate::fleet::{Fleet, SERVERS, pause};
use crate::workers::Part;

/// Time between two looks at what has ended and what is due.
const TICK: Duration = Duration::from_millis(50);
/// How often a target is chosen that has a fault already, before there is none for now.
const TRIES: usize = 8;
/// One fault in so many strikes all servers.
const ALL: u32 = 15;

/// Settings of a storm.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// What is done follows from it, as far as time does.
    pub seed: u64,
    /// For how long.
    pub time: Duration,
    /// Longest stop.
    pub longest: Duration,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Log {
    /// One line for each fault.
    pub lines: Vec<String>,
    /// When all servers were down.
    pub outages: Vec<(Instant, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Worker(usize),
    Server(usize),
    Servers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill(Part),
    Stop(Part),
    Cut,
}

struct Active {
    target: Target,
    fault: Fault,
    until: Instant,
}

/// Makes faults for a time, and then heals all. A majority of the servers is well, or all of them are
/// killed. Workers that have ended are started again.
pub async fn run(fleet: &mut Fleet, faults: Faults, log: &mut Log) {
    let mut random = fastrand::Rng::with_seed(faults.seed);
    let begin = Instant::now();
    let mut next = begin;
    let mut active: Vec<Active> = Vec::new();
    while begin.elapsed() < faults.time {
        let now = Instant::now();
        for healed in active.extract_if(.., |active| active.until <= now) {
            heal(fleet, &healed);
        }
        start_ended(fleet, &active);
        if next <= now {
            next = now + Duration::from_millis(random.u64(500..5000));
            let mut tries = (0..TRIES).map(|_| choose(&mut random, fleet, &active, faults.longest));
            if let Some(fault) = tries.find_map(|fault| fault) {
                let at = begin.elapsed().as_secs_f32();
                let lasts = fault.until.saturating_duration_since(now);
                log.lines.push(format!(
                    "{at:.1} s: {:?} {:?} for {lasts:.1?}",
                    fault.target, fault.fault
                ));
                if fault.target == Target::Servers {
                    // Until they have elected leaders again.
                    log.outages.push((now, fault.until + Duration::from_secs(10)));
                }
                strike(fleet, &fault);
                active.push(fault);
            }
        }
        pause(TICK).await;
    }
    active.iter().for_each(|active| heal(fleet, active));
    fleet.servers.start_again(&[]).await;
    start_ended(fleet, &[]);
}

/// Starts workers where there is none and no fault, and notes those that have ended.
fn start_ended(fleet: &mut Fleet, active: &[Active]) {
    for (node, worker) in fleet.workers.iter_mut().enumerate() {
        let has_fault = active.iter().any(|active| active.target == Target::Worker(node));
        if worker.look() && !has_fault {
            worker.start();
        }
    }
}

/// Returns the next fault, if its target has none.
fn choose(
    random: &mut fastrand::Rng,
    fleet: &Fleet,
    active: &[Active],
    longest: Duration,
) -> Option<Active> {
    let target = match random.u32(0..ALL) {
        0 => Target::Servers,
        1..5 => Target::Server(random.usize(0..SERVERS)),
        _ => Target::Worker(random.usize(0..fleet.workers.len())),
    };
    let part = if random.bool() { Part::Worker } else { Part::Keeper };
    let faults = [Fault::Kill(part), Fault::Stop(part), Fault::Cut];
    let kinds = if fleet.network.has_links() { 3 } else { 2 };
    let fault = match target {
        Target::Servers => Fault::Kill(Part::Worker),
        _ => faults[random.usize(0..kinds)],
    };
    let is_server = |target: Target| !matches!(target, Target::Worker(_));
    let is_taken =
        |other: &Active| other.target == target || (is_server(other.target) && is_server(target));
    if active.iter().any(is_taken) {
        return None;
    }
    let longest = longest.as_millis() as u64;
    let lasts = match fault {
        Fault::Kill(_) => random.u64(100..longest.min(6000)),
        // Most are short, so that much runs beside them.
        Fault::Stop(_) | Fault::Cut => {
            let longest = random.u64(2000..longest);
            random.u64(1000..longest)
        }
    };
    Some(Active { target, fault, until: Instant::now() + Duration::from_millis(lasts) })
}

fn strike(fleet: &mut Fleet, active: &Active) {
    match (active.target, active.fault) {
        (Target::Worker(node), Fault::Kill(part)) => fleet.workers[node].kill(part),
        (Target::Worker(node), Fault::Stop(part)) => fleet.workers[node].stop(part),
        (Target::Worker(node), Fault::Cut) => fleet.network.set_link(SERVERS + node, false),
        (Target::Server(node), Fault::Kill(_)) => fleet.servers.kill(node),
        (Target::Server(node), Fault::Stop(_)) => fleet.servers.freeze(node, true),
        (Target::Server(node), Fault::Cut) => fleet.network.set_link(node, false),
        (Target::Servers, _) => (0..SERVERS).for_each(|node| fleet.servers.kill(node)),
    }
}

fn heal(fleet: &mut Fleet, active: &Active) {
    match (active.target, active.fault) {
        (Target::Worker(node), Fault::Stop(_)) => fleet.workers[node].resume(),
        (Target::Worker(node), Fault::Cut) => fleet.network.set_link(SERVERS + node, true),
        // It is started where workers have ended.
        (Target::Worker(_), Fault::Kill(_)) => {}
        (Target::Server(node), Fault::Kill(_)) => fleet.servers.revive(node),
        (Target::Server(node), Fault::Stop(_)) => fleet.servers.freeze(node, false),
        (Target::Server(node), Fault::Cut) => fleet.network.set_link(node, true),
        (Target::Servers, _) => (0..SERVERS).for_each(|node| fleet.servers.revive(node)),
    }
}
