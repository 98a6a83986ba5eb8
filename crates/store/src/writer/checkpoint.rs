//! When the write-ahead log goes into the database, and is cut off.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::Result;
use crate::schema;

/// Growth of the log after which it is copied into the database.
const COPY_BYTES: u64 = 4 << 20;
/// Size of the log from which on it is cut off as soon as no reader is in the way.
const CUT_BYTES: u64 = 16 << 20;
/// Size of the log from which on readers have to wait until it is cut off. One transaction more fits below
/// the 64 MiB that are promised.
const MAX_BYTES: u64 = 32 << 20;
/// Quiet after which the log is cut off.
const QUIET: Duration = Duration::from_secs(1);
/// Longest time that erased values stay in the log while there is no quiet.
const ERASED: Duration = Duration::from_secs(10);
/// Time until the log is to be cut off again, after another process was in the way.
const RETRY: Duration = Duration::from_secs(2);
/// Time between two looks at the clock of a store that is not in use.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// State of the write-ahead log.
pub(super) struct Checkpoints {
    wal: PathBuf,
    /// Size of the log at which to copy again.
    copy_at: u64,
    /// When something was stored that is in the log.
    last_commit: Option<Instant>,
    /// When something was erased that is still in the log.
    erased_at: Option<Instant>,
    /// Not to be cut off before this time.
    retry_at: Option<Instant>,
}

impl Checkpoints {
    /// Takes over the log of a database. SQLite's own checkpoints are switched off, because readers can
    /// keep those from ever cutting it off.
    pub(super) fn new(connection: &Connection, dir: &Path) -> Result<Self> {
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        let [_, wal] = schema::files(dir);
        // A crash may have left values in the log that were erased later.
        let left = fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0).then(Instant::now);
        Ok(Self { wal, copy_at: COPY_BYTES, last_commit: left, erased_at: left, retry_at: None })
    }

    /// Notes a commit.
    pub(super) fn committed(&mut self, has_erased: bool) {
        let now = Instant::now();
        self.last_commit = Some(now);
        if has_erased {
            self.erased_at.get_or_insert(now);
        }
    }

    /// Returns when [`idle`](Self::idle) is to be called if nothing is written until then.
    pub(super) fn wake_at(&self, now: Instant) -> Instant {
        self.last_commit.map_or(now + IDLE, |last| last + QUIET)
    }

    /// Copies and cuts off what has to be, after a commit.
    pub(super) fn after_commit(
        &mut self,
        connection: &Connection,
        reading: &RwLock<()>,
    ) -> Result<()> {
        let bytes = fs::metadata(&self.wal).map_or(0, |wal| wal.len());
        let is_late = self.erased_at.is_some_and(|at| at.elapsed() > ERASED);
        let may_cut = self.retry_at.is_none_or(|at| at <= Instant::now());
        if may_cut && (bytes > MAX_BYTES || is_late) {
            let _alone = reading.write();
            return self.cut(connection);
        }
        if may_cut
            && bytes > CUT_BYTES
            && let Ok(_alone) = reading.try_write()
        {
            return self.cut(connection);
        }
        if bytes >= self.copy_at {
            self.copy_at = bytes + COPY_BYTES;
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// Cuts the log off, because nothing was written for a while.
    pub(super) fn idle(&mut self, connection: &Connection, reading: &RwLock<()>) -> Result<()> {
        if self.last_commit.is_none() {
            return Ok(());
        }
        let _alone = reading.write();
        self.cut(connection)
    }

    /// Copies the log into the database and cuts it off. Readers of this process have no transaction.
    pub(super) fn cut(&mut self, connection: &Connection) -> Result<()> {
        // A reader of another process can be in the way; the wait for it is short.
        connection.busy_timeout(Duration::from_millis(100))?;
        let cut = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        connection.busy_timeout(schema::BUSY)?;
        let now = Instant::now();
        // After a failure it is tried again after the next quiet.
        self.last_commit = Some(now);
        let is_cut = !cut?;
        self.last_commit = (!is_cut).then_some(now);
        self.retry_at = (!is_cut).then_some(now + RETRY);
        if is_cut {
            self.copy_at = COPY_BYTES;
            self.erased_at = None;
        }
        Ok(())
    }
}
