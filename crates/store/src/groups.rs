//! Groups of executions, as clients have set them.

use rusqlite::{OptionalExtension as _, Row, params};

use crate::error::Result;
use crate::store::Store;

/// A group that a client has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGroup {
    /// Its name, that of the [options](execution_engine::ExecutionOptions::group) of its executions.
    pub name: String,
    /// How many of its executions run at a time; None is as many as there is room for.
    pub max_running: Option<u32>,
    /// Whether it starts nothing.
    pub paused: bool,
}

/// What to change of a group. What is None stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// Its limit; `Some(None)` takes it away.
    pub max_running: Option<Option<u32>>,
    /// Whether it starts nothing.
    pub paused: Option<bool>,
}

impl Store {
    /// Returns all groups that a client has set, by their names.
    ///
    /// # Errors
    ///
    /// [`Database`](crate::StoreError::Database).
    pub async fn groups(&self) -> Result<Vec<StoredGroup>> {
        self.read(|connection| {
            let query = "SELECT name, max_running, paused FROM groups ORDER BY name";
            let mut query = connection.prepare_cached(query)?;
            let groups = query.query_map([], of_row)?;
            Ok(groups.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Sets a group, and returns it as it is then. One that was not set before has no limit and is not paused. When
    /// this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::StoreError::Full) and [`ReadOnly`](crate::StoreError::ReadOnly): nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be set all the same.
    pub async fn set_group(&self, name: &str, change: GroupChange) -> Result<StoredGroup> {
        let name = name.to_string();
        self.write("set_group", name.len() + 256, move |tx| {
            let known = "SELECT name, max_running, paused FROM groups WHERE name = ?1";
            let mut known = tx.connection.prepare_cached(known)?;
            let before = known.query_row([&name], of_row).optional()?;
            let before = before.unwrap_or(StoredGroup { name, max_running: None, paused: false });
            let group = StoredGroup {
                max_running: change.max_running.unwrap_or(before.max_running),
                paused: change.paused.unwrap_or(before.paused),
                name: before.name,
            };
            let replace = "INSERT OR REPLACE INTO groups VALUES (?1, ?2, ?3)";
            tx.connection.prepare_cached(replace)?.execute(params![
                group.name,
                group.max_running,
                group.paused,
            ])?;
            Ok(group)
        })
        .await
    }

    /// Removes what was set of a group. Returns `false` if nothing was. When this returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::StoreError::Full) and [`ReadOnly`](crate::StoreError::ReadOnly): nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be removed all the same.
    pub async fn remove_group(&self, name: &str) -> Result<bool> {
        let name = name.to_string();
        self.write("remove_group", 256, move |tx| {
            let delete = "DELETE FROM groups WHERE name = ?1";
            Ok(tx.connection.prepare_cached(delete)?.execute([&name])? > 0)
        })
        .await
    }
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<StoredGroup> {
    Ok(StoredGroup { name: row.get(0)?, max_running: row.get(1)?, paused: row.get(2)? })
}
