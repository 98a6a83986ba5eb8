//! The rows of the table, one file per group.

mod big_host;
mod containment;
mod in_flight;
mod latency;
pub mod lines;
mod live_memory;
mod output;
mod plan;
mod record_memory;
mod scale;
mod sequential;
mod service;
mod soak;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Runtime;

use crate::args::{Size, Wanted};
use crate::table::{Row, Table};

pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    measure: fn(Size) -> Vec<Row>,
}

pub const GROUPS: [Group; 13] = [
    sequential::GROUP,
    in_flight::GROUP,
    containment::GROUP,
    big_host::GROUP,
    latency::GROUP,
    lines::GROUP,
    output::GROUP,
    scale::GROUP,
    plan::GROUP,
    live_memory::GROUP,
    record_memory::GROUP,
    soak::GROUP,
    service::GROUP,
];

pub fn measure(wanted: &Wanted) -> Table {
    let mut rows = Vec::new();
    for group in GROUPS.iter().filter(|group| wanted.includes(group.name)) {
        eprintln!("{}: {}", group.name, group.about);
        rows.extend((group.measure)(wanted.size));
    }
    Table { rows }
}

/// A runtime as `#[tokio::main]` makes it.
pub fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// Runs a future as a task of the runtime, where most programs run their code.
pub fn in_task<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime.block_on(runtime.spawn(work)).expect("it does not panic")
}

/// Runs `total` pieces of work, `width` at a time.
pub async fn crowd<F>(total: usize, width: usize, work: impl Fn() -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let taken = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..width)
        .map(|_| {
            let (taken, work) = (Arc::clone(&taken), work.clone());
            tokio::spawn(async move {
                while taken.fetch_add(1, Ordering::Relaxed) < total {
                    work().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it does not panic");
    }
}
