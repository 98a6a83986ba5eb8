//! The time from the last act of a child to the wake-up of its waiter.

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::{Cmd, monotonic};
use crate::contender::{Contender, async_process, duct, engine, tokio};
use crate::floor;
use crate::rounds::{Entry, Samples, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group = Group {
    name: "latency",
    about: "from the clock that a child prints last to its waiter's wake-up",
    measure,
};

fn measure(size: Size) -> Vec<Row> {
    let (runtime, our) = (runtime(), engine::engine(100));
    let samples = interleave(
        size.of(2000, 50),
        vec![
            Entry::new(Contender::Floor, || since(&floor::output(&Cmd::clock()))),
            Entry::new(Contender::Tokio, || {
                in_task(&runtime, async { since(&tokio::output(&Cmd::clock()).await) })
            }),
            Entry::new(Contender::Duct, || since(&duct::output(&Cmd::clock()))),
            Entry::new(Contender::AsyncProcess, || {
                in_task(&runtime, async { since(&async_process::output(&Cmd::clock()).await) })
            }),
            Entry::new(Contender::Engine, || {
                let our = our.clone();
                in_task(&runtime, async move {
                    since(engine::output(&our, &Cmd::clock()).await.stdout.as_bytes())
                })
            }),
        ],
    );
    vec![
        row(&samples, "wake-up, median", 0.5, 1.10),
        row(&samples, "wake-up, 99th percentile", 0.99, 1.3),
    ]
}

fn row(samples: &Samples, name: &str, share: f64, goal: f64) -> Row {
    let value = |contender| samples.percentile(contender, share);
    let mut row = Row::new("latency", name, Unit::Micros);
    row.figures.extend(samples.contenders().map(|contender| (contender, value(contender))));
    let ratio = value(Contender::Engine) / value(Contender::Tokio);
    row.held_against(Contender::Tokio.name(), ratio, Goal::AtMost(goal))
}

/// Returns the seconds since the child read the clock.
fn since(printed: &[u8]) -> f64 {
    let now = monotonic();
    let then: u64 = String::from_utf8_lossy(printed).trim().parse().expect("the child's clock");
    (now - then) as f64 / 1e9
}
