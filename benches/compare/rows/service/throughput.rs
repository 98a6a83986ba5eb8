//! Executions per second through the service and in the library.

use std::path::Path;

use super::NAME;
use super::fixture::{Bench, body, clients, submit, wait};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::{Contender, engine};
use crate::rounds::{Entry, interleave};
use crate::rows::runtime;
use crate::table::{Goal, Row, Unit};
use crate::work;

const WIDTH: usize = 32;

pub fn measure(exeng: &Path, size: Size) -> Vec<Row> {
    let bench = Bench::start(exeng);
    let body = body(&Cmd::nothing());
    let runtime = runtime();
    let our = engine::engine(WIDTH);
    let total = size.of(500, 64);
    let samples = interleave(
        size.of(15, 2),
        vec![
            Entry::timed(Contender::Engine, || {
                clients(&bench, total, WIDTH, |connection| {
                    let (id, _) = submit(connection, &body);
                    wait(connection, &id);
                });
            }),
            Entry::timed(Contender::Reference, || {
                work::run(&runtime, &our, Contender::Engine, total, WIDTH);
            }),
        ],
    );
    let each = |time| time / total as f64;
    let ratio = 1.0 / samples.ratio(Contender::Engine, Contender::Reference);
    vec![
        Row::new(NAME, format!("submitted and ended, {WIDTH} clients, each"), Unit::Micros)
            .medians(&samples, each)
            .figure(Contender::Reference, each(samples.median(Contender::Reference)))
            .held_against("executions per second of the library", ratio, Goal::AtLeast(0.5)),
    ]
}
