//! Permits and the queue: never more than the limit, no refusal while there is room, first in,
//! first out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use execution_engine::*;

use crate::history::Shape;
use crate::rules::{Check, Rule};
use crate::world::{Answer, Said, Submission, Tick, Trace, World, lock};

/// Looks at the programs themselves until the callers are done.
#[expect(clippy::disallowed_methods, reason = "looks now and then; nothing announces a program")]
pub(crate) fn never_more_than_the_limit(world: &Arc<World>) -> Check {
    let limit = world.settings.limit;
    while !world.is_over.load(Ordering::Relaxed) {
        // Held at both looks is held between them, so these were active at the same moment.
        let both = {
            let first = running(world);
            running(world).into_iter().filter(|key| first.contains(key)).collect::<Vec<_>>()
        };
        Rule::Limit.check(both.len() <= limit, || format!("{both:?} ran, not {limit}"))?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Returns the keys of the programs that have begun and hold their FIFO.
fn running(world: &World) -> Vec<String> {
    let runs = world.runs();
    let is_running = |trace: &Trace| trace.runs(&runs) > 0 && !trace.life.is_cut();
    let key = |trace: &Trace| is_running(trace).then(|| trace.key.clone());
    let mut all: Vec<_> = world.executions().iter().filter_map(|one| key(&one.trace)).collect();
    for plan in world.plans() {
        all.extend(plan.steps.iter().filter_map(|(_, trace)| key(trace)));
    }
    all
}

/// Checks refusals, positions and counts, and the order of the queue.
pub(super) fn check(world: &World, runs: &[String]) -> Check {
    for answer in lock(&world.answers).iter() {
        check_answer(world, answer)?;
    }
    for one in world.executions() {
        let is_poor = world.may_be_poor(one.called, one.returned());
        let is_refused = matches!(one.refusal(), Some(ExecutionError::NoThreads { .. }));
        Rule::RefusedForAReason.check(!is_refused || is_poor, || {
            format!("{} was refused, and there was room for threads", one.name())
        })?;
    }
    check_order(world, runs)
}

fn check_answer(world: &World, answer: &Answer) -> Check {
    let limit = world.settings.limit;
    let shown = |what: &str, count: usize| format!("{answer:?}, but {count} {what} then");
    match &answer.what {
        Said::Refused(ExecutionError::ConcurrencyLimitReached(_)) => {
            let active = active(world, answer);
            Rule::RefusedForAReason.check(active >= limit, || shown("could be active", active))
        }
        Said::Refused(ExecutionError::QueueFull(max_waiting)) => {
            let waiting = waiting(world, answer).count();
            Rule::RefusedForAReason.check(waiting >= *max_waiting, || shown("could wait", waiting))
        }
        Said::Refused(ExecutionError::DuplicateId(id)) => {
            let others = world.executions();
            let mut others = others.iter().filter(|one| one.id == *id && one.called < answer.to);
            Rule::RefusedForAReason
                .check(others.any(|one| !one.is_refused()), || shown("had its id", 0))
        }
        Said::Refused(ExecutionError::Validation(_)) => Ok(()),
        // The answers are locked here, so it is asked for outside.
        Said::Refused(ExecutionError::NoThreads { .. }) => Ok(()),
        Said::Refused(ExecutionError::ShuttingDown) => {
            let is_closed = world.closed.get() < answer.to;
            Rule::RefusedForAReason.check(is_closed, || format!("{answer:?}"))
        }
        Said::Refused(other) => Err(Rule::RefusedForAReason.broken(format!("{other:?}"))),
        Said::Position(id, position) => check_position(world, answer, *id, *position),
        Said::Waiting(count) => {
            let waiting = waiting(world, answer).count() + steps(world, answer);
            Rule::Counts.check(*count <= waiting, || shown("could wait", waiting))
        }
        Said::Running(count) => {
            let active = active(world, answer);
            Rule::Counts.check(*count <= active, || shown("could be active", active))
        }
        Said::Available(count) => {
            let active = active(world, answer);
            Rule::Counts.check(limit - count <= active, || shown("could be active", active))
        }
        Said::Status(..) | Said::Result(..) | Said::Cancelled(..) | Said::Room(_) => Ok(()),
    }
}

fn check_position(world: &World, answer: &Answer, id: Uuid, position: usize) -> Check {
    let Some(one) = world.only(id) else { return Ok(()) };
    let is_ahead = |other: &Arc<Submission>| {
        let is_older = other.called < one.returned();
        let by_priority = other.exec.priority.cmp(&one.exec.priority);
        other.number != one.number && (by_priority.is_gt() || by_priority.is_eq() && is_older)
    };
    let ahead = waiting(world, answer).filter(is_ahead).count() + steps(world, answer);
    Rule::Counts.check(position <= 1 + ahead, || {
        format!("{} had position {position}, {ahead} could be before it", one.name())
    })
}

/// Returns the executions that may have been in the queue while a call was made.
fn waiting(world: &World, answer: &Answer) -> impl Iterator<Item = Arc<Submission>> {
    let (from, to) = (answer.from, answer.to);
    let may_wait = move |one: &Arc<Submission>| {
        let until = one.started.get().min(one.ended.get()).min(one.cancelled.get());
        one.called < to && until > from
    };
    world.accepted().into_iter().filter(may_wait)
}

/// Returns how many executions may have been active while a call was made.
fn active(world: &World, answer: &Answer) -> usize {
    let may_be = |called: Tick, ended: Tick| called < answer.to && ended > answer.from;
    let executions = world.accepted();
    let executions = executions.iter().filter(|one| may_be(one.called, one.ended.get()));
    executions.count() + steps(world, answer)
}

/// Returns how many steps of plans may have been active or queued while a call was made.
fn steps(world: &World, answer: &Answer) -> usize {
    let plans = world.plans();
    let plans = plans
        .iter()
        .filter(|run| run.is_accepted() && run.called < answer.to && run.ended.get() > answer.from);
    let at_a_time = |shape: &Shape, steps: usize| match shape {
        Shape::Serial { .. } => 1,
        Shape::Parallel { at_a_time: Some(limit) } => steps.min(*limit),
        Shape::Parallel { at_a_time: None } | Shape::Graph(_) => steps,
    };
    plans.map(|run| at_a_time(&run.plan.shape, run.steps.len())).sum()
}

/// Checks at a limit of 1, where programs run one after the other, that the queue kept its order.
fn check_order(world: &World, runs: &[String]) -> Check {
    if world.settings.limit > 1 {
        return Ok(());
    }
    let first_run = |one: &Submission| runs.iter().position(|key| *key == one.trace.key);
    let accepted = world.accepted();
    for early in accepted.iter().filter(|one| one.handle().is_some()) {
        for late in &accepted {
            let is_later =
                early.returned() < late.called && early.exec.priority == late.exec.priority;
            let (Some(first), Some(second)) = (first_run(early), first_run(late)) else {
                continue;
            };
            Rule::QueueOrder.check(!is_later || first < second, || {
                format!("{} was accepted before {}: {runs:?}", early.name(), late.name())
            })?;
        }
    }
    Ok(())
}
