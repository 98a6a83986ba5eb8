//! Threads that start programs later than their request was submitted.
//!
//! A program inherits from the thread that starts it. Most programs start on the thread that
//! submits them. What starts later, from a queue, as another attempt or as a step of a plan, starts
//! on a worker if that has the same attributes, and else on a thread that the submitting one makes:
//! it has inherited them.

use std::io;
use std::sync::{Arc, Weak};

use execution_engine_process::ThreadAttributes;
use parking_lot::Mutex;

use super::pool::BlockingPool;

/// Where the later starts of an execution happen.
#[derive(Debug, Clone)]
pub(crate) enum Starter {
    /// On the worker that runs the execution.
    Worker,
    /// On a thread of its own, which ends with the last execution that it may start.
    Thread(Arc<BlockingPool>),
}

impl Starter {
    /// Does `work`, which starts a program, and blocks the worker no longer than that takes.
    /// `None` if it panicked on another thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match self {
            Self::Worker => Some(work()),
            Self::Thread(thread) => thread.call(work).await,
        }
    }
}

/// Starters of one engine that have threads, by the attributes of these.
#[derive(Debug, Default)]
pub(super) struct Starters(Mutex<Vec<(ThreadAttributes, Weak<BlockingPool>)>>);

impl Starters {
    /// Returns a thread with these attributes, which are those of the calling thread.
    pub(super) fn thread_like(&self, attributes: ThreadAttributes) -> io::Result<Starter> {
        let mut known = self.0.lock();
        known.retain(|(_, thread)| thread.strong_count() > 0);
        let same = known.iter().find(|(of, _)| *of == attributes);
        if let Some(thread) = same.and_then(|(_, thread)| thread.upgrade()) {
            return Ok(Starter::Thread(thread));
        }
        let thread = Arc::new(BlockingPool::new("execution-starter", 1, || {}));
        thread.start()?;
        known.push((attributes, Arc::downgrade(&thread)));
        Ok(Starter::Thread(thread))
    }
}
