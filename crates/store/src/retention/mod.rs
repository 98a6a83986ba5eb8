//! What is forgotten, and when.

mod preview;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

use crate::config::StoreConfig;
use crate::error::{Result, StoreError};
use crate::store::Store;
use crate::totals::Totals;
use crate::writer::WriteTx;

/// Executions that are removed in one transaction.
const STEP: u64 = 100;
/// Bytes that a transaction of these may write, about.
const STEP_BYTES: usize = 64 << 10;
/// Free pages of the database that are given back to the system in one transaction.
const STEP_PAGES: u64 = 1024;
/// Free pages that the database keeps for what comes next.
const KEPT_PAGES: u64 = 256;

/// What retention keeps: the first of these that is exceeded counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionLimits {
    /// How long an execution is kept after its end.
    pub max_age: Duration,
    /// How many ended executions are kept.
    pub max_count: u64,
    /// How many bytes the database and the files of output may have on disk.
    pub max_bytes: u64,
}

impl RetentionLimits {
    /// Returns the limits of a store.
    pub(crate) fn of(config: &StoreConfig) -> Self {
        let StoreConfig { max_age, max_count, max_bytes, .. } = *config;
        Self { max_age, max_count, max_bytes }
    }
}

/// What a pass of retention has removed, or would remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// What was too old.
    pub by_age: RemovedPart,
    /// What was too many.
    pub by_count: RemovedPart,
    /// What took too much room.
    pub by_bytes: RemovedPart,
}

/// Executions that retention has removed for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemovedPart {
    /// Their number.
    pub executions: u64,
    /// Bytes of their output as it was stored, that is mostly compressed.
    pub bytes: u64,
}

impl RemovedPart {
    fn add(&mut self, other: Self) {
        self.executions += other.executions;
        self.bytes += other.bytes;
    }
}

impl Removed {
    /// Returns all of it, whatever the reason.
    pub fn all(&self) -> RemovedPart {
        let mut all = self.by_age;
        all.add(self.by_count);
        all.add(self.by_bytes);
        all
    }

    fn add(&mut self, other: &Self) {
        self.by_age.add(other.by_age);
        self.by_count.add(other.by_count);
        self.by_bytes.add(other.by_bytes);
    }
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
    /// for a while removes nothing; in turn, time while no process has the store open counts as a day at most.
    ///
    /// # Errors
    ///
    /// [`Full`](StoreError::Full), [`ReadOnly`](StoreError::ReadOnly): what was removed before stays removed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it stops after a step.
    pub async fn retention_pass(&self) -> Result<Removed> {
        self.retention_pass_within(RetentionLimits::of(self.config())).await
    }

    /// Removes as [`retention_pass`](Self::retention_pass) does, within other limits than those of the store.
    ///
    /// # Errors
    ///
    /// Those of `retention_pass`.
    ///
    /// # Cancel safety
    ///
    /// That of `retention_pass`.
    pub async fn retention_pass_within(&self, limits: RetentionLimits) -> Result<Removed> {
        let mut all = Removed::default();
        loop {
            let step = self.write("retention", STEP_BYTES, move |tx| tx.retain(&limits)).await?;
            all.add(&step.removed);
            if step.is_last {
                return Ok(all);
            }
        }
    }

    /// Removes as [`retention_pass`](Self::retention_pass) does, and blocks until then.
    pub(crate) fn retention_blocking(&self) -> Result<()> {
        loop {
            let limits = RetentionLimits::of(self.config());
            let step =
                self.write_blocking("retention", STEP_BYTES, move |tx| tx.retain(&limits))?;
            if step.is_last {
                return Ok(());
            }
        }
    }
}

/// Condition for executions `e` that no plan needs any more: later steps may take the output of earlier ones.
const NOT_NEEDED: &str = "(e.plan IS NULL OR NOT EXISTS (SELECT 1 FROM plans p WHERE p.id = e.plan AND p.ended_at IS NULL))";

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

    fn retain(&mut self, limits: &RetentionLimits) -> Result<Step> {
        let mut removed = Removed::default();
        while removed.all().executions < STEP {
            let Some((seq, aged_at)) = self.oldest()? else { break };
            let reason = if is_too_old(self.totals.age, aged_at, limits) {
                &mut removed.by_age
            } else if self.totals.removable > limits.max_count {
                &mut removed.by_count
            } else if used_bytes(self.connection, self.totals)? > limits.max_bytes {
                &mut removed.by_bytes
            } else {
                break;
            };
            let Some(row) = self.find_seq(seq)? else { break };
            reason.add(RemovedPart { executions: 1, bytes: row.output_bytes });
            self.remove(&row)?;
        }
        let too_old = i64::try_from(limits.max_age.as_micros()).unwrap_or(i64::MAX);
        // Plans that have no executions take room, too, and are no use to anybody who looks for those.
        let before = match used_bytes(self.connection, self.totals)? > limits.max_bytes {
            true => i64::MAX,
            false => self.totals.age.saturating_sub(too_old),
        };
        let plans = self.remove_old_plans(before, STEP)?;
        let has_shrunk = self.shrink()?;
        Ok(Step { removed, is_last: removed.all().executions.max(plans) < STEP && has_shrunk })
    }

    /// Returns the execution that retention removes next.
    fn oldest(&self) -> Result<Option<(i64, i64)>> {
        let oldest = format!(
            "SELECT seq, aged_at FROM executions e WHERE aged_at IS NOT NULL AND pinned = 0 AND {NOT_NEEDED} \
             ORDER BY aged_at, seq LIMIT 1"
        );
        let mut oldest = self.connection.prepare_cached(&oldest)?;
        Ok(oldest.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
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

/// Returns `true` if an execution ended longer ago than it is kept.
fn is_too_old(now: i64, aged_at: i64, limits: &RetentionLimits) -> bool {
    let age = u64::try_from(now - aged_at).unwrap_or(0);
    u128::from(age) > limits.max_age.as_micros()
}

/// Returns how many bytes a database and its files of output have.
fn used_bytes(connection: &Connection, totals: &Totals) -> Result<u64> {
    let (pages, free) = pages(connection)?;
    Ok((pages - free) * 4096 + totals.file_bytes)
}

/// Returns the number of pages, and of those that are free.
fn pages(connection: &Connection) -> Result<(u64, u64)> {
    let count = |name: &str| -> Result<u64> {
        Ok(connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    Ok((count("page_count")?, count("freelist_count")?))
}
