//! What happens to an accepted execution: dispatch, start, ending.

use chrono::{DateTime, Utc};
use rusqlite::params;
use uuid::Uuid;

use crate::error::Result;
use crate::execution::{EndedExecution, OutputPlace, StoredPlace};
use crate::files::Files;
use crate::rows::{PENDING, RUNNING, Row};
use crate::status;
use crate::store::Store;
use crate::writer::{LazyWrite, WriteTx};

impl Store {
    /// Notes that a keeper is going to be told to start these executions, and returns those that it may start.
    /// When this returns, that is on the disk: tell the keeper after it, and no execution is started twice.
    ///
    /// One that no longer waits in the queue is left out, unless it was dispatched to this keeper before.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::StoreError::Full) and [`ReadOnly`](crate::StoreError::ReadOnly): none was dispatched.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, they may be dispatched all the same.
    pub async fn dispatch(&self, ids: Vec<Uuid>, keeper: &str) -> Result<Vec<Uuid>> {
        let keeper = keeper.to_string();
        let bytes = ids.len() * 512;
        self.write("dispatch", bytes, move |tx| {
            let mut dispatched = Vec::new();
            for id in ids {
                let Some(row) = tx.find(id)? else { continue };
                if row.status == PENDING {
                    tx.dispatch(&row, &keeper)?;
                } else if row.status != RUNNING || row.keeper.as_ref() != Some(&keeper) {
                    continue;
                }
                dispatched.push(id);
            }
            Ok(dispatched)
        })
        .await
    }

    /// Notes when the program of an execution was started. It is stored with the next commit, at the latest
    /// after 100 ms; the execution has to be running then.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::StoreError::Closed).
    pub fn started(&self, id: Uuid, at: DateTime<Utc>) -> Result<()> {
        self.lazy(LazyWrite::Started { id, at_us: at.timestamp_micros() })
    }

    /// Erases the sealed environment and input of an execution, because its keeper has them. It is done with
    /// the next commit, at the latest after 100 ms; remains in the write-ahead log are gone some seconds
    /// later. While nothing can be written, it waits.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::StoreError::Closed).
    pub fn erase_env(&self, id: Uuid) -> Result<()> {
        self.lazy(LazyWrite::EraseSealed { id })
    }

    /// Stores how an execution has ended, whether it ran or still waited in the queue. When this returns, that
    /// is on the disk: tell others after it. Its sealed environment and input are erased.
    ///
    /// Returns `false` if it had ended already. Nothing is changed then.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::StoreError::NotFound); [`Full`](crate::StoreError::Full) and
    /// [`ReadOnly`](crate::StoreError::ReadOnly): nothing was stored, try again when the store is
    /// [writable](Self::writable).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the ending may be stored all the same. The same call again finds out.
    pub async fn ended(&self, ended: EndedExecution) -> Result<bool> {
        let store = self.clone();
        let inline = match &ended.output {
            OutputPlace::Inline(journal) => journal.len(),
            OutputPlace::None | OutputPlace::Journal { .. } => 0,
        };
        self.write("ended", inline + 4096, move |tx| {
            let row = tx.known(ended.id)?;
            if row.is_ended() {
                return Ok(false);
            }
            let placed = Placed::of(&ended.output, store.files())?;
            tx.end(&row, &ended, &placed)?;
            Ok(true)
        })
        .await
    }

    /// Notes whether an execution is paused. When this returns, that is on the disk. One that has ended is not.
    ///
    /// # Errors
    ///
    /// Those of [`pin`](Self::pin).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be done all the same.
    pub async fn set_paused(&self, id: Uuid, paused: bool) -> Result<()> {
        self.write("set_paused", 128, move |tx| {
            let row = tx.known(id)?;
            let update = "UPDATE executions SET paused = ?2 WHERE seq = ?1";
            let paused = paused && !row.is_ended();
            tx.connection.prepare_cached(update)?.execute(params![row.seq, paused])?;
            Ok(())
        })
        .await
    }

    /// Sets whether retention keeps an execution.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::StoreError::NotFound); [`Full`](crate::StoreError::Full) and
    /// [`ReadOnly`](crate::StoreError::ReadOnly).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be done all the same.
    pub async fn pin(&self, id: Uuid, pinned: bool) -> Result<()> {
        self.write("pin", 128, move |tx| {
            let row = tx.known(id)?;
            if row.is_pinned == pinned {
                return Ok(());
            }
            if row.is_ended() {
                tx.totals.removable =
                    tx.totals.removable.saturating_add_signed(if pinned { -1 } else { 1 });
            }
            let update = "UPDATE executions SET pinned = ?2 WHERE seq = ?1";
            tx.connection.prepare_cached(update)?.execute(params![row.seq, pinned])?;
            Ok(())
        })
        .await
    }
}

impl WriteTx<'_> {
    fn dispatch(&mut self, row: &Row, keeper: &str) -> Result<()> {
        self.move_facets(row, RUNNING)?;
        let update = "UPDATE executions SET status = ?2, keeper = ?3 WHERE seq = ?1";
        self.connection.prepare_cached(update)?.execute(params![row.seq, RUNNING, keeper])?;
        Ok(())
    }

    pub(crate) fn started(&self, id: Uuid, at_us: i64) -> Result<()> {
        let update = "UPDATE executions SET started_at = ?2, attempts = max(attempts, 1) \
                      WHERE id = ?1 AND status = ?3 AND started_at IS NULL";
        let mut update = self.connection.prepare_cached(update)?;
        update.execute(params![id.as_bytes(), at_us, RUNNING])?;
        Ok(())
    }

    pub(crate) fn end(
        &mut self,
        row: &Row,
        ended: &EndedExecution,
        placed: &Placed<'_>,
    ) -> Result<()> {
        let status = status::number(ended.ending.status());
        self.move_facets(row, status)?;
        self.erase_sealed(row.seq)?;
        self.totals.file_bytes += placed.file_bytes;
        self.totals.removable += u64::from(!row.is_pinned);
        let update = "UPDATE executions SET status = ?2, started_at = coalesce(?3, started_at), ended_at = ?4, \
                      aged_at = ?5, duration_ms = ?6, exit_code = ?7, attempts = ?8, stdout_bytes = ?9, \
                      stderr_bytes = ?10, place = ?11, place_path = ?12, journal_bytes = ?13, file_bytes = ?14, \
                      paused = 0 WHERE seq = ?1";
        self.connection.prepare_cached(update)?.execute(params![
            row.seq,
            status,
            ended.started_at.map(|at| at.timestamp_micros()),
            ended.ended_at.timestamp_micros(),
            self.totals.age,
            ended.duration_ms.map(u64::cast_signed),
            ended.ending.exit_code(),
            ended.attempts,
            ended.stdout_bytes.cast_signed(),
            ended.stderr_bytes.cast_signed(),
            placed.place.number(),
            placed.path,
            placed.journal_bytes.cast_signed(),
            placed.file_bytes.cast_signed(),
        ])?;
        self.connection.prepare_cached("INSERT INTO results VALUES (?1, ?2, ?3)")?.execute(
            params![
                row.seq,
                serde_json::to_string(&ended.ending)?,
                serde_json::to_string(&ended.result)?,
            ],
        )?;
        if let Some(plan) = row.plan {
            self.end_step(plan, ended)?;
        }
        if let Some(journal) = placed.inline {
            let insert = "INSERT INTO outputs VALUES (?1, ?2)";
            self.connection.prepare_cached(insert)?.execute(params![row.seq, journal])?;
        }
        Ok(())
    }
}

/// Where output is, as a row has it.
pub(crate) struct Placed<'a> {
    pub(crate) place: StoredPlace,
    pub(crate) path: Option<String>,
    pub(crate) journal_bytes: u64,
    pub(crate) file_bytes: u64,
    pub(crate) inline: Option<&'a [u8]>,
}

impl<'a> Placed<'a> {
    pub(crate) fn of(output: &'a OutputPlace, files: &Files) -> Result<Self> {
        let nowhere = Placed {
            place: StoredPlace::None,
            path: None,
            journal_bytes: 0,
            file_bytes: 0,
            inline: None,
        };
        Ok(match output {
            OutputPlace::None => nowhere,
            OutputPlace::Inline(journal) => Placed {
                place: StoredPlace::Database,
                journal_bytes: journal.len() as u64,
                inline: Some(journal),
                ..nowhere
            },
            OutputPlace::Journal { path, bytes } => Placed {
                place: StoredPlace::Journal,
                path: Some(files.stored(path)?),
                journal_bytes: *bytes,
                file_bytes: *bytes,
                ..nowhere
            },
        })
    }
}
