//! Five million lines, each delivered to a reader.

use std::cell::Cell;
use std::sync::mpsc::Receiver;

use ::tokio::runtime::Runtime;
use execution_engine::ExecutionEngine;

use super::{Group, in_task, runtime};
use crate::args::Size;
use crate::child::{Cmd, LINE};
use crate::contender::{Contender, async_process, duct, engine, tokio};
use crate::floor::{self, Keep};
use crate::rounds::{Entry, interleave};
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "lines", about: "500 MB in lines of 100 bytes, each line delivered", measure };

fn measure(size: Size) -> Vec<Row> {
    let count = size.of(5_000_000, 200_000) as u64;
    let bytes = count * LINE as u64;
    let readers = Readers::new();
    let fewest = Cell::new(count);
    let entry = |contender| {
        let (readers, fewest) = (&readers, &fewest);
        Entry::timed(contender, move || {
            let delivered = readers.listen(contender, bytes);
            // A subscription slows nothing down, so it may miss lines.
            assert!(
                delivered == count || contender == Contender::Reference,
                "{contender:?} was delivered {delivered}"
            );
            fewest.set(delivered.min(fewest.get()));
        })
    };
    let contenders = Contender::COLUMNS.into_iter().chain([Contender::Reference]);
    let samples = interleave(size.of(7, 1), contenders.map(entry).collect());
    let throughput = |time| bytes as f64 / 1e6 / time;
    let row = |name| Row::new("lines", name, Unit::Throughput);
    let median = |contender| throughput(samples.median(contender));
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
        Row::new("lines", "delivered to a subscriber", Unit::Count)
            .figure(Contender::Engine, fewest.get() as f64),
    ]
}

/// The readers of lines.
pub struct Readers {
    runtime: Runtime,
    /// Returns readers with a handler that counts.
    handled: ExecutionEngine,
    counts: Receiver<u64>,
    quiet: ExecutionEngine,
}

impl Readers {
    pub fn new() -> Self {
        let (counter, counts) = engine::Counter::new();
        let handled = engine::engine(100).with_event_handler(counter);
        Self { runtime: runtime(), handled, counts, quiet: engine::engine(100) }
    }

    /// Returns the number of lines that this contender receives; for the reference it is a subscription.
    pub fn listen(&self, contender: Contender, bytes: u64) -> u64 {
        let cmd = Cmd::lines(bytes);
        match contender {
            Contender::Floor => floor::read_all(&cmd, floor::PIPE_SIZES[2], Keep::Lines) as u64,
            Contender::Tokio => in_task(&self.runtime, async move { tokio::lines(&cmd).await }),
            Contender::Duct => duct::lines(&cmd),
            Contender::AsyncProcess => {
                in_task(&self.runtime, async move { async_process::lines(&cmd).await })
            }
            Contender::Engine => {
                let our = self.handled.clone();
                in_task(&self.runtime, async move {
                    engine::output(&our, &cmd).await;
                });
                self.counts.recv().expect("the counter is there")
            }
            Contender::Reference => {
                in_task(&self.runtime, engine::subscribed(self.quiet.clone(), cmd))
            }
        }
    }
}
