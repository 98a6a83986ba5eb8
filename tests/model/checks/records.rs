//! Order of the records: `Started` first, one chain of statuses, one last event, growing sequence
//! numbers, and never two executions at a time under one id.

use std::collections::HashMap;

use execution_engine::*;

use super::Facts;
use crate::rules::{Check, Rule};
use crate::watch::{About, Recording, Told, What};
use crate::world::World;

/// Checks the events of one execution.
pub(super) fn check_events(facts: &Facts, runs: &[String]) -> Check {
    let events: Vec<_> = facts.events().collect();
    let shown = || format!("{}: {events:?}", facts.name());
    let terminal = events.iter().filter(|event| event.is_terminal()).count();
    let is_last = events.last().is_some_and(|event| event.is_terminal());
    Rule::OneTerminalEvent.check(terminal == 1 && is_last, shown)?;
    Rule::OneTerminalEvent.check(fits(events[events.len() - 1], &facts.result), shown)?;
    let (starts, runs) = (facts.starts(), facts.one.trace.runs(runs));
    Rule::StartedFirst.check(runs <= starts, || {
        format!("it ran {runs} times, and was started {starts} times; {}", shown())
    })?;
    check_started_first(facts)?;
    check_chain(facts, &events, starts)
}

/// Returns `true` if a terminal event says the same as the result.
fn fits(event: &ExecutionEvent, result: &ExecutionResult) -> bool {
    match event {
        ExecutionEvent::Completed { success, exit_code, .. } => {
            (*success, *exit_code) == (result.success, result.exit_code)
                && matches!(result.ending, Ending::Exited { .. } | Ending::Signaled { .. })
        }
        ExecutionEvent::Timeout { .. } => result.status == ExecutionStatus::Timeout,
        ExecutionEvent::Cancelled { .. } => result.status == ExecutionStatus::Cancelled,
        ExecutionEvent::Failed { .. } => result.status == ExecutionStatus::Failed,
        _ => false,
    }
}

fn check_started_first(facts: &Facts) -> Check {
    let mut is_started = false;
    for told in &facts.replays[0].records {
        match &told.what {
            What::Event(ExecutionEvent::Started { .. }) => is_started = true,
            What::Line { .. } | What::Bytes { .. } | What::Missed(_) => {
                Rule::StartedFirst.check(is_started, || {
                    format!("{}: output before the start: {told:?}", facts.name())
                })?;
            }
            What::Event(_) => {}
        }
    }
    Ok(())
}

fn check_chain(facts: &Facts, events: &[&ExecutionEvent], starts: usize) -> Check {
    let mut status = ExecutionStatus::Pending;
    let mut has_run = false;
    for event in events {
        if let ExecutionEvent::StatusChanged { from, to, .. } = event {
            Rule::StatusChain.check(*from == status, || format!("{}: {events:?}", facts.name()))?;
            status = *to;
            has_run |= status == ExecutionStatus::Running;
        }
    }
    let is_kept = status == facts.result.status && has_run == (starts > 0);
    Rule::StatusChain.check(is_kept, || format!("{}: {events:?}", facts.name()))
}

/// Checks the order of one recording.
pub(super) fn check_recording(recording: &Recording) -> Check {
    let mut at: HashMap<Uuid, u64> = HashMap::new();
    for told in &recording.records {
        if matches!(told.what, What::Event(ExecutionEvent::ExecutionsMissed { .. })) {
            continue;
        }
        let before = at.insert(told.id, told.sequence);
        let is_kept = told.sequence > before.unwrap_or(recording.after)
            || before.is_none() && !matches!(recording.about, About::Execution(_));
        Rule::OneExecutionAtATime.check(is_kept, || {
            let near = recording.records.iter().filter(|other| other.id == told.id);
            let near: Vec<_> = near.map(short).collect();
            format!("{:?}: {} comes after {before:?} in {near:?}", recording.about, short(told))
        })?;
        if told.what.is_terminal() {
            at.remove(&told.id);
        }
    }
    if let About::All | About::Plan(_) = recording.about {
        return Ok(());
    }
    let terminal = recording.records.iter().filter(|told| told.what.is_terminal()).count();
    let is_last = recording.records.last().is_some_and(|told| told.what.is_terminal());
    // A position beyond the end means the end.
    let is_kept = terminal == 1 && is_last || recording.records.is_empty() && recording.after > 0;
    Rule::OneTerminalEvent.check(is_kept, || {
        let all: Vec<_> = recording.records.iter().map(short).collect();
        format!("{:?} from {}: {all:?}", recording.about, recording.after)
    })
}

/// Returns a record in a few words.
pub(super) fn short(told: &Told) -> String {
    match &told.what {
        What::Line { stream, text, is_partial } => {
            let end = text.floor_char_boundary(20);
            let mark = if *is_partial { "~" } else { "" };
            format!("{}: {stream} {:?}{mark}", told.sequence, &text[..end])
        }
        What::Bytes { stream, bytes } => {
            format!("{}: {stream} {} bytes", told.sequence, bytes.len())
        }
        What::Missed(bytes) => format!("{}: missed {bytes}", told.sequence),
        What::Event(ExecutionEvent::Started { .. }) => format!("{}: Started", told.sequence),
        What::Event(event) => format!("{}: {event:?}", told.sequence),
    }
}

/// Checks that a subscription to all executions has the end of each, or counts it as missed.
pub(super) fn check_all_executions(world: &World, recordings: &[Recording]) -> Check {
    for recording in recordings.iter().filter(|recording| recording.about == About::All) {
        let mut told: HashMap<Uuid, usize> = HashMap::new();
        let mut missed = 0;
        for one in &recording.records {
            match &one.what {
                What::Event(ExecutionEvent::ExecutionsMissed { count }) => missed += count,
                what if what.is_terminal() => *told.entry(one.id).or_default() += 1,
                _ => {}
            }
        }
        let mut not_told = 0;
        for (id, all) in world.by_id() {
            let since = all.iter().filter(|one| one.called > recording.opened).count();
            not_told += since.saturating_sub(told.get(&id).copied().unwrap_or_default()) as u64;
            Rule::OneTerminalEvent
                .check(told.get(&id).is_none_or(|ends| *ends <= all.len()), || {
                    format!("{} executions had the id {id}, and {told:?} have ended", all.len())
                })?;
        }
        Rule::OneTerminalEvent.check(not_told <= missed, || {
            format!("all executions: {not_told} endings were not told, {missed} missed")
        })?;
    }
    Ok(())
}
