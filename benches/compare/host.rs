//! Measurements of memory and descriptors, which need a fresh process because they would include what
//! was done before in the same one.

use std::time::Duration;

use execution_engine::ExecutionEngine;
use tokio::task::JoinSet;

use crate::args::Size;
use crate::child::Cmd;
use crate::contender::{self, engine};
use crate::floor;
use crate::rows::{crowd, runtime};

#[derive(Debug, Clone, Copy)]
pub enum Host {
    /// Memory per sleeping child, with the engine and with raw tokio.
    LiveEngine(Size),
    LiveTokio(Size),
    /// Memory per finished record, and how much of it is output.
    Records(Size),
    /// Memory and descriptors after the first thousand and after the last.
    SoakEngine(Size),
    SoakTokio(Size),
}

impl Host {
    pub fn parse(name: &str, size: &str) -> Result<Self, String> {
        let size = if size == Size::Quick.flag() { Size::Quick } else { Size::Full };
        match name {
            "live-engine" => Ok(Self::LiveEngine(size)),
            "live-tokio" => Ok(Self::LiveTokio(size)),
            "records" => Ok(Self::Records(size)),
            "soak-engine" => Ok(Self::SoakEngine(size)),
            "soak-tokio" => Ok(Self::SoakTokio(size)),
            other => Err(format!("{other} is no child of this program")),
        }
    }

    /// Measures in a new process and returns the figures that it prints.
    pub fn ask<const N: usize>(self) -> [f64; N] {
        let (name, size) = match self {
            Self::LiveEngine(size) => ("live-engine", size),
            Self::LiveTokio(size) => ("live-tokio", size),
            Self::Records(size) => ("records", size),
            Self::SoakEngine(size) => ("soak-engine", size),
            Self::SoakTokio(size) => ("soak-tokio", size),
        };
        let printed = floor::output(&Cmd::of_this_program(&[name, size.flag()]));
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let figures: Vec<f64> =
            printed.split_whitespace().map(|word| word.parse().expect("a figure")).collect();
        figures.try_into().expect("as many figures as are asked for")
    }

    /// Measures in that process and prints the figures.
    pub fn measure(self) {
        let runtime = runtime();
        let figures = match self {
            Self::LiveEngine(size) => runtime.block_on(live_engine(size)),
            Self::LiveTokio(size) => runtime.block_on(live_tokio(size)),
            Self::Records(size) => runtime.block_on(records(size)),
            Self::SoakEngine(size) => runtime.block_on(soak_engine(size)),
            Self::SoakTokio(size) => runtime.block_on(soak_tokio(size)),
        };
        let words: Vec<_> = figures.iter().map(f64::to_string).collect();
        println!("{}", words.join(" "));
    }
}

/// Live executions at the first and at the second sample.
fn alive(size: Size) -> [usize; 2] {
    [size.of(500, 50), size.of(1500, 150)]
}

fn asleep() -> Cmd {
    Cmd::new("sleep", ["600"])
}

/// Returns the slope between two samples, so that fixed costs do not count.
#[expect(clippy::disallowed_methods, reason = "no event announces that the children sleep")]
async fn slope(size: Size, mut start: impl AsyncFnMut()) -> Vec<f64> {
    let counts = alive(size);
    let mut looks = Vec::new();
    let mut started = 0;
    for count in counts {
        while started < count {
            start().await;
            started += 1;
        }
        // All children sleep by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        looks.push(memory());
    }
    vec![(looks[1] - looks[0]) / (counts[1] - counts[0]) as f64]
}

async fn live_engine(size: Size) -> Vec<f64> {
    let our = engine::engine(alive(size)[1]);
    let figures = slope(size, async || {
        our.execute(engine::request(&asleep())).await.expect("it starts");
    });
    let figures = figures.await;
    our.shutdown(Duration::ZERO).await;
    figures
}

async fn live_tokio(size: Size) -> Vec<f64> {
    let mut tasks = JoinSet::new();
    let figures = slope(size, async || {
        tasks.spawn(async { contender::tokio::output(&asleep()).await });
    });
    let figures = figures.await;
    // Its children are killed when their tasks are dropped.
    tasks.shutdown().await;
    figures
}

async fn records(size: Size) -> Vec<f64> {
    const SAID: &str = "hello";
    let our = engine::engine_with(|config| {
        config.max_in_memory_executions = usize::MAX;
        config.execution_retention_secs = u64::MAX;
    });
    let counts = [size.of(1000, 100), size.of(11_000, 600)];
    run(&our, counts[0], 16, &Cmd::new("echo", [SAID])).await;
    let before = memory();
    run(&our, counts[1] - counts[0], 16, &Cmd::new("echo", [SAID])).await;
    let each = (memory() - before) / (counts[1] - counts[0]) as f64;
    vec![each, (SAID.len() + 1) as f64]
}

/// Measures after the first thousand and after the last.
async fn soak(size: Size, run: impl AsyncFn(usize)) -> Vec<f64> {
    let thousand = size.of(1000, 100);
    run(thousand).await;
    let first = [memory(), descriptors()];
    run(19 * thousand).await;
    vec![first[0], memory(), first[1], descriptors()]
}

async fn soak_engine(size: Size) -> Vec<f64> {
    let our = engine::engine(64);
    soak(size, async |total| run(&our, total, 64, &Cmd::nothing()).await).await
}

async fn soak_tokio(size: Size) -> Vec<f64> {
    let work = || async {
        contender::tokio::output(&Cmd::nothing()).await;
    };
    soak(size, async |total| crowd(total, 64, work).await).await
}

async fn run(our: &ExecutionEngine, total: usize, width: usize, cmd: &Cmd) {
    let (our, cmd) = (our.clone(), cmd.clone());
    let work = move || {
        let (our, cmd) = (our.clone(), cmd.clone());
        async move {
            engine::output(&our, &cmd).await;
        }
    };
    crowd(total, width, work).await;
}

/// Returns the anonymous resident memory of this process in bytes.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib * 1024.0
}

fn descriptors() -> f64 {
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count() as f64
}
