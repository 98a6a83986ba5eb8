//! Executions of another store, with their endings.

use crate::accept::Prepared;
use crate::error::{Result, StoreError};
use crate::execution::{
    Accepted, EndedExecution, Imported, NewExecution, OutputPlace, StoredExecution,
};
use crate::progress::Placed;
use crate::read::load;
use crate::store::Store;
use crate::writer::WriteTx;

impl Store {
    /// Stores an execution that has ended in another store, under its id. When this returns, it is on the disk. It
    /// belongs to `owner` here, is the latest in the order of acceptance, and its age is measured from now on. One that was
    /// accepted by a clock that is ahead of the one here is not found by a [`since`](crate::Query::since) after now.
    ///
    /// # Errors
    ///
    /// [`NotEnded`](StoreError::NotEnded) if it had not ended there; [`Full`](StoreError::Full) and
    /// [`ReadOnly`](StoreError::ReadOnly): it was not stored.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be stored all the same. The same call again finds out.
    pub async fn import(
        &self,
        owner: u32,
        execution: StoredExecution,
        output: OutputPlace,
    ) -> Result<Imported> {
        let id = execution.id;
        let ended = ending_of(&execution, output).ok_or(StoreError::NotEnded { id })?;
        let new = NewExecution {
            after: execution.after.clone(),
            after_ended: execution.after_ended.clone(),
            start_at: execution.start_at,
            pinned: execution.pinned,
            inherited_names: execution.inherited_names.clone().unwrap_or_default(),
            ..NewExecution::new(owner, execution.request.clone(), execution.options.clone())
        };
        let at = execution.created_at.timestamp_micros();
        let names = execution.env_names.clone();
        let prepared = Prepared::new(self.key(), new)?.accepted_elsewhere(at, names);
        let prepared = prepared.with_stdin_bytes(execution.stdin_bytes);
        let inline = match &ended.output {
            OutputPlace::Inline(journal) => journal.len(),
            OutputPlace::None | OutputPlace::Journal { .. } => 0,
        };
        let store = self.clone();
        self.write("import", inline + 8192, move |tx| {
            tx.import(&store, prepared, &execution, &ended)
        })
        .await
    }
}

/// Returns how an execution has ended; None if it has not.
fn ending_of(execution: &StoredExecution, output: OutputPlace) -> Option<EndedExecution> {
    Some(EndedExecution {
        id: execution.id,
        ending: execution.ending.clone()?,
        result: execution.result.clone()?,
        stdout_bytes: execution.stdout_bytes,
        stderr_bytes: execution.stderr_bytes,
        attempts: execution.attempts,
        started_at: execution.started_at,
        ended_at: execution.ended_at?,
        duration_ms: execution.duration_ms,
        output,
    })
}

impl WriteTx<'_> {
    fn import(
        &mut self,
        store: &Store,
        prepared: Prepared,
        execution: &StoredExecution,
        ended: &EndedExecution,
    ) -> Result<Imported> {
        if let Some(row) = self.find(execution.id)? {
            let is_same =
                load(self.connection, row.seq)?.is_some_and(|known| known.is_record_of(execution));
            return Ok(if is_same { Imported::Existing } else { Imported::OtherExists });
        }
        let accepted = prepared.write(store.key(), self)?;
        if !matches!(accepted, Accepted::Created(_)) {
            return Ok(Imported::OtherExists);
        }
        let placed = Placed::of(&ended.output, store.files())?;
        let row = self.known(execution.id)?;
        self.end(&row, ended, &placed)?;
        Ok(Imported::Created)
    }
}
