//! Reads of plans.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{ListedPlan, PlanPage, PlanQuery, StoredEvent, StoredPlan, StoredStep, StoredStop};
use crate::error::{Result, StoreError};
use crate::list::{MAX_LIMIT, cursor_of, seq_of};
use crate::read::range_of;
use crate::status;
use crate::store::Store;
use crate::time::of_us;

const COLUMNS: &str =
    "seq, id, owner, status, round, created_at, round_at, ended_at, stops, shown, outcome";

impl Store {
    /// Returns a plan; None if it was never accepted or was removed.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time, as all that only read.
    pub async fn plan(&self, id: Uuid) -> Result<Option<StoredPlan>> {
        self.read(move |connection| by_id(connection, id)).await
    }

    /// Returns what happened in a round of a plan behind an event (0 is the beginning), in order. Nothing if the plan
    /// was removed.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn plan_events(&self, id: Uuid, round: u32, after: u64) -> Result<Vec<StoredEvent>> {
        self.read(move |connection| {
            let query = "SELECT seq, stops FROM plans WHERE id = ?1 AND round = ?2";
            let mut query = connection.prepare_cached(query)?;
            let plan = query.query_row(params![id.as_bytes(), round], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            });
            let Some((seq, stops)) = plan.optional()? else { return Ok(Vec::new()) };
            let stops: Vec<StoredStop> = serde_json::from_str(&stops)?;
            let condition = "event > ?3 ORDER BY event";
            let ended = steps_of(connection, seq, round, condition, after.cast_signed())?;
            let stops = stops.into_iter().filter(|stop| stop.event > after);
            let mut events: Vec<StoredEvent> = stops.map(StoredEvent::Stopped).collect();
            events.extend(ended.into_iter().map(StoredEvent::Ended));
            events.sort_by_key(|event| match event {
                StoredEvent::Ended(step) => step.event,
                StoredEvent::Stopped(stop) => Some(stop.event),
            });
            Ok(events)
        })
        .await
    }

    /// Returns the whole plan, as [`NewPlan::secret`](super::NewPlan::secret) had it.
    ///
    /// # Errors
    ///
    /// [`PlanNotFound`](StoreError::PlanNotFound), also for one that has completed;
    /// [`OtherKey`](StoreError::OtherKey) if it was sealed with another key than that of the key file.
    pub async fn plan_secret(&self, id: Uuid) -> Result<Vec<u8>> {
        let read = move |connection: &Connection| {
            let query = "SELECT key_id, sealed FROM plans WHERE id = ?1 AND sealed IS NOT NULL";
            let mut query = connection.prepare_cached(query)?;
            let sealed = query.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(sealed.optional()?)
        };
        let sealed: Option<(Vec<u8>, Vec<u8>)> = self.read(read).await?;
        let (key_id, value) = sealed.ok_or(StoreError::PlanNotFound { id })?;
        self.key().unseal(id, &key_id, &value)
    }

    /// Returns the plans that have not ended, in the order they were accepted.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn unfinished_plans(&self) -> Result<Vec<Uuid>> {
        self.read(|connection| {
            let query = "SELECT id FROM plans WHERE ended_at IS NULL ORDER BY seq";
            let mut query = connection.prepare_cached(query)?;
            let ids = query.query_map([], |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Returns plans, newest first.
    ///
    /// # Errors
    ///
    /// [`Query`](StoreError::Query) names the field that is not valid.
    pub async fn list_plans(&self, query: PlanQuery) -> Result<PlanPage> {
        if query.limit == 0 || query.limit > MAX_LIMIT {
            let what = format!("{} is not between 1 and {MAX_LIMIT}", query.limit);
            return Err(StoreError::Query { field: "limit", what });
        }
        let below = query.cursor.as_deref().map_or(Ok(i64::MAX), seq_of)?;
        self.read(move |connection| {
            let statuses: Vec<i64> = query.status.iter().copied().map(status::number).collect();
            let text =
                "SELECT seq, id, status, round, title, created_at, round_at, ended_at, outcome FROM plans WHERE seq < ?1 AND (?2 OR status IN (SELECT value FROM json_each(?3))) \
                 ORDER BY seq DESC LIMIT ?4";
            let mut list = connection.prepare_cached(text)?;
            let mut rows = list.query(params![
                below,
                statuses.is_empty(),
                serde_json::to_string(&statuses)?,
                query.limit as i64 + 1,
            ])?;
            let mut items = Vec::new();
            let mut last = 0;
            while let Some(row) = rows.next()? {
                if items.len() == query.limit {
                    return Ok(PlanPage { items, next: Some(cursor_of(last)) });
                }
                last = row.get(0)?;
                items.push(listed(row)?);
            }
            Ok(PlanPage { items, next: None })
        })
        .await
    }

    /// Returns the ids of plans that begin with these hexadecimal digits, two at most. Hyphens may be left out.
    ///
    /// # Errors
    ///
    /// [`Query`](StoreError::Query) if that can be no beginning of an id.
    pub async fn find_plan_prefix(&self, prefix: &str) -> Result<Vec<Uuid>> {
        let (first, last) = range_of(prefix)?;
        self.read(move |connection| {
            let ids = "SELECT id FROM plans WHERE id BETWEEN ?1 AND ?2 LIMIT 2";
            let mut query = connection.prepare_cached(ids)?;
            let ids = query.query_map([first, last], |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Returns the plan that was accepted last.
    ///
    /// # Errors
    ///
    /// [`Database`](StoreError::Database).
    pub async fn newest_plan(&self) -> Result<Option<Uuid>> {
        self.read(|connection| {
            let newest = "SELECT id FROM plans ORDER BY seq DESC LIMIT 1";
            let mut query = connection.prepare_cached(newest)?;
            Ok(query.query_row([], |row| Ok(Uuid::from_bytes(row.get(0)?))).optional()?)
        })
        .await
    }
}

pub(super) fn by_id(connection: &Connection, id: Uuid) -> Result<Option<StoredPlan>> {
    let query = format!("SELECT {COLUMNS} FROM plans WHERE id = ?1");
    let mut query = connection.prepare_cached(&query)?;
    let mut rows = query.query([id.as_bytes()])?;
    rows.next()?.map(|row| of_row(connection, row)).transpose()
}

fn listed(row: &Row<'_>) -> Result<ListedPlan> {
    Ok(ListedPlan {
        id: Uuid::from_bytes(row.get(1)?),
        status: status::of_number(row.get(2)?),
        round: row.get(3)?,
        title: json(row, 4)?.unwrap_or_default(),
        created_at: of_us(row.get(5)?),
        round_at: of_us(row.get(6)?),
        ended_at: row.get::<_, Option<i64>>(7)?.map(of_us),
        outcome: json(row, 8)?,
    })
}

fn of_row(connection: &Connection, row: &Row<'_>) -> Result<StoredPlan> {
    let (seq, round): (i64, u32) = (row.get(0)?, row.get(4)?);
    Ok(StoredPlan {
        id: Uuid::from_bytes(row.get(1)?),
        owner: row.get(2)?,
        status: status::of_number(row.get(3)?),
        round,
        created_at: of_us(row.get(5)?),
        round_at: of_us(row.get(6)?),
        ended_at: row.get::<_, Option<i64>>(7)?.map(of_us),
        stops: json(row, 8)?.unwrap_or_default(),
        shown: json(row, 9)?.unwrap_or_default(),
        outcome: json(row, 10)?,
        steps: steps_of(connection, seq, round, "step >= ?3 ORDER BY step", 0)?,
    })
}

/// Reads the JSON of a column.
fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> Result<Option<T>> {
    let text: Option<String> = row.get(at)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn steps_of(
    connection: &Connection,
    plan: i64,
    round: u32,
    condition: &str,
    value: i64,
) -> Result<Vec<StoredStep>> {
    let query = format!(
        "SELECT step, execution, event, ending, started_at, ended_at, duration_ms, attempts \
         FROM plan_steps WHERE plan = ?1 AND round = ?2 AND {condition}"
    );
    let mut query = connection.prepare_cached(&query)?;
    let mut rows = query.query(params![plan, round, value])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let count = |at: usize| -> Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(at)?.map(i64::unsigned_abs))
        };
        steps.push(StoredStep {
            step: usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX),
            execution: row.get::<_, Option<_>>(1)?.map(Uuid::from_bytes),
            event: count(2)?,
            ending: json(row, 3)?,
            started_at: row.get::<_, Option<i64>>(4)?.map(of_us),
            ended_at: row.get::<_, Option<i64>>(5)?.map(of_us),
            duration_ms: count(6)?,
            attempts: row.get(7)?,
        });
    }
    Ok(steps)
}
