//! The cost of a plan over the same executions in a plain loop.

use execution_engine::{ExecutionEngine, ExecutionPlan, PlanOptions, PlanSpec};
use tokio::runtime::Runtime;

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::{Contender, engine};
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};
use crate::work;

pub const GROUP: Group =
    Group { name: "plan", about: "a graph of 10,000 `true` beside a plain loop", measure };

/// Nodes per layer. Each depends on two of the previous layer, so that there is always a step to start
/// and always one that has to wait.
const LAYER: usize = 100;

fn measure(size: Size) -> Vec<Row> {
    [8, 32].into_iter().map(|width| row(width, size)).collect()
}

fn row(width: usize, size: Size) -> Row {
    let total = size.of(10_000, 500);
    let (runtime, our) = (runtime(), engine::engine(width));
    let samples = interleave(
        size.of(7, 1),
        vec![
            Entry::timed(Contender::Engine, || run(&runtime, &our, total, width)),
            Entry::timed(Contender::Reference, || {
                work::run(&runtime, &our, Contender::Engine, total, width);
            }),
        ],
    );
    let each = |time| time / total as f64;
    let ratio = samples.ratio(Contender::Engine, Contender::Reference);
    Row::new("plan", format!("a graph of {total}, {width} in flight"), Unit::Micros)
        .medians(&samples, each)
        .figure(Contender::Reference, each(samples.median(Contender::Reference)))
        .held_against("plain loop", ratio, Goal::AtMost(1.10))
}

fn run(runtime: &Runtime, our: &ExecutionEngine, total: usize, width: usize) {
    let commands = (0..total).map(|_| engine::request(&Cmd::nothing()));
    let above = |node: usize| {
        let layer = node / LAYER - 1;
        [node % LAYER, (node + 1) % LAYER].map(|place| layer * LAYER + place).to_vec()
    };
    let plan = ExecutionPlan::graph(commands, (LAYER..total).map(|node| (node, above(node))));
    let options = PlanOptions::default().max_concurrency(width);
    let our = our.clone();
    in_task(runtime, async move {
        let result = our.run_plan(PlanSpec::new(plan, options)).await.expect("it is a plan");
        assert_eq!(result.stats.completed, total);
    });
}
