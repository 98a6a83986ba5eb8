//! One `true` after the other, with its output captured.

use super::{Group, runtime};
use crate::args::Size;
use crate::contender::{Contender, engine};
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};
use crate::work;

pub const GROUP: Group =
    Group { name: "sequential", about: "`true`, one after the other", measure };

/// Executions per sample.
const BATCH: usize = 5;

fn measure(size: Size) -> Vec<Row> {
    let (runtime, our) = (runtime(), engine::engine(100));
    let entry = |contender: Contender| {
        let runtime = &runtime;
        let our = our.clone();
        Entry::timed(contender, move || work::run(runtime, &our, contender, BATCH, 1))
    };
    let samples = interleave(size.of(400, 20), Contender::COLUMNS.map(entry).into());
    let row = Row::new("sequential", "one at a time", Unit::Micros);
    vec![row.medians(&samples, |time| time / BATCH as f64).paired(
        &samples,
        Contender::Tokio,
        Goal::AtMost(1.05),
    )]
}
