//! The start of a child from a host with 4 GiB of touched memory, compared with a small host.

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::Cmd;
use crate::contender::{Contender, engine, tokio};
use crate::floor;
use crate::rounds::{Samples, percentile};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "big-host", about: "`true` from a host with 4 GiB of touched memory", measure };

const BIG: usize = 4 << 30;
const SMALL_PAGE: usize = 4096;

fn measure(size: Size) -> Vec<Row> {
    let (runtime, our) = (runtime(), engine::engine(100));
    let runs = size.of(200, 20);
    let once = |contender| match contender {
        Contender::Floor => drop(floor::output(&Cmd::nothing())),
        Contender::Tokio => drop(in_task(&runtime, async { tokio::output(&Cmd::nothing()).await })),
        _ => {
            let our = our.clone();
            in_task(&runtime, async move {
                engine::output(&our, &Cmd::nothing()).await;
            });
        }
    };
    let contenders = [Contender::Floor, Contender::Tokio, Contender::Engine];
    let (mut small, mut big) = (Vec::new(), Vec::new());
    // Touching so much takes seconds, so it is done only a few times; the small host comes before the
    // big one as often as after it.
    for _ in 0..size.of(3, 1) {
        small.push(medians(contenders, runs, once));
        let memory = touched();
        big.push(medians(contenders, runs, once));
        drop(memory);
        small.push(medians(contenders, runs, once));
    }
    let engine_small = percentile(column(&small, 2), 0.5);
    let samples = Samples::new(
        contenders
            .iter()
            .enumerate()
            .map(|(index, contender)| (*contender, column(&big, index)))
            .collect(),
    );
    let ratio = samples.median(Contender::Engine) / engine_small;
    vec![
        Row::new("big-host", "from a host of 4 GiB", Unit::Micros)
            .medians(&samples, |time| time)
            .figure(Contender::Reference, engine_small)
            .held_against("small host", ratio, Goal::AtMost(1.05)),
    ]
}

fn medians<const N: usize>(
    contenders: [Contender; N],
    runs: usize,
    once: impl Fn(Contender),
) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..runs {
        for (contender, times) in contenders.into_iter().zip(&mut times) {
            let begun = std::time::Instant::now();
            once(contender);
            times.push(begun.elapsed().as_secs_f64());
        }
    }
    times.map(|times| percentile(times, 0.5))
}

fn column<const N: usize>(rounds: &[[f64; N]], index: usize) -> Vec<f64> {
    rounds.iter().map(|round| round[index]).collect()
}

/// Memory with every page in use, like that of a host that has run for a while.
fn touched() -> Vec<u8> {
    let mut memory = vec![0; BIG];
    memory.iter_mut().step_by(SMALL_PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(memory)
}
