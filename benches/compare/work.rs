//! The same work by each contender: `true`, a number of times, a number at a time, with its output
//! captured.

use execution_engine::ExecutionEngine;
use tokio::runtime::Runtime;

use crate::child::Cmd;
use crate::contender::{Contender, async_process, duct, engine, tokio as tokio_process};
use crate::floor;
use crate::rows::{crowd, in_task, runtime};

/// The work of one contender in a process of its own, for a profiler.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    contender: Contender,
    total: usize,
    width: usize,
}

impl Work {
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let [contender, total, width] = words else {
            return Err("work: CONTENDER TOTAL WIDTH".into());
        };
        let number = |word: &String| word.parse().map_err(|error| format!("{word}: {error}"));
        let unknown = || format!("there is no contender {contender}");
        Ok(Self {
            contender: Contender::parse(contender).ok_or_else(unknown)?,
            total: number(total)?,
            width: number(width)?,
        })
    }

    pub fn run(self) {
        let Self { contender, total, width } = self;
        run(&runtime(), &engine::engine(width), contender, total, width);
    }
}

pub fn run(
    runtime: &Runtime,
    our: &ExecutionEngine,
    contender: Contender,
    total: usize,
    width: usize,
) {
    match contender {
        Contender::Floor => floor::run_on_all_cores(&Cmd::nothing(), total, width),
        Contender::Tokio => {
            let work = || async {
                tokio_process::output(&Cmd::nothing()).await;
            };
            in_task(runtime, crowd(total, width, work));
        }
        Contender::Duct => {
            let work = || async {
                let run = || duct::output(&Cmd::nothing());
                tokio::task::spawn_blocking(run).await.expect("it does not panic");
            };
            in_task(runtime, crowd(total, width, work));
        }
        Contender::AsyncProcess => {
            let work = || async {
                async_process::output(&Cmd::nothing()).await;
            };
            in_task(runtime, crowd(total, width, work));
        }
        Contender::Engine | Contender::Reference => {
            let our = our.clone();
            let work = move || {
                let our = our.clone();
                async move {
                    engine::output(&our, &Cmd::nothing()).await;
                }
            };
            in_task(runtime, crowd(total, width, work));
        }
    }
}
