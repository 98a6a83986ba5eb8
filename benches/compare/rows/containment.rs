//! The cost of the strongest containment over a bare process group.

use execution_engine::{ContainmentLevel, ExecutionEngine};

use super::{Group, runtime};
use crate::args::Size;
use crate::contender::{Contender, engine};
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};
use crate::work;

pub const GROUP: Group =
    Group { name: "containment", about: "full containment beside a process group", measure };

fn measure(size: Size) -> Vec<Row> {
    [1, 32].into_iter().map(|width| row(width, size)).collect()
}

fn row(width: usize, size: Size) -> Row {
    let runtime = runtime();
    let total = 2 * width.max(16);
    let full = engine::engine(width);
    let group = engine::engine_at(ContainmentLevel::ProcessGroup, width);
    let run = |our: &ExecutionEngine| work::run(&runtime, our, Contender::Engine, total, width);
    let samples = interleave(
        size.of(60, 3),
        vec![
            Entry::timed(Contender::Engine, || run(&full)),
            Entry::timed(Contender::Reference, || run(&group)),
        ],
    );
    let each = |time| time / total as f64;
    let ratio = samples.ratio(Contender::Engine, Contender::Reference);
    Row::new("containment", format!("full containment, {width} in flight"), Unit::Micros)
        .medians(&samples, each)
        .figure(Contender::Reference, each(samples.median(Contender::Reference)))
        .held_against("process group", ratio, Goal::AtMost(1.10))
}
