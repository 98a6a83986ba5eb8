//! One transaction for many writes.

use std::io;

use rusqlite::Connection;

use super::{Job, WriterThread, jobs};
use crate::error::{Result, StoreError};
use crate::totals::Totals;

/// Transaction that a write is part of.
pub(crate) struct WriteTx<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) totals: &'a mut Totals,
    /// Time in microseconds since 1970-01-01 UTC.
    pub(crate) now_us: i64,
    /// Files to remove after the commit. They are in `unowned_files`.
    pub(crate) doomed: Vec<String>,
    /// Something was deleted that must not stay in the write-ahead log.
    pub(crate) has_erased: bool,
}

impl WriterThread {
    /// Stores writes in one transaction, and answers them.
    pub(super) fn commit(&mut self, mut writes: Vec<Box<dyn Job>>) {
        let before = self.totals;
        let outcome = self.transaction(&mut writes);
        match outcome {
            Ok(effects) => {
                self.lazy.clear();
                self.note_commit(writes.len());
                self.checkpoints.committed(effects.has_erased);
                for job in writes {
                    let _ = self.shared.config.hooks.at(job.name(), "committed");
                    job.finish(Ok(()));
                }
                if !effects.doomed.is_empty() {
                    self.remove(effects.doomed);
                }
                let checkpointed =
                    self.checkpoints.after_commit(&self.connection, &self.shared.reading);
                if let Err(error) = checkpointed
                    && error.is_unwritable()
                {
                    self.degrade(&error, 0);
                }
            }
            Err(error) => {
                self.totals = before;
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                if error.is_unwritable() {
                    let refused = writes.iter().filter(|job| job.name() != jobs::PROBE).count();
                    self.degrade(&error, refused as u64);
                }
                for job in writes {
                    job.finish(Err(error.clone()));
                }
            }
        }
    }

    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Effects> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut tx = WriteTx {
            connection: &self.connection,
            totals: &mut self.totals,
            now_us: self.shared.config.hooks.now_us(),
            doomed: Vec::new(),
            has_erased: false,
        };
        for write in &self.lazy {
            tx.apart(|tx| write.apply(tx))?;
        }
        for job in jobs.iter_mut() {
            tx.apart(|tx| job.apply(tx))?;
            self.shared
                .config
                .hooks
                .at(job.name(), "applied")
                .map_err(|error| as_of_the_disk(&error))?;
        }
        if !self.lazy.is_empty() {
            self.shared
                .config
                .hooks
                .at("lazy", "applied")
                .map_err(|error| as_of_the_disk(&error))?;
        }
        tx.totals.save(tx.connection)?;
        let effects = Effects { doomed: tx.doomed, has_erased: tx.has_erased };
        self.connection.execute_batch("COMMIT")?;
        Ok(effects)
    }

    /// Removes files that no execution has any more, on another thread.
    fn remove(&self, paths: Vec<String>) {
        self.shared.files.remove(paths);
    }
}

struct Effects {
    doomed: Vec<String>,
    has_erased: bool,
}

impl WriteTx<'_> {
    /// Calls a write. If it fails, what it wrote is taken back, and the transaction goes on; the error is
    /// returned only if the transaction as a whole has failed.
    fn apart(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (totals, doomed) = (*self.totals, self.doomed.len());
        self.connection.execute_batch("SAVEPOINT job")?;
        match write(self) {
            Ok(()) => {}
            // A full disk or a failing one has ended the transaction, or will.
            Err(error) if error.is_unwritable() || self.connection.is_autocommit() => {
                return Err(error);
            }
            Err(_) => {
                *self.totals = totals;
                self.doomed.truncate(doomed);
                self.connection.execute_batch("ROLLBACK TO job")?;
            }
        }
        Ok(self.connection.execute_batch("RELEASE job")?)
    }
}

/// Makes an error of a fault point what the same error of the disk would be.
fn as_of_the_disk(error: &io::Error) -> StoreError {
    let reason = error.to_string();
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full { reason },
        _ => StoreError::ReadOnly { reason },
    }
}
