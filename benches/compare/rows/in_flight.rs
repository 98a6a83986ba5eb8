//! Many `true` at a time.

use super::{Group, crowd, in_task, runtime};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::{Contender, async_process, duct, engine, tokio};
use crate::floor;
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "in-flight", about: "`true`, 32 and 256 of them at a time", measure };

fn measure(size: Size) -> Vec<Row> {
    [32, 256].into_iter().map(|width| row(width, size)).collect()
}

fn row(width: usize, size: Size) -> Row {
    let (runtime, our) = (runtime(), engine::engine(width));
    let total = width.max(size.of(256, 64));
    let samples = interleave(
        size.of(25, 3),
        vec![
            Entry::timed(Contender::Floor, || {
                floor::run_many(&Cmd::nothing(), total, width, drop);
            }),
            Entry::timed(Contender::Tokio, || {
                in_task(
                    &runtime,
                    crowd(total, width, || async {
                        tokio::output(&Cmd::nothing()).await;
                    }),
                );
            }),
            Entry::timed(Contender::Duct, || {
                in_task(
                    &runtime,
                    crowd(total, width, || async {
                        let run = || duct::output(&Cmd::nothing());
                        ::tokio::task::spawn_blocking(run).await.expect("it does not panic");
                    }),
                );
            }),
            Entry::timed(Contender::AsyncProcess, || {
                in_task(
                    &runtime,
                    crowd(total, width, || async {
                        async_process::output(&Cmd::nothing()).await;
                    }),
                );
            }),
            Entry::timed(Contender::Engine, || {
                let our = our.clone();
                in_task(
                    &runtime,
                    crowd(total, width, move || {
                        let our = our.clone();
                        async move {
                            engine::output(&our, &Cmd::nothing()).await;
                        }
                    }),
                );
            }),
        ],
    );
    Row::new("in-flight", format!("{width} in flight, each"), Unit::Micros)
        .medians(&samples, |time| time / total as f64)
        .paired(&samples, Contender::Floor, Goal::AtMost(1.10))
}
