//! What retention would remove, found out without removing it.

use rusqlite::{Connection, params};

use super::{NOT_NEEDED, Removed, RemovedPart, RetentionLimits, is_too_old, used_bytes};
use crate::error::Result;
use crate::store::Store;
use crate::totals::Totals;

/// Executions that are looked at before others read.
const STEP: usize = 5_000;
/// Bytes that the rows and indexes of an execution have beside their texts, about.
const ROWS: u64 = 600;

/// A look at what would be removed, and how far it has come.
struct Preview {
    limits: RetentionLimits,
    totals: Totals,
    /// Bytes on disk that would be left; None before the first step.
    used: Option<u64>,
    removed: Removed,
    /// The last one that would be removed.
    last: (i64, i64),
}

/// An execution that could be removed.
struct Candidate {
    place: (i64, i64),
    output_bytes: u64,
    rows_bytes: u64,
}

impl Store {
    /// Returns what [`retention_pass_within`](Self::retention_pass_within) would remove, and changes nothing.
    ///
    /// What would be removed because of its bytes is an estimate: how much room the database gives back is known when
    /// that is done.
    ///
    /// # Errors
    ///
    /// [`Database`](crate::StoreError::Database).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn retention_preview(&self, limits: RetentionLimits) -> Result<Removed> {
        // Only the writer moves the clock on. While nothing can be written, the clock of the last commit has to do.
        let totals = self.write("retention_preview", 0, |tx| Ok(*tx.totals)).await;
        let totals = match totals {
            Err(error) if !error.is_unwritable() => return Err(error),
            totals => totals.unwrap_or_else(|_| self.totals()),
        };
        let (removed, last) = (Removed::default(), (i64::MIN, 0));
        let mut preview = Preview { limits, totals, used: None, removed, last };
        loop {
            let step = move |connection: &Connection| {
                let is_last = preview.step(connection)?;
                Ok((preview, is_last))
            };
            let (next, is_last) = self.read(step).await?;
            if is_last {
                return Ok(next.removed);
            }
            preview = next;
        }
    }
}

impl Preview {
    /// Looks at some executions more. Returns `true` if those that follow would stay.
    fn step(&mut self, connection: &Connection) -> Result<bool> {
        if self.used.is_none() {
            self.used = Some(used_bytes(connection, &self.totals)?);
        }
        let candidates = candidates(connection, self.last)?;
        let is_end = candidates.len() < STEP;
        Ok(candidates.iter().any(|candidate| !self.removes(candidate)) || is_end)
    }

    /// Counts an execution that would be removed. Returns `false` for one that would stay.
    fn removes(&mut self, candidate: &Candidate) -> bool {
        let used = self.used.unwrap_or(0);
        let reason = if is_too_old(self.totals.age, candidate.place.0, &self.limits) {
            &mut self.removed.by_age
        } else if self.totals.removable > self.limits.max_count {
            &mut self.removed.by_count
        } else if used > self.limits.max_bytes {
            &mut self.removed.by_bytes
        } else {
            return false;
        };
        reason.add(RemovedPart { executions: 1, bytes: candidate.output_bytes });
        self.totals.removable = self.totals.removable.saturating_sub(1);
        self.used = Some(used.saturating_sub(candidate.output_bytes + candidate.rows_bytes));
        self.last = candidate.place;
        true
    }
}

/// Returns the next executions that retention would look at, those first that ended first.
fn candidates(connection: &Connection, after: (i64, i64)) -> Result<Vec<Candidate>> {
    let query = format!(
        "SELECT e.aged_at, e.seq, iif(place = 1, journal_bytes, file_bytes), \
                 octet_length(command) + octet_length(facets) * 2 + octet_length(request) + octet_length(options) \
                 + octet_length(env_names) + coalesce(octet_length(result) + octet_length(ending), 0) \
                 FROM executions e JOIN requests USING (seq) LEFT JOIN results USING (seq) \
                 WHERE e.aged_at IS NOT NULL AND e.pinned = 0 AND (e.aged_at, e.seq) > (?1, ?2) \
                 AND {NOT_NEEDED} ORDER BY e.aged_at, e.seq LIMIT ?3"
    );
    let mut query = connection.prepare_cached(&query)?;
    let rows = query.query_map(params![after.0, after.1, STEP as i64], |row| {
        Ok(Candidate {
            place: (row.get(0)?, row.get(1)?),
            output_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            rows_bytes: row.get::<_, i64>(3)?.unsigned_abs() + ROWS,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
