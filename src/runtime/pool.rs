//! Threads for work that blocks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io, thread};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::waker::discard;

/// Time after which a thread without work ends, if another one has none either.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// Pool of threads for work that blocks. They end when this is dropped and all work is done.
///
/// A thread without work stays for as long as the pool does. Where the system has no room for another
/// thread, work waits until one of the pool is free.
pub(crate) struct BlockingPool(Arc<PoolShared>);

struct PoolShared {
    name: &'static str,
    max_threads: usize,
    /// Called by each thread first.
    begin: fn(),
    state: Mutex<PoolState>,
    changed: Condvar,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job, those that were woken for one included.
    idle: usize,
    is_closed: bool,
}

impl BlockingPool {
    pub(crate) fn new(name: &'static str, max_threads: usize, begin: fn()) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(PoolShared { name, max_threads, begin, state, changed }))
    }

    /// Starts the first thread, unless it runs.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut state = self.0.state.lock();
        if state.threads == 0 { self.0.add_thread(&mut state) } else { Ok(()) }
    }

    /// Does `work` on a thread, as soon as one is free. The pool must have been started.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state.lock();
        state.jobs.push_back(Box::new(work));
        let is_short = state.jobs.len() > state.idle && state.threads < self.0.max_threads;
        let added = if is_short { self.0.add_thread(&mut state) } else { Ok(()) };
        drop(state);
        self.0.changed.notify_one();
        if let Err(error) = added {
            tracing::debug!(%error, "no thread could be added; one that runs has to do the work");
        }
    }

    /// Does `work` on a thread and returns its result; `None` if it panicked. The pool must have been
    /// started. May be awaited on any runtime.
    ///
    /// # Cancel safety
    /// Once polled, the work is done even if the future is dropped.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        self.run(move || {
            // The caller may have dropped its future.
            let _unread = sender.send(work());
        });
        done.await.ok()
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl PoolShared {
    fn add_thread(self: &Arc<Self>, state: &mut PoolState) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new().name(self.name.to_string()).spawn(move || shared.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        (self.begin)();
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                    discard(panic);
                }
                state = self.state.lock();
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            // One stays idle: the others may be stuck for ever, and there may be no room for another.
            let has_waited_long = if state.idle > 1 {
                self.changed.wait_for(&mut state, KEEP_ALIVE).timed_out()
            } else {
                self.changed.wait(&mut state);
                false
            };
            state.idle -= 1;
            if has_waited_long && state.jobs.is_empty() && state.idle > 0 {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing tells that a thread has not ended")]
    fn a_thread_without_work_stays_beside_one_that_is_stuck() {
        let pool = BlockingPool::new("pool-test", 2, || {});
        pool.start().unwrap();
        let (stuck, release) = mpsc::channel::<()>();
        let (began, has_begun) = mpsc::channel();
        let report = began.clone();
        pool.run(move || {
            report.send(thread::current().id()).unwrap();
            let _released = release.recv();
        });
        pool.run(move || began.send(thread::current().id()).unwrap());
        let threads = [has_begun.recv().unwrap(), has_begun.recv().unwrap()];
        assert_ne!(threads[0], threads[1]);
        // Longer than a thread waits that is not needed.
        thread::sleep(KEEP_ALIVE * 2);
        let state = pool.0.state.lock();
        assert_eq!((state.threads, state.idle), (2, 1));
        drop(state);
        drop(stuck);
    }
}
