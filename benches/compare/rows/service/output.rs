//! Much output through keeper and store, beside the library.

use std::path::Path;

use super::NAME;
use super::fixture::{Bench, body, submit, wait};
use crate::args::Size;
use crate::child::{Cmd, LINE};
use crate::contender::{Contender, engine};
use crate::rounds::{Entry, interleave};
use crate::rows::{in_task, runtime};
use crate::table::{Goal, Row, Unit};

pub fn measure(exeng: &Path, size: Size) -> Vec<Row> {
    let bytes = size.of(200_000_000, 10_000_000) / LINE * LINE;
    let bench = Bench::start(exeng);
    let runtime = runtime();
    let our = engine::engine_with(|config| config.max_output_size_bytes = usize::MAX);
    let cmd = move || Cmd::lines(bytes as u64);
    let samples = interleave(
        size.of(5, 1),
        vec![
            Entry::timed(Contender::Engine, || {
                let mut connection = bench.connect();
                let (id, _) = submit(&mut connection, &body(&cmd()));
                let view = wait(&mut connection, &id);
                assert_eq!(view["bytes"]["stdout"], bytes);
            }),
            Entry::timed(Contender::Reference, || {
                let our = our.clone();
                in_task(&runtime, async move {
                    let result = engine::output(&our, &cmd()).await;
                    assert_eq!(result.stdout.len(), bytes);
                    our.remove_execution(result.id).await.expect("it has ended");
                });
            }),
        ],
    );
    let speed = |time| bytes as f64 / 1e6 / time;
    let ratio = 1.0 / samples.ratio(Contender::Engine, Contender::Reference);
    vec![
        Row::new(NAME, format!("{} MB of output, kept", bytes / 1_000_000), Unit::Throughput)
            .medians(&samples, speed)
            .figure(Contender::Reference, speed(samples.median(Contender::Reference)))
            .held_against("the library, all kept", ratio, Goal::AtLeast(0.7)),
    ]
}
