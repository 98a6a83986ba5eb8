//! Two children that print at the same time, compared with one.

use super::{Group, crowd, in_task, runtime};
use crate::args::Size;
use crate::child::{Cmd, LINE};
use crate::contender::{Contender, engine};
use crate::floor::{self, Keep};
use crate::rounds::{Entry, Samples, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "scale", about: "two children of 500 MB at the same time", measure };

fn measure(size: Size) -> Vec<Row> {
    let bytes = (size.of(500_000_000, 20_000_000) / LINE * LINE) as u64;
    let (runtime, our) = (runtime(), engine::engine(2));
    let cmd = move || Cmd::lines(bytes);
    let pipe_size = floor::PIPE_SIZES[2];
    let limit = 10 << 20;
    let samples = interleave(
        size.of(7, 1),
        vec![
            Entry::timed(Contender::Floor, || {
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| floor::read_all(&cmd(), pipe_size, Keep::First(limit)));
                    }
                });
            }),
            Entry::timed(Contender::Engine, || {
                let our = our.clone();
                in_task(
                    &runtime,
                    crowd(2, 2, move || {
                        let our = our.clone();
                        async move {
                            engine::output(&our, &cmd()).await;
                        }
                    }),
                );
            }),
        ],
    );
    let throughput = |time| 2.0 * bytes as f64 / 1e6 / time;
    vec![two(&samples, throughput)]
}

fn two(samples: &Samples, throughput: impl Fn(f64) -> f64) -> Row {
    Row::new("scale", "two at a time, over the limit", Unit::Throughput)
        .medians(samples, throughput)
        .paired(samples, Contender::Floor, Goal::AtLeast(0.8))
}
