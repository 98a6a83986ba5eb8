//! Totals of the database, which would take a scan to find out, and its clock.

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::status::STATUSES;

/// Longest step of the clock that is believed, in microseconds: one day.
const MAX_STEP_US: i64 = 24 * 60 * 60 * 1_000_000;

/// Totals of the database. The writer has them in memory and stores them with each commit that
/// changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Sequence of the next execution. No sequence is given twice, also not after a removal.
    pub(crate) next_seq: i64,
    /// Number of executions of each status.
    pub(crate) counts: [u64; STATUSES],
    /// Number of executions that retention may remove.
    pub(crate) removable: u64,
    /// Bytes in files of output.
    pub(crate) file_bytes: u64,
    /// Latest time of acceptance.
    pub(crate) latest_at: i64,
    /// How long the store has existed, by [`tick`](Self::tick), in microseconds.
    pub(crate) age: i64,
    /// Time of the last tick.
    pub(crate) seen_at: i64,
}

impl Totals {
    pub(crate) fn load(connection: &Connection) -> Result<Self> {
        let query =
            "SELECT next_seq, counts, removable, file_bytes, latest_at, age, seen_at FROM totals";
        let (totals, counts) = connection.query_row(query, [], |row| {
            let totals = Self {
                next_seq: row.get(0)?,
                counts: [0; STATUSES],
                removable: row.get::<_, i64>(2)?.unsigned_abs(),
                file_bytes: row.get::<_, i64>(3)?.unsigned_abs(),
                latest_at: row.get(4)?,
                age: row.get(5)?,
                seen_at: row.get(6)?,
            };
            Ok((totals, row.get::<_, String>(1)?))
        })?;
        Ok(Self { counts: serde_json::from_str(&counts)?, ..totals })
    }

    pub(crate) fn save(&self, connection: &Connection) -> Result<()> {
        let update = "UPDATE totals SET next_seq = ?1, counts = ?2, removable = ?3, file_bytes = ?4, \
                      latest_at = ?5, age = ?6, seen_at = ?7";
        connection.prepare_cached(update)?.execute(params![
            self.next_seq,
            serde_json::to_string(&self.counts)?,
            self.removable.cast_signed(),
            self.file_bytes.cast_signed(),
            self.latest_at,
            self.age,
            self.seen_at,
        ])?;
        Ok(())
    }

    /// Moves the store's own clock on, by which retention measures ages.
    ///
    /// It follows the system's clock, but never back, and at most by a day at once. So a clock that was wrong
    /// for a while, by whatever many years, makes everything a day older and removes nothing that would not
    /// have been removed a day later. The price: while no process runs the store, its clock goes on by a day at
    /// most, and what it has is kept that much longer; number and bytes are limited all the same.
    pub(crate) fn tick(&mut self, now_us: i64) {
        if self.seen_at != 0 {
            self.age += now_us.saturating_sub(self.seen_at).clamp(0, MAX_STEP_US);
        }
        self.seen_at = now_us;
    }

    pub(crate) fn count(&mut self, status: i64, change: i64) {
        if let Some(count) = usize::try_from(status).ok().and_then(|at| self.counts.get_mut(at)) {
            *count = count.saturating_add_signed(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = MAX_STEP_US;

    #[test]
    fn clock_of_the_store_never_goes_back_and_believes_a_day_at_most() {
        let mut totals = Totals::default();
        totals.tick(1000 * DAY);
        assert_eq!(totals.age, 0, "the first look only sets the clock");
        totals.tick(1000 * DAY + 5);
        assert_eq!(totals.age, 5);
        // Ten years ahead and back.
        totals.tick(4650 * DAY);
        totals.tick(1000 * DAY + 10);
        assert_eq!(totals.age, 5 + DAY);
        totals.tick(1000 * DAY + 20);
        assert_eq!(totals.age, 15 + DAY);
    }
}
