//! Shrinking of a history that broke a rule, by leaving out parts that the fault does not need.
//!
//! A fault depends on scheduling, too, so each candidate is played several times, as often as the
//! fault's frequency asks for.

use std::time::{Duration, Instant};

use execution_engine::StepOptions;

use crate::history::{End, Exec, History, Input, Op, Plan};
use crate::rules::{Check, Fault};

/// Most plays of one candidate.
const MOST_PLAYS: usize = 40;

/// Shrinks a history for some time. Returns the smallest that broke the same rule, and how.
pub(crate) fn shrink(
    mut history: History,
    mut fault: Fault,
    time: Duration,
    play: &mut dyn FnMut(&History) -> Check,
) -> (History, Fault) {
    let begun = Instant::now();
    let Some(plays) = plays_needed(&history, &fault, play) else { return (history, fault) };
    let mut has_changed = true;
    while has_changed {
        has_changed = false;
        let mut number = 0;
        while let Some(candidate) = candidate(&history, number) {
            number += 1;
            if begun.elapsed() > time {
                return (history, fault);
            }
            if candidate == history {
                continue;
            }
            if let Some(found) = breaks(&candidate, &fault, plays, play) {
                (history, fault, has_changed) = (candidate, found, true);
                // What comes at this number now is new.
                number -= 1;
            }
        }
    }
    (history, fault)
}

/// Returns how often a candidate has to be played; `None` if the fault does not come again.
fn plays_needed(
    history: &History,
    fault: &Fault,
    play: &mut dyn FnMut(&History) -> Check,
) -> Option<usize> {
    let mut plays = 0;
    for found in 1..=3 {
        plays += breaks_after(history, fault, MOST_PLAYS, play)?.0;
        if plays >= MOST_PLAYS {
            return Some((plays * 3 / found).min(MOST_PLAYS));
        }
    }
    Some((plays + 2).min(MOST_PLAYS))
}

fn breaks(
    history: &History,
    fault: &Fault,
    plays: usize,
    play: &mut dyn FnMut(&History) -> Check,
) -> Option<Fault> {
    Some(breaks_after(history, fault, plays, play)?.1)
}

/// Plays until the same rule is broken. Returns the number of plays, and the fault.
fn breaks_after(
    history: &History,
    fault: &Fault,
    plays: usize,
    play: &mut dyn FnMut(&History) -> Check,
) -> Option<(usize, Fault)> {
    (1..=plays).find_map(|number| match play(history) {
        Err(found) if found.rule == fault.rule => Some((number, found)),
        _ => None,
    })
}

/// Returns the simpler history with a number; `None` after the last.
///
/// The large cuts come first: callers, halves of their calls, single calls, then their details.
fn candidate(history: &History, number: usize) -> Option<History> {
    let mut left = number;
    let mut simpler = history.clone();
    if left < history.lanes.len() {
        simpler.lanes.remove(left);
        return Some(simpler);
    }
    left -= history.lanes.len();
    for parts in [2, 4, usize::MAX] {
        for lane in 0..history.lanes.len() {
            let length = history.lanes[lane].len();
            let size = if parts == usize::MAX { 1 } else { length.div_ceil(parts).max(2) };
            let count = length.div_ceil(size);
            if left < count {
                let end = (left * size + size).min(length);
                simpler.lanes[lane].drain(left * size..end);
                return Some(simpler);
            }
            left -= count;
        }
    }
    if let Some(simpler) = simpler_settings(history, &mut left) {
        return Some(simpler);
    }
    for lane in 0..history.lanes.len() {
        for at in 0..history.lanes[lane].len() {
            let details = simpler_ops(&history.lanes[lane][at]);
            if left < details.len() {
                simpler.lanes[lane][at] = details[left].clone();
                return Some(simpler);
            }
            left -= details.len();
        }
    }
    None
}

type Change = fn(&mut History);

fn simpler_settings(history: &History, left: &mut usize) -> Option<History> {
    let changes: [Change; 10] = [
        |history| history.settings.handlers.clear(),
        |history| history.settings.handlers.truncate(1),
        |history| history.settings.level = 2,
        |history| history.settings.window = 1 << 20,
        |history| history.settings.kept_bytes = 1 << 20,
        |history| history.settings.longest_line = 1 << 16,
        |history| history.settings.remembered = 1000,
        |history| history.settings.queue = None,
        |history| history.settings.streams_lines = true,
        |history| history.end = End::Wait,
    ];
    if *left < changes.len() {
        let mut simpler = history.clone();
        changes[*left](&mut simpler);
        return Some(simpler);
    }
    *left -= changes.len();
    None
}

/// Returns simpler forms of a call.
fn simpler_ops(op: &Op) -> Vec<Op> {
    match op {
        Op::Start(exec) => simpler_execs(exec).map(|exec| Op::Start(Box::new(exec))).collect(),
        Op::Run(exec) => simpler_execs(exec).map(|exec| Op::Run(Box::new(exec))).collect(),
        Op::Reuse { exec, rounds } => {
            let fewer = Op::Reuse { exec: exec.clone(), rounds: rounds / 2 };
            let with = |exec| Op::Reuse { exec: Box::new(exec), rounds: *rounds };
            std::iter::once(fewer).chain(simpler_execs(exec).map(with)).collect()
        }
        Op::Relay { exec, rounds, look } => {
            vec![Op::Relay { exec: exec.clone(), rounds: rounds / 2, look: *look }]
        }
        Op::Plan(plan) => simpler_plans(plan).map(|plan| Op::Plan(Box::new(plan))).collect(),
        Op::Nap(micros) if *micros > 0 => vec![Op::Nap(micros / 2)],
        _ => Vec::new(),
    }
}

fn simpler_execs(exec: &Exec) -> impl Iterator<Item = Exec> + '_ {
    let without_act = (0..exec.program.acts.len()).map(|at| {
        let mut simpler = exec.clone();
        simpler.program.acts.remove(at);
        simpler
    });
    let without_watcher = (0..exec.watchers.len()).map(|at| {
        let mut simpler = exec.clone();
        simpler.watchers.remove(at);
        simpler
    });
    let plain = [
        Exec { timeout_ms: None, ..exec.clone() },
        Exec { retry: None, ..exec.clone() },
        Exec { input: Input::None, ..exec.clone() },
        Exec { is_merged: false, ..exec.clone() },
        Exec { partial_after_ms: None, ..exec.clone() },
        Exec { idle_timeout_ms: None, ..exec.clone() },
        Exec { priority: 0, ..exec.clone() },
    ];
    without_act.chain(without_watcher).chain(plain).filter(move |simpler| simpler != exec)
}

fn simpler_plans(plan: &Plan) -> impl Iterator<Item = Plan> + '_ {
    let fewer = plan.steps.len().checked_sub(1).filter(|left| *left > 0).map(|left| {
        let mut simpler = plan.clone();
        simpler.steps.truncate(left);
        simpler.options.truncate(left);
        if let crate::history::Shape::Graph(dependencies) = &mut simpler.shape {
            dependencies.truncate(left);
        }
        simpler
    });
    let without_acts =
        (0..plan.steps.len()).filter(|at| !plan.steps[*at].acts.is_empty()).map(|at| {
            let mut simpler = plan.clone();
            simpler.steps[at].acts.clear();
            simpler
        });
    let without_options = (0..plan.options.len()).map(|at| {
        let mut simpler = plan.clone();
        simpler.options[at] = StepOptions::default();
        simpler
    });
    let plain =
        [Plan { deadline_ms: None, ..plan.clone() }, Plan { watchers: Vec::new(), ..plan.clone() }];
    let simpler = fewer.into_iter().chain(without_acts).chain(without_options).chain(plain);
    simpler.filter(move |simpler| simpler != plan)
}
