//! Handlers: all events in order, the exact number of missed lines, and no line for one that blocks.

use std::sync::Arc;

use execution_engine::*;

use super::Facts;
use crate::handlers::{Heard, Witness};
use crate::history::{HandlerKind, View};
use crate::rules::{Check, Rule};
use crate::watch::{About, Recording, What};
use crate::world::World;

/// Waits until each handler has heard of each end, and checks what it heard.
pub(super) async fn check(
    world: &World,
    facts: &[Facts],
    recordings: &[Recording],
    handlers: &[Arc<Witness>],
) -> Check {
    for witness in handlers {
        for (id, all) in world.by_id() {
            hears_ends(world, witness, id, all.len()).await?;
        }
        for run in world.plans().iter().filter(|run| run.is_accepted()) {
            hears_ends(world, witness, run.id, 1).await?;
        }
        for facts in facts.iter().filter(|facts| world.only(facts.one.id).is_some()) {
            check_heard(world, facts, recordings, witness)?;
        }
    }
    Ok(())
}

async fn hears_ends(world: &World, witness: &Witness, id: Uuid, ends: usize) -> Check {
    let heard = || witness.terminal_events(id);
    let wait = async {
        while heard() < ends {
            test_support::pause(Duration::from_millis(1)).await;
        }
    };
    let in_time = world.within("a handler", wait).await;
    Rule::Handler.check(in_time.is_ok() && heard() == ends, || {
        format!("a handler heard of {} ends of {id}, not {ends}", heard())
    })
}

fn check_heard(world: &World, facts: &Facts, recordings: &[Recording], witness: &Witness) -> Check {
    let heard = witness.heard(facts.one.id);
    let shown = || {
        let events: Vec<_> = heard.iter().map(|heard| (&heard.event, heard.blocked)).collect();
        format!("a {:?} handler of {}: {events:?}", witness.kind, facts.name())
    };
    let is_last = heard.last().is_some_and(|heard| heard.event.is_terminal());
    Rule::Handler.check(is_last, shown)?;
    let is_event = |event: &&ExecutionEvent| !is_line(event);
    let events: Vec<_> = heard.iter().map(|heard| &heard.event).filter(is_event).collect();
    let not_missed = |event: &&ExecutionEvent| !matches!(event, ExecutionEvent::LinesMissed { .. });
    let told: Vec<_> = events.iter().copied().filter(not_missed).collect();
    // In the replay an event is what it was when it was published.
    Rule::Handler.check(told == facts.events().collect::<Vec<_>>(), shown)?;
    check_lines(world, facts, recordings, &heard, &shown)?;
    check_cut_off(world, witness, &heard, &shown)
}

fn is_line(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}

/// Checks that the lines it was given and those it missed are all there were.
fn check_lines(
    world: &World,
    facts: &Facts,
    recordings: &[Recording],
    heard: &[Heard],
    shown: &impl Fn() -> String,
) -> Check {
    let given = heard.iter().filter(|heard| is_line(&heard.event)).count() as u64;
    let missed = heard.iter().map(|heard| match heard.event {
        ExecutionEvent::LinesMissed { count, .. } => count,
        _ => 0,
    });
    let missed: u64 = missed.sum();
    let about = About::Execution(facts.one.number);
    let mut watched = recordings.iter().filter(|it| {
        let is_whole = it.after == 0 && it.records.iter().all(|it| it.what.missed_bytes() == 0);
        it.about == about && it.view == View::Lines && is_whole
    });
    let Some(watched) = watched.next() else { return Ok(()) };
    if !world.settings.streams_lines {
        return Rule::Handler.check(given + missed == 0, shown);
    }
    let lines = watched.records.iter().filter(|it| matches!(it.what, What::Line { .. }));
    let lines = lines.count() as u64;
    Rule::Handler.check(given + missed == lines, || {
        format!("{given} lines given, {missed} missed, {lines} published; {}", shown())
    })
}

/// Checks that a handler that has blocked for too long was given no more lines.
fn check_cut_off(
    world: &World,
    witness: &Witness,
    heard: &[Heard],
    shown: &impl Fn() -> String,
) -> Check {
    let limit = Duration::from_millis(world.settings.stall_ms);
    let blocked = heard.iter().position(|heard| heard.blocked > limit);
    let (HandlerKind::Blocks, Some(blocked)) = (witness.kind, blocked) else { return Ok(()) };
    let after = heard[blocked + 1..].iter().filter(|heard| is_line(&heard.event)).count();
    Rule::HandlerCutOff.check(after == 0, || format!("{after} lines after that: {}", shown()))
}
