//! Five million lines, each told to somebody.

use std::cell::Cell;

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::{Cmd, LINE};
use crate::contender::{Contender, async_process, duct, engine, tokio};
use crate::floor::{self, Keep};
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "lines", about: "500 MB in lines of 100 bytes, each line told", measure };

fn measure(size: Size) -> Vec<Row> {
    let count = size.of(5_000_000, 200_000) as u64;
    let bytes = count * LINE as u64;
    let runtime = runtime();
    let (counter, tells) = engine::Counter::new();
    let our = engine::engine(100).with_event_handler(counter);
    let quiet = engine::engine(100);
    // A subscriber holds nobody back, so it may miss some.
    let least_told = Cell::new(count);
    let samples = interleave(
        size.of(7, 1),
        vec![
            Entry::timed(Contender::Floor, || {
                let seen = floor::read_all(&Cmd::lines(bytes), floor::PIPE_SIZES[2], Keep::Lines);
                assert_eq!(seen as u64, count);
            }),
            Entry::timed(Contender::Tokio, || {
                let seen = in_task(&runtime, async move { tokio::lines(&Cmd::lines(bytes)).await });
                assert_eq!(seen, count);
            }),
            Entry::timed(Contender::Duct, || {
                assert_eq!(duct::lines(&Cmd::lines(bytes)), count);
            }),
            Entry::timed(Contender::AsyncProcess, || {
                let lines = async move { async_process::lines(&Cmd::lines(bytes)).await };
                assert_eq!(in_task(&runtime, lines), count);
            }),
            Entry::timed(Contender::Engine, || {
                let our = our.clone();
                in_task(&runtime, async move {
                    engine::output(&our, &Cmd::lines(bytes)).await;
                });
                assert_eq!(tells.recv(), Ok(count));
            }),
            Entry::timed(Contender::Reference, || {
                let told = in_task(&runtime, engine::subscribed(quiet.clone(), Cmd::lines(bytes)));
                least_told.set(told.min(least_told.get()));
            }),
        ],
    );
    let throughput = |time| bytes as f64 / 1e6 / time;
    let row = |name| Row::new("lines", name, Unit::Throughput);
    let median = |who| throughput(samples.median(who));
    let ratio = samples.ratio(Contender::Tokio, Contender::Reference);
    vec![
        row("lines to a handler").medians(&samples, throughput).paired(
            &samples,
            Contender::Tokio,
            Goal::AtLeast(1.0),
        ),
        row("lines to a subscriber")
            .figure(Contender::Tokio, median(Contender::Tokio))
            .figure(Contender::Engine, median(Contender::Reference))
            .beside("raw tokio", ratio),
        Row::new("lines", "told to a subscriber", Unit::Count)
            .figure(Contender::Engine, least_told.get() as f64),
    ]
}
