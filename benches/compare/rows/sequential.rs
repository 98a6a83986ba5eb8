//! One `true` after the other, its output captured.

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::{Contender, async_process, duct, engine, tokio};
use crate::floor;
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "sequential", about: "`true`, one after the other", measure };

/// How many make one sample.
const BATCH: usize = 5;

fn measure(size: Size) -> Vec<Row> {
    let (runtime, our) = (runtime(), engine::engine(100));
    let samples = interleave(
        size.of(400, 20),
        vec![
            Entry::timed(Contender::Floor, || {
                floor::run_many(&Cmd::nothing(), BATCH, 1, drop);
            }),
            Entry::timed(Contender::Tokio, || {
                in_task(&runtime, async {
                    let cmd = Cmd::nothing();
                    for _ in 0..BATCH {
                        tokio::output(&cmd).await;
                    }
                });
            }),
            Entry::timed(Contender::Duct, || {
                let cmd = Cmd::nothing();
                (0..BATCH).for_each(|_| drop(duct::output(&cmd)));
            }),
            Entry::timed(Contender::AsyncProcess, || {
                in_task(&runtime, async {
                    let cmd = Cmd::nothing();
                    for _ in 0..BATCH {
                        async_process::output(&cmd).await;
                    }
                });
            }),
            Entry::timed(Contender::Engine, || {
                let our = our.clone();
                in_task(&runtime, async move {
                    let cmd = Cmd::nothing();
                    for _ in 0..BATCH {
                        engine::output(&our, &cmd).await;
                    }
                });
            }),
        ],
    );
    let row = Row::new("sequential", "one at a time", Unit::Micros);
    vec![row.medians(&samples, |time| time / BATCH as f64).paired(
        &samples,
        Contender::Tokio,
        Goal::AtMost(1.05),
    )]
}
