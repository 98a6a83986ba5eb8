//! What is forgotten, and when.

use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

use crate::config::StoreConfig;
use crate::error::{Result, StoreError};
use crate::store::Store;
use crate::writer::WriteTx;

/// Executions that are removed in one transaction.
const STEP: u64 = 100;
/// Bytes that a transaction of these may write, about.
const STEP_BYTES: usize = 64 << 10;
/// Free pages of the database that are given back to the system in one transaction.
const STEP_PAGES: u64 = 1024;
/// Free pages that the database keeps for what comes next.
const KEPT_PAGES: u64 = 256;

/// What a pass of retention has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Number of executions.
    pub executions: u64,
    /// Of these, because they were too old.
    pub by_age: u64,
    /// Of these, because there were too many.
    pub by_count: u64,
    /// Of these, because they took too much room.
    pub by_bytes: u64,
}

impl Store {
    /// Removes an execution that has ended, with its output and its idempotency key.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound); [`NotEnded`](StoreError::NotEnded) and [`Pinned`](StoreError::Pinned): nothing
    /// was changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be removed all the same.
    pub async fn remove(&self, id: Uuid) -> Result<()> {
        self.write("remove", 256, move |tx| tx.remove_ended(id)).await
    }

    /// Removes what exceeds the limits of [`StoreConfig`]: those that ended first go first. Executions that have not
    /// ended stay, and so do pinned ones, which are not counted either. Their bytes are.
    ///
    /// It works in small steps, between which others write. Free space of the database is given back to the
    /// system. Ages follow the system's clock, but believe a step of a day at most, so that a clock that is wrong
    /// for a while removes nothing; in turn, time while nobody has the store open counts as a day at most.
    ///
    /// # Errors
    ///
    /// [`Full`](StoreError::Full), [`ReadOnly`](StoreError::ReadOnly): what was removed before stays removed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it stops after a step.
    pub async fn retention_pass(&self) -> Result<Removed> {
        let mut all = Removed::default();
        loop {
            let config = self.config().clone();
            let step = self.write("retention", STEP_BYTES, move |tx| tx.retain(&config)).await?;
            all.executions += step.removed.executions;
            all.by_age += step.removed.by_age;
            all.by_count += step.removed.by_count;
            all.by_bytes += step.removed.by_bytes;
            if step.is_last {
                return Ok(all);
            }
        }
    }

    /// Removes as [`retention_pass`](Self::retention_pass) does, and blocks until then.
    pub(crate) fn retention_blocking(&self) -> Result<()> {
        loop {
            let config = self.config().clone();
            let step =
                self.write_blocking("retention", STEP_BYTES, move |tx| tx.retain(&config))?;
            if step.is_last {
                return Ok(());
            }
        }
    }
}

struct Step {
    removed: Removed,
    is_last: bool,
}

impl WriteTx<'_> {
    pub(crate) fn remove_ended(&mut self, id: Uuid) -> Result<()> {
        let row = self.known(id)?;
        if !row.is_ended() {
            return Err(StoreError::NotEnded { id });
        }
        if row.is_pinned {
            return Err(StoreError::Pinned { id });
        }
        self.remove(&row)
    }

    fn retain(&mut self, config: &StoreConfig) -> Result<Step> {
        let mut removed = Removed::default();
        while removed.executions < STEP {
            let Some((seq, aged_at)) = self.oldest()? else { break };
            let age = u64::try_from(self.totals.age - aged_at).unwrap_or(0);
            let reason = if u128::from(age) > config.max_age.as_micros() {
                &mut removed.by_age
            } else if self.totals.removable > config.max_count {
                &mut removed.by_count
            } else if self.used_bytes()? > config.max_bytes {
                &mut removed.by_bytes
            } else {
                break;
            };
            *reason += 1;
            removed.executions += 1;
            let Some(row) = self.find_seq(seq)? else { break };
            self.remove(&row)?;
        }
        let has_shrunk = self.shrink()?;
        Ok(Step { removed, is_last: removed.executions < STEP && has_shrunk })
    }

    /// Returns the execution that retention removes next.
    fn oldest(&self) -> Result<Option<(i64, i64)>> {
        let oldest = "SELECT seq, aged_at FROM executions WHERE aged_at IS NOT NULL AND pinned = 0 \
                      ORDER BY aged_at, seq LIMIT 1";
        let mut oldest = self.connection.prepare_cached(oldest)?;
        Ok(oldest.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    fn used_bytes(&self) -> Result<u64> {
        let (pages, free) = pages(self.connection)?;
        Ok((pages - free) * 4096 + self.totals.file_bytes)
    }

    /// Gives free pages of the database back to the system. Returns `true` if few are left.
    fn shrink(&self) -> Result<bool> {
        let kept = |pages: u64| KEPT_PAGES.max(pages / 20);
        let (pages_before, free) = pages(self.connection)?;
        if free <= kept(pages_before) {
            return Ok(true);
        }
        let count = (free - kept(pages_before) / 2).min(STEP_PAGES);
        let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({count})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        let (pages_after, free) = pages(self.connection)?;
        Ok(free <= kept(pages_after) || pages_after == pages_before)
    }
}

/// Returns the number of pages, and of those that are free.
fn pages(connection: &Connection) -> Result<(u64, u64)> {
    let count = |name: &str| -> Result<u64> {
        Ok(connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    Ok((count("page_count")?, count("freelist_count")?))
}
