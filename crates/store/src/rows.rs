//! Rows of the database, as writes change them.

use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::execution::StoredPlace;
use crate::writer::WriteTx;

/// What a write has to know of an execution.
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) status: i64,
    pub(crate) owner: u32,
    pub(crate) is_pinned: bool,
    pub(crate) keeper: Option<String>,
    pub(crate) facets: Vec<String>,
    pub(crate) place: StoredPlace,
    pub(crate) path: Option<String>,
    pub(crate) file_bytes: u64,
    /// Bytes of its output, wherever that is.
    pub(crate) output_bytes: u64,
    /// The plan whose step it is.
    pub(crate) plan: Option<Uuid>,
}

impl Row {
    pub(crate) fn is_ended(&self) -> bool {
        self.status > RUNNING
    }
}

pub(crate) const PENDING: i64 = 0;
pub(crate) const RUNNING: i64 = 1;

const FIND: &str = "SELECT seq, status, owner, pinned, keeper, facets, place, place_path, file_bytes, \
                    iif(place = 1, journal_bytes, file_bytes), plan FROM executions WHERE ";

impl WriteTx<'_> {
    /// Returns an execution by its id.
    pub(crate) fn find(&self, id: Uuid) -> Result<Option<Row>> {
        self.find_by("id = ?1", id.as_bytes().as_slice())
    }

    /// Returns an execution by its id, or the error for a missing one.
    pub(crate) fn known(&self, id: Uuid) -> Result<Row> {
        self.find(id)?.ok_or(StoreError::NotFound { id })
    }

    pub(crate) fn find_seq(&self, seq: i64) -> Result<Option<Row>> {
        self.find_by("seq = ?1", seq)
    }

    fn find_by(&self, what: &str, value: impl rusqlite::ToSql) -> Result<Option<Row>> {
        let mut query = self.connection.prepare_cached(&format!("{FIND}{what}"))?;
        let found = query
            .query_row([value], |row| {
                let facets: String = row.get(5)?;
                let row = Row {
                    seq: row.get(0)?,
                    status: row.get(1)?,
                    owner: row.get(2)?,
                    is_pinned: row.get(3)?,
                    keeper: row.get(4)?,
                    facets: Vec::new(),
                    place: StoredPlace::of_number(row.get(6)?),
                    path: row.get(7)?,
                    file_bytes: row.get::<_, i64>(8)?.unsigned_abs(),
                    output_bytes: row.get::<_, i64>(9)?.unsigned_abs(),
                    plan: row.get::<_, Option<_>>(10)?.map(Uuid::from_bytes),
                };
                Ok((row, facets))
            })
            .optional()?;
        let whole = |(row, facets): (Row, String)| -> Result<Row> {
            Ok(Row { facets: serde_json::from_str(&facets)?, ..row })
        };
        found.map(whole).transpose()
    }

    /// Notes that an execution has another status; its row is updated by the caller.
    pub(crate) fn move_facets(&mut self, row: &Row, status: i64) -> Result<()> {
        self.totals.count(row.status, -1);
        self.totals.count(status, 1);
        self.delete_facets(row)?;
        self.insert_facets(row.seq, status, &row.facets)
    }

    pub(crate) fn insert_facets(&self, seq: i64, status: i64, facets: &[String]) -> Result<()> {
        let mut insert =
            self.connection.prepare_cached("INSERT INTO facets VALUES (?1, ?2, ?3)")?;
        for facet in facets {
            insert.execute(params![facet, status, seq])?;
        }
        Ok(())
    }

    pub(crate) fn delete_facets(&self, row: &Row) -> Result<()> {
        let delete = "DELETE FROM facets WHERE facet = ?1 AND status = ?2 AND seq = ?3";
        let mut delete = self.connection.prepare_cached(delete)?;
        for facet in &row.facets {
            delete.execute(params![facet, row.status, row.seq])?;
        }
        Ok(())
    }

    /// Deletes what was sealed for an execution.
    pub(crate) fn erase_sealed(&mut self, seq: i64) -> Result<()> {
        let mut delete = self.connection.prepare_cached("DELETE FROM sealed WHERE seq = ?1")?;
        self.has_erased |= delete.execute([seq])? > 0;
        Ok(())
    }

    /// Announces that a file has no execution.
    pub(crate) fn announce_file(&self, path: &str) -> Result<()> {
        let insert = "INSERT OR IGNORE INTO unowned_files VALUES (?1)";
        self.connection.prepare_cached(insert)?.execute([path])?;
        Ok(())
    }

    /// Removes an execution, with all that belongs to it.
    pub(crate) fn remove(&mut self, row: &Row) -> Result<()> {
        let key: Option<String> = self
            .connection
            .prepare_cached("SELECT idempotency_key FROM requests WHERE seq = ?1")?
            .query_row([row.seq], |row| row.get(0))?;
        if let Some(key) = key {
            let delete = "DELETE FROM idempotency WHERE owner = ?1 AND idempotency_key = ?2";
            self.connection.prepare_cached(delete)?.execute(params![row.owner, key])?;
        }
        self.delete_facets(row)?;
        self.erase_sealed(row.seq)?;
        for delete in [
            "DELETE FROM history WHERE seq = ?1",
            "DELETE FROM outputs WHERE seq = ?1",
            "DELETE FROM results WHERE seq = ?1",
            "DELETE FROM requests WHERE seq = ?1",
            "DELETE FROM executions WHERE seq = ?1",
        ] {
            self.connection.prepare_cached(delete)?.execute([row.seq])?;
        }
        if let Some(path) = &row.path {
            self.announce_file(path)?;
            self.doomed.push(path.clone());
        }
        if let Some(plan) = row.plan {
            self.remove_plan_without_executions(plan)?;
        }
        self.totals.count(row.status, -1);
        self.totals.file_bytes = self.totals.file_bytes.saturating_sub(row.file_bytes);
        self.totals.removable -= u64::from(row.is_ended() && !row.is_pinned);
        Ok(())
    }
}
