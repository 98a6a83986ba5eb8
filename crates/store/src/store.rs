//! The store: how it is opened, and how reads and writes get to their threads.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, mpsc};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::config::StoreConfig;
use crate::error::{Result, StoreError};
use crate::files::{Files, private_dir};
use crate::health::Health;
use crate::key::{self, Key, sync_parent};
use crate::schema;
use crate::status::STATUSES;
use crate::totals::Totals;
use crate::workers::Workers;
use crate::writer::{Job, LazyWrite, Message, Shared, Write, WriteTx, Writer};

/// Durable history of executions: a directory with a database, a key file and files of output.
///
/// Clones are handles of the same store. It is closed when the last one is dropped, or by
/// [`close`](Self::close). Two processes must not open one directory at the same time: the service holds a
/// lock for that.
///
/// ```
/// use execution_engine::{ExecutionOptions, ExecutionRequest};
/// use execution_engine_store::{Accepted, NewExecution, Query, Store, StoreConfig};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), StoreConfig::default())?;
/// let request = ExecutionRequest::shell("make").tag("nightly");
/// let accepted = store.accept(NewExecution::new(1000, request, ExecutionOptions::default())).await?;
/// assert!(matches!(accepted, Accepted::Created(_)));
///
/// let query = Query { tags: vec!["nightly".to_string()], ..Query::default() };
/// assert_eq!(store.list(query).await?.items[0].command, "make");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    key: Key,
    writer: Writer,
    readers: Workers<Connection>,
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store in a directory, which is created if it is missing, and removes files of output that a
    /// crash has left without an execution. Blocks until that is done: some milliseconds, however much is stored.
    ///
    /// # Errors
    ///
    /// [`NewerSchema`](StoreError::NewerSchema) and [`ForeignDatabase`](StoreError::ForeignDatabase), with nothing
    /// changed; [`KeyFile`](StoreError::KeyFile); [`ReadOnly`](StoreError::ReadOnly) and
    /// [`Full`](StoreError::Full) if the directory cannot be written.
    pub fn open(dir: impl AsRef<Path>, config: StoreConfig) -> Result<Self> {
        let dir = std::path::absolute(dir.as_ref())
            .map_err(StoreError::io("cannot find", dir.as_ref()))?;
        private_dir(&dir)?;
        let connection = schema::open(&dir).map_err(|error| error.in_dir(&dir))?;
        // After the database: one that is not ours gets no key file.
        let key = Key::open(&dir.join("key"))?;
        let outputs = dir.join("outputs");
        private_dir(&outputs)?;
        // Without this the first archives could be lost with the directory that they are in.
        sync_parent(&outputs)?;
        let unowned = unowned(&connection)?;
        let readers = (0..config.readers.max(1)).map(|_| schema::open_reader(&dir));
        let readers = Workers::start("exeng-store-read", readers.collect::<Result<_>>()?)?;
        let channel = mpsc::channel();
        let totals = Totals::load(&connection)?;
        let shared = Arc::new(Shared {
            config,
            health: watch::Sender::new(Health::default()),
            reading: RwLock::new(()),
            commits: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            totals: Mutex::new(totals),
            files: Files::new(dir.clone(), channel.0.clone())?,
        });
        let writer = Writer::start(&dir, connection, channel, shared.clone(), totals)?;
        if !unowned.is_empty() {
            shared.files.remove(unowned);
        }
        Ok(Self(Arc::new(Inner { key, writer, readers, shared })))
    }

    /// Looks whether [`open`](Self::open) would take the database and the key file of a directory, as far as their
    /// beginning and length tell. Files that are missing are no mistake. Changes nothing.
    ///
    /// # Errors
    ///
    /// Those of `open` about the two files.
    pub fn check(dir: &Path) -> Result<()> {
        let database = dir.join(schema::FILE);
        // Also a link that leads nowhere is to be told.
        if database.symlink_metadata().is_ok() {
            schema::check_header(&database)?;
        }
        key::check(&dir.join("key"))
    }

    /// Closes the store, when what was asked for before is stored. Blocks until then. Later calls of any handle
    /// fail with [`Closed`](StoreError::Closed).
    pub fn close(&self) {
        self.0.close();
    }

    /// Returns whether the store can be written.
    pub fn health(&self) -> Health {
        self.0.shared.health.borrow().clone()
    }

    /// Returns a receiver that is told when [`health`](Self::health) changes.
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        self.0.shared.health.subscribe()
    }

    /// Waits until the store can be written.
    ///
    /// # Errors
    ///
    /// [`Closed`](StoreError::Closed).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn writable(&self) -> Result<()> {
        let mut health = self.health_changes();
        let writable = health.wait_for(|health| *health == Health::Writable).await;
        writable.map(|_| ()).map_err(|_| StoreError::Closed)
    }

    /// Returns the numbers of the store.
    ///
    /// # Errors
    ///
    /// [`Io`](StoreError::Io) if the sizes of its files cannot be found out.
    pub async fn stats(&self) -> Result<Stats> {
        let totals = self.totals();
        let (commits, writes) = (&self.0.shared.commits, &self.0.shared.writes);
        let [database, log] = schema::files(self.files().dir());
        let bytes = |file: PathBuf| match std::fs::metadata(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            found => {
                found.map(|found| found.len()).map_err(StoreError::io("cannot examine", &file))
            }
        };
        let database_bytes = bytes(database)?;
        let log_bytes = bytes(log)?;
        Ok(Stats {
            by_status: totals.counts,
            removable: totals.removable,
            database_bytes,
            log_bytes,
            file_bytes: totals.file_bytes,
            commits: commits.load(Ordering::Relaxed),
            writes: writes.load(Ordering::Relaxed),
        })
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0.key
    }

    pub(crate) fn files(&self) -> &Files {
        &self.0.shared.files
    }

    pub(crate) fn config(&self) -> &StoreConfig {
        &self.0.shared.config
    }

    pub(crate) fn totals(&self) -> Totals {
        self.0.shared.totals.lock().map_or_else(|error| *error.into_inner(), |totals| *totals)
    }

    /// Writes in a transaction that may be shared with others, and returns after its commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        bytes: usize,
        write: impl FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let reply = move |value| {
            // The caller may have dropped its future.
            let _ = sender.send(value);
        };
        self.send(name, bytes, write, reply)?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes as [`write`](Self::write) does, and blocks until then.
    pub(crate) fn write_blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        bytes: usize,
        write: impl FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply = move |value| {
            let _ = sender.send(value);
        };
        self.send(name, bytes, write, reply)?;
        receiver.recv().map_err(|_| StoreError::Closed)?
    }

    fn send<T: Send + 'static>(
        &self,
        name: &'static str,
        bytes: usize,
        write: impl FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
        reply: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        let job: Box<dyn Job> =
            Box::new(Write { name, bytes, write: Some(write), value: None, reply });
        self.0.writer.send(Message::Write(job))
    }

    pub(crate) fn lazy(&self, write: LazyWrite) -> Result<()> {
        self.0.writer.send(Message::Lazy(write))
    }

    /// Reads in a transaction on another thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.queue_read(read, move |value| {
            let _ = sender.send(value);
        })?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads as [`read`](Self::read) does, and blocks until then.
    pub(crate) fn read_blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.queue_read(read, move |value| {
            let _ = sender.send(value);
        })?;
        receiver.recv().map_err(|_| StoreError::Closed)?
    }

    fn queue_read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        reply: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        let shared = self.0.shared.clone();
        self.0.readers.run(move |connection| {
            let value = {
                let _reading = shared.reading.read();
                // All that is read is of one moment. The transaction ends here, before anybody gets the value.
                connection
                    .unchecked_transaction()
                    .map_err(StoreError::from)
                    .and_then(|_all| read(connection))
            };
            reply(value);
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.files().dir()).finish()
    }
}

impl Inner {
    fn close(&self) {
        // The writer last of those with a connection: it cuts off the log.
        self.readers.close();
        self.writer.close();
        self.shared.files.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns the files that have no execution.
fn unowned(connection: &Connection) -> Result<Vec<String>> {
    let mut query = connection.prepare("SELECT path FROM unowned_files")?;
    let paths = query.query_map([], |row| row.get(0))?;
    Ok(paths.collect::<rusqlite::Result<_>>()?)
}

/// Numbers of a store, from [`Store::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    pub(crate) by_status: [u64; STATUSES],
    /// Ended executions that retention may remove.
    pub removable: u64,
    /// Size of the database.
    pub database_bytes: u64,
    /// Size of its write-ahead log.
    pub log_bytes: u64,
    /// Size of the files of output.
    pub file_bytes: u64,
    /// Number of transactions since it was opened, each with one `fsync`.
    pub commits: u64,
    /// Number of writes in them.
    pub writes: u64,
}

impl Stats {
    /// Returns the number of executions with a status.
    pub fn count(&self, status: execution_engine::ExecutionStatus) -> u64 {
        usize::try_from(crate::status::number(status)).map_or(0, |at| self.by_status[at])
    }

    /// Returns the number of all executions.
    pub fn executions(&self) -> u64 {
        self.by_status.iter().sum()
    }

    /// Returns the bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.database_bytes + self.log_bytes + self.file_bytes
    }
}
