//! The one thread that writes: it collects writes into transactions, so that many share one `fsync`.

mod batch;
mod checkpoint;
mod jobs;
mod lazy;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

pub(crate) use batch::WriteTx;
use checkpoint::Checkpoints;
pub(crate) use jobs::{Job, Write};
pub(crate) use lazy::LazyWrite;

use crate::config::StoreConfig;
use crate::error::{Result, StoreError};
use crate::files::Files;
use crate::health::Health;
use crate::totals::Totals;

/// Longest time that a write waits for others.
const COMPANY: Duration = Duration::from_millis(2);
/// Longest time that writes wait that no caller waits for.
const LAZY: Duration = Duration::from_millis(100);
/// Limits of one transaction.
const BATCH_JOBS: usize = 256;
const BATCH_BYTES: usize = 8 << 20;

/// What the writer shares with the rest of the store.
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) health: watch::Sender<Health>,
    /// Readers have it shared while they read, a checkpoint that they would stand in the way of has it alone.
    pub(crate) reading: RwLock<()>,
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
    /// Totals as of the last commit.
    pub(crate) totals: Mutex<Totals>,
    pub(crate) files: Files,
}

pub(crate) enum Message {
    Write(Box<dyn Job>),
    Lazy(LazyWrite),
    Close,
}

/// Handle of the thread.
pub(crate) struct Writer {
    sender: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `channel` has both ends of its queue.
    pub(crate) fn start(
        dir: &Path,
        connection: Connection,
        channel: (Sender<Message>, Receiver<Message>),
        shared: Arc<Shared>,
        totals: Totals,
    ) -> Result<Self> {
        let (sender, receiver) = channel;
        let mut thread = WriterThread {
            checkpoints: Checkpoints::new(&connection, dir)?,
            connection,
            receiver,
            shared,
            totals,
            lazy: Vec::new(),
            last_batch: 0,
            probe_at: None,
        };
        thread.tick();
        let spawned =
            thread::Builder::new().name("exeng-store".to_string()).spawn(move || thread.run());
        let reason =
            |error| StoreError::Database { reason: format!("no thread can be started: {error}") };
        Ok(Self { sender, thread: Mutex::new(Some(spawned.map_err(reason)?)) })
    }

    pub(crate) fn send(&self, message: Message) -> Result<()> {
        self.sender.send(message).map_err(|_| StoreError::Closed)
    }

    /// Stores what was sent, and ends the thread.
    pub(crate) fn close(&self) {
        let _ = self.sender.send(Message::Close);
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

struct WriterThread {
    connection: Connection,
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    totals: Totals,
    lazy: Vec<LazyWrite>,
    /// Number of writes in the last transaction: about as many are to be expected again.
    last_batch: usize,
    /// When to try to write again; None while the store can be written.
    probe_at: Option<Instant>,
    checkpoints: Checkpoints,
}

impl WriterThread {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            if self.probe_at.is_some_and(|at| at <= now) {
                self.probe();
                continue;
            }
            let wake_at = self.probe_at.unwrap_or_else(|| self.checkpoints.wake_at(now));
            match self.receiver.recv_timeout(wake_at.saturating_duration_since(now)) {
                Ok(message) => {
                    if !self.receive(message) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.wake(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if !self.lazy.is_empty() && self.probe_at.is_none() {
            self.commit(Vec::new());
        }
        // What was stored is in the log, if it cannot be cut off.
        let _ = self.checkpoints.cut(&self.connection);
    }

    /// Does what is to be done without a write.
    fn wake(&mut self) {
        self.tick();
        if self.probe_at.is_some() {
            return;
        }
        match self.checkpoints.idle(&self.connection, &self.shared.reading) {
            Err(error) if error.is_unwritable() => self.degrade(&error, 0),
            Err(error) => tracing::warn!(%error, "the log of the store could not be cut off"),
            Ok(()) => {}
        }
    }

    fn tick(&mut self) {
        self.totals.tick(self.shared.config.hooks.now_us());
    }

    /// Collects writes from the first message on and stores them. Returns `false` if the store is closed.
    fn receive(&mut self, first: Message) -> bool {
        let mut jobs: Vec<Box<dyn Job>> = Vec::new();
        let mut bytes = 0;
        let begin = Instant::now();
        let mut message = Some(first);
        let mut is_open = true;
        loop {
            match message.take() {
                Some(Message::Write(job)) => {
                    bytes += job.bytes();
                    jobs.push(job);
                }
                // There are two of each running execution at most, and while nothing can be written no
                // more of them are accepted, so this is bounded.
                Some(Message::Lazy(write)) => self.lazy.push(write),
                Some(Message::Close) => {
                    is_open = false;
                    break;
                }
                None => break,
            }
            if jobs.len() >= BATCH_JOBS || bytes >= BATCH_BYTES {
                break;
            }
            message = self.next(begin, jobs.len());
        }
        self.tick();
        if self.probe_at.is_some() {
            self.refuse(jobs);
        } else if !jobs.is_empty() || !self.lazy.is_empty() {
            if !jobs.is_empty() {
                self.last_batch = jobs.len();
            }
            self.commit(jobs);
        }
        is_open
    }

    /// Returns the next message for a transaction of which `collected` writes are there; None if it is to be
    /// stored now.
    ///
    /// What came while the last transaction was stored is there already. Only if the last one had company it
    /// pays to wait for those who have just got their answers.
    fn next(&self, begin: Instant, collected: usize) -> Option<Message> {
        if let Ok(message) = self.receiver.try_recv() {
            return Some(message);
        }
        let longest = match collected {
            _ if self.probe_at.is_some() => return None,
            0 => LAZY,
            _ if self.last_batch > 1 && collected < self.last_batch => COMPANY,
            _ => return None,
        };
        let left = longest.saturating_sub(begin.elapsed());
        if left.is_zero() { None } else { self.receiver.recv_timeout(left).ok() }
    }

    /// Answers writes while nothing can be written.
    fn refuse(&mut self, jobs: Vec<Box<dyn Job>>) {
        let mut error = StoreError::Closed;
        self.shared.health.send_modify(|health| {
            if let Health::ReadOnly { reason, is_full, not_kept, .. } = health {
                *not_kept += jobs.len() as u64;
                let reason = reason.clone();
                error = match is_full {
                    true => StoreError::Full { reason },
                    false => StoreError::ReadOnly { reason },
                };
            }
        });
        for job in jobs {
            job.finish(Err(error.clone()));
        }
    }

    /// Notes that nothing can be written.
    fn degrade(&mut self, error: &StoreError, not_kept: u64) {
        self.probe_at = Some(Instant::now() + self.shared.config.probe_interval);
        let (reason, is_full) = match error {
            StoreError::Full { reason } => (reason.clone(), true),
            StoreError::ReadOnly { reason } => (reason.clone(), false),
            other => (other.to_string(), false),
        };
        self.shared.health.send_modify(|health| match health {
            Health::Writable => {
                tracing::error!(%reason, "the store cannot be written");
                let now = self.shared.config.hooks.now_us();
                let since = crate::time::of_us(now);
                *health = Health::ReadOnly { reason, is_full, since, not_kept };
            }
            Health::ReadOnly { reason: old, is_full: was_full, not_kept: before, .. } => {
                (*old, *was_full) = (reason, is_full);
                *before += not_kept;
            }
        });
    }

    /// Tries whether the store can be written again.
    fn probe(&mut self) {
        let room = self.shared.files.probe();
        if let Err(error) = room {
            self.degrade(&error, 0);
            return;
        }
        // The commit tells whether the database can be written, too; with what waits, because no caller
        // will ask for it.
        self.probe_at = None;
        self.commit(vec![jobs::probe()]);
        if self.probe_at.is_none() {
            tracing::info!("the store can be written again");
            self.shared.health.send_replace(Health::Writable);
        }
    }

    fn note_commit(&mut self, writes: usize) {
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.writes.fetch_add(writes as u64, Ordering::Relaxed);
        if let Ok(mut totals) = self.shared.totals.lock() {
            *totals = self.totals;
        }
    }
}
