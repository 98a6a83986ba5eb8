//! Checks of an engine at rest: all executions have ended, and no caller is left.

use std::sync::Arc;

use execution_engine::*;

use super::Facts;
use crate::history::{Pace, View};
use crate::rules::{Check, Fault, Rule};
use crate::watch::{About, Recording};
use crate::world::World;

/// Most positions from which one execution is read again.
const POSITIONS: u64 = 48;

/// Checks counts, lists and results, and reads executions again from many positions.
pub(crate) async fn check(world: &Arc<World>, engine: &ExecutionEngine, facts: &[Facts]) -> Check {
    let counts =
        (engine.running_count().await, engine.waiting_count().await, engine.available_permits());
    Rule::NothingLeft.check(counts == (0, 0, world.settings.limit), || {
        format!("at rest these run, wait and are free: {counts:?}")
    })?;
    let listed = engine.list_executions().await;
    let total = engine.total_count().await;
    Rule::Counts.check(listed.len() == total, || format!("{} listed, {total}", listed.len()))?;
    Rule::Retention.check(total <= world.settings.remembered, || {
        format!("{total} are remembered, not {}", world.settings.remembered)
    })?;
    for one in &listed {
        let status = engine.get_status(one.id).await;
        let result = engine.get_result(one.id).await;
        let ending = result.as_ref().ok().and_then(|it| it.as_ref().map(|it| it.ending.clone()));
        let agrees = status.as_ref() == Ok(&one.status)
            && one.ending == ending
            && ending.is_some_and(|ending| ending.status() == one.status);
        Rule::Agreement
            .check(agrees, || format!("{one:?} is listed, but {status:?}, {result:?}"))?;
    }
    for plan in engine.list_plans().await {
        let status = engine.get_plan_status(plan.id).await;
        Rule::Agreement.check(status.as_ref() == Ok(&plan.status), || {
            format!("{plan:?} is listed, but {status:?}")
        })?;
    }
    for facts in facts {
        check_remembered(world, engine, facts).await?;
    }
    Ok(())
}

async fn check_remembered(world: &Arc<World>, engine: &ExecutionEngine, facts: &Facts) -> Check {
    let id = facts.one.id;
    if world.only(id).is_none() {
        return Ok(());
    }
    let Ok(Some(result)) = engine.get_result(id).await else { return Ok(()) };
    Rule::Agreement.check(result == facts.result, || {
        format!("{}: its waiter got {:?}, now it is {result:?}", facts.name(), facts.result)
    })?;
    for recording in resumed(world, engine, facts).await? {
        world.watch(std::future::ready(recording));
    }
    Ok(())
}

/// Reads an execution again, from many positions.
async fn resumed(
    world: &Arc<World>,
    engine: &ExecutionEngine,
    facts: &Facts,
) -> Result<Vec<Recording>, Fault> {
    let id = facts.one.id;
    let end = facts.replays[0].records.last().map_or(0, |told| told.sequence);
    let mut positions: Vec<u64> = (1..end.min(POSITIONS)).collect();
    if end > POSITIONS {
        // The last lines, where positions differ most from those of bytes, and some between.
        positions.extend(end - 8..end);
        positions.extend((1..8).map(|part| end / 8 * part));
        let told = facts.replays[0].records.iter().map(|told| told.sequence);
        positions.extend(told.rev().take(8));
    }
    let about = About::Execution(facts.one.number);
    let fault = |error: ExecutionError| Rule::Agreement.broken(error.to_string());
    let mut all = Vec::new();
    for after in positions {
        let recording = |view| Recording::new(about, view, after, world.tick());
        let lines = engine.subscribe_from(id, after).await.map_err(fault)?;
        let shared = Arc::clone(world);
        all.push(recording(View::Lines).read(shared, lines, Pace::Fast, |_, _| {}).await);
        let chunks = engine.subscribe_chunks_from(id, after).await.map_err(fault)?;
        let shared = Arc::clone(world);
        all.push(recording(View::Chunks).read(shared, chunks, Pace::Fast, |_, _| {}).await);
    }
    Ok(all)
}
