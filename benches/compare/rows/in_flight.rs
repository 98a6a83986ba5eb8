//! Many `true` at a time.

use super::{Group, runtime};
use crate::args::Size;
use crate::contender::{Contender, engine};
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};
use crate::work;

pub const GROUP: Group =
    Group { name: "in-flight", about: "`true`, 32 and 256 of them at a time", measure };

fn measure(size: Size) -> Vec<Row> {
    [32, 256].into_iter().map(|width| row(width, size)).collect()
}

fn row(width: usize, size: Size) -> Row {
    let (runtime, our) = (runtime(), engine::engine(width));
    let total = width.max(size.of(256, 64));
    let entry = |contender: Contender| {
        let runtime = &runtime;
        let our = our.clone();
        Entry::timed(contender, move || work::run(runtime, &our, contender, total, width))
    };
    let samples = interleave(size.of(25, 3), Contender::COLUMNS.map(entry).into());
    Row::new("in-flight", format!("{width} in flight, each"), Unit::Micros)
        .medians(&samples, |time| time / total as f64)
        .paired(&samples, Contender::Floor, Goal::AtMost(1.10))
}
