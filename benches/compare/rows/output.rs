//! 500 MB of output: all kept, or all but the first 10 MiB counted and dropped.

use execution_engine::ExecutionConfig;

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::{Cmd, LINE};
use crate::contender::{Contender, async_process, duct, engine, tokio};
use crate::floor::{self, Keep};
use crate::rounds::{Entry, Samples, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "output", about: "500 MB kept, and 500 MB over the limit", measure };

fn measure(size: Size) -> Vec<Row> {
    let bytes = size.of(500_000_000, 20_000_000) / LINE * LINE;
    let pipe_size = fastest_pipe(bytes as u64, size);
    vec![kept(bytes, pipe_size, size), over_the_limit(bytes, pipe_size, size)]
}

fn kept(bytes: usize, pipe_size: usize, size: Size) -> Row {
    let runtime = runtime();
    let cmd = move || Cmd::lines(bytes as u64);
    let our = engine::engine_with(|config| config.max_output_size_bytes = usize::MAX);
    let samples = interleave(
        size.of(5, 1),
        vec![
            Entry::timed(Contender::Floor, || {
                assert_eq!(floor::read_all(&cmd(), pipe_size, Keep::First(usize::MAX)), bytes);
            }),
            Entry::timed(Contender::Tokio, || {
                let kept = in_task(&runtime, async move { tokio::output(&cmd()).await });
                assert_eq!(kept.len(), bytes);
            }),
            Entry::timed(Contender::Duct, || assert_eq!(duct::output(&cmd()).len(), bytes)),
            Entry::timed(Contender::AsyncProcess, || {
                let kept = in_task(&runtime, async move { async_process::output(&cmd()).await });
                assert_eq!(kept.len(), bytes);
            }),
            Entry::timed(Contender::Engine, || {
                let our = our.clone();
                in_task(&runtime, async move {
                    let result = engine::output(&our, &cmd()).await;
                    assert_eq!(result.stdout.len(), bytes);
                    our.remove_execution(result.id).await.expect("it has ended");
                });
            }),
        ],
    );
    row("kept", bytes, &samples)
}

fn over_the_limit(bytes: usize, pipe_size: usize, size: Size) -> Row {
    let runtime = runtime();
    let limit = ExecutionConfig::default().max_output_size_bytes;
    let cmd = move || Cmd::lines(bytes as u64);
    let our = engine::engine(100);
    let samples = interleave(
        size.of(7, 1),
        vec![
            Entry::timed(Contender::Floor, || {
                assert_eq!(floor::read_all(&cmd(), pipe_size, Keep::First(limit)), limit);
            }),
            Entry::timed(Contender::Tokio, || {
                let seen = in_task(&runtime, async move { tokio::first(&cmd(), limit).await });
                assert_eq!(seen, bytes as u64);
            }),
            Entry::timed(Contender::Engine, || {
                let our = our.clone();
                let result = in_task(&runtime, async move { engine::output(&our, &cmd()).await });
                assert_eq!(result.stdout_stats.seen_bytes, bytes as u64);
            }),
        ],
    );
    row("over the limit", bytes, &samples).paired(&samples, Contender::Floor, Goal::AtLeast(0.9))
}

fn row(name: &str, bytes: usize, samples: &Samples) -> Row {
    Row::new("output", name, Unit::Throughput).medians(samples, |time| bytes as f64 / 1e6 / time)
}

/// Returns the pipe size that is fastest on this machine, for the floor.
fn fastest_pipe(bytes: u64, size: Size) -> usize {
    let time = |pipe_size| {
        let samples = interleave(
            size.of(3, 1),
            vec![Entry::timed(Contender::Floor, || {
                floor::read_all(&Cmd::lines(bytes), pipe_size, Keep::First(0));
            })],
        );
        samples.median(Contender::Floor)
    };
    let timed = floor::PIPE_SIZES.map(|pipe_size| (pipe_size, time(pipe_size)));
    let fastest = timed.into_iter().min_by(|(_, one), (_, other)| one.total_cmp(other));
    let (pipe_size, _) = fastest.expect("there are sizes");
    eprintln!("  the floor's pipe holds {} KiB", pipe_size / 1024);
    pipe_size
}
