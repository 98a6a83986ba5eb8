//! Threads that do what blocks.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::error::{Result, StoreError};

type Task<C> = Box<dyn FnOnce(&mut C) + Send>;

/// Threads with a queue, each with a context of its own.
pub(crate) struct Workers<C> {
    sender: Mutex<Option<Sender<Task<C>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<C: Send + 'static> Workers<C> {
    /// Starts a thread for each context.
    pub(crate) fn start(name: &str, contexts: Vec<C>) -> Result<Self> {
        let (sender, receiver) = mpsc::channel::<Task<C>>();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for mut context in contexts {
            let receiver = receiver.clone();
            let run = move || {
                while let Some(task) = next(&receiver) {
                    task(&mut context);
                }
            };
            let spawned = thread::Builder::new().name(name.to_string()).spawn(run);
            threads.push(spawned.map_err(|error| StoreError::Database {
                reason: format!("no thread can be started: {error}"),
            })?);
        }
        Ok(Self { sender: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
    }

    /// Queues a task.
    pub(crate) fn run(&self, task: impl FnOnce(&mut C) + Send + 'static) -> Result<()> {
        let sender = self.sender.lock().map_or(None, |sender| sender.clone());
        let sent = sender.map(|sender| sender.send(Box::new(task)).is_ok());
        if sent == Some(true) { Ok(()) } else { Err(StoreError::Closed) }
    }

    /// Ends the threads when they have done what is queued, and waits for them.
    pub(crate) fn close(&self) {
        if let Ok(mut sender) = self.sender.lock() {
            sender.take();
        }
        let threads = self.threads.lock().map_or(Vec::new(), |mut all| std::mem::take(&mut *all));
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn next<C>(receiver: &Mutex<Receiver<Task<C>>>) -> Option<Task<C>> {
    // The thread that waits for a task holds the lock, and the others wait for the lock.
    receiver.lock().ok()?.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_done_before_the_threads_end() {
        let workers = Workers::start("test", vec![0, 0, 0]).unwrap();
        let (sender, receiver) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            let task = move |done: &mut i32| {
                *done += 1;
                sender.send((number, *done)).unwrap();
            };
            workers.run(task).unwrap();
        }
        workers.close();
        drop(sender);
        let mut numbers: Vec<i32> = receiver.iter().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert!(matches!(workers.run(|_| ()), Err(StoreError::Closed)));
    }
}
