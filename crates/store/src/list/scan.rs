//! How a search goes through the indexes.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{MAX_LIMIT, Page, Query, cursor_of, load_all, seq_of};
use crate::error::{Result, StoreError};
use crate::execution::facets;
use crate::status;

/// Executions that one step looks at in one source.
const STEP: usize = 20_000;

/// A search, and how far it has come.
pub(super) struct Search {
    /// Statuses to look for; None for all.
    statuses: Option<Vec<i64>>,
    facets: Vec<String>,
    since: Option<i64>,
    until: Option<i64>,
    /// In lower case.
    text: Option<String>,
    limit: usize,
    /// Executions that were found, newest first.
    found: Vec<i64>,
    /// Where to go on: all executions below this sequence.
    below: i64,
    /// No execution below this sequence is new enough; None as long as that is not known.
    floor: Option<i64>,
}

impl Search {
    pub(super) fn new(query: Query) -> Result<Self> {
        if query.limit == 0 || query.limit > MAX_LIMIT {
            let what = format!("{} is not between 1 and {MAX_LIMIT}", query.limit);
            return Err(StoreError::Query { field: "limit", what });
        }
        let mut words: Vec<String> = query.tags.iter().map(|tag| facets::tag(tag)).collect();
        words.extend(query.labels.iter().map(|(name, value)| facets::label(name, value)));
        words.extend(query.group.as_deref().map(facets::group));
        words.extend(query.plan.map(facets::plan));
        words.extend(query.schedule.map(facets::schedule));
        let mut statuses: Vec<i64> = query.status.into_iter().map(status::number).collect();
        statuses.sort_unstable();
        statuses.dedup();
        Ok(Self {
            statuses: (!statuses.is_empty()).then_some(statuses),
            facets: words,
            since: query.since.map(|at| at.timestamp_micros()),
            until: query.until.map(|at| at.timestamp_micros()),
            text: query.text.filter(|text| !text.is_empty()).map(|text| text.to_lowercase()),
            limit: query.limit,
            found: Vec::new(),
            below: query.cursor.as_deref().map_or(Ok(i64::MAX), seq_of)?,
            floor: query.since.is_none().then_some(0),
        })
    }

    /// Looks at some executions more, and returns the page if it is complete.
    pub(super) fn step(mut self, connection: &Connection) -> Result<(Self, Option<Page>)> {
        if self.floor.is_none() {
            self.floor = Some(self.find_floor(connection)?);
        }
        let mut hits = Vec::new();
        // Down to here all sources have been looked at.
        let mut horizon = 0;
        for source in self.sources() {
            let (mut more, end) = self.scan(connection, &source)?;
            hits.append(&mut more);
            horizon = horizon.max(end);
        }
        hits.retain(|seq| *seq >= horizon);
        hits.sort_unstable_by(|a, b| b.cmp(a));
        self.found.append(&mut hits);
        self.below = horizon;
        // One more than fits tells that there is a next page.
        if self.found.len() <= self.limit && horizon > 0 {
            return Ok((self, None));
        }
        let has_more = self.found.len() > self.limit;
        self.found.truncate(self.limit);
        let next = self.found.last().filter(|_| has_more).map(|seq| cursor_of(*seq));
        let items = load_all(connection, std::mem::take(&mut self.found))?;
        Ok((self, Some(Page { items, next })))
    }

    /// Returns the parts of the indexes that together have all executions that may be meant. Each is in the order
    /// of sequences.
    fn sources(&self) -> Vec<Source> {
        let facet = self.facets.first();
        match (&self.statuses, facet) {
            (None, None) => vec![Source { facet: None, status: None }],
            (Some(statuses), None) => statuses
                .iter()
                .map(|status| Source { facet: None, status: Some(*status) })
                .collect(),
            (statuses, Some(facet)) => {
                let all = || status::numbers().collect();
                let statuses = statuses.clone().unwrap_or_else(all).into_iter();
                let source = |status| Source { facet: Some(facet.clone()), status: Some(status) };
                statuses.map(source).collect()
            }
        }
    }

    /// Looks for executions in a source. Returns them, and the sequence down to which it has looked; 0 if there are
    /// no more.
    fn scan(&self, connection: &Connection, source: &Source) -> Result<(Vec<i64>, i64)> {
        let needs_row = self.text.is_some() || self.since.is_some() || self.until.is_some();
        let (sql, values) = self.query_of(source, needs_row);
        let mut query = connection.prepare_cached(&sql)?;
        let mut rows = query.query(params_from_iter(values))?;
        let wanted = self.limit + 1 - self.found.len();
        let mut hits = Vec::new();
        let (mut seen, mut last) = (0, 0);
        while let Some(row) = rows.next()? {
            (seen, last) = (seen + 1, row.get(0)?);
            if self.has_words(connection, last, source, row)? && (!needs_row || self.fits(row)?) {
                hits.push(last);
                if hits.len() == wanted {
                    return Ok((hits, last));
                }
            }
        }
        Ok((hits, if seen == STEP { last } else { 0 }))
    }

    fn query_of(&self, source: &Source, needs_row: bool) -> (String, Vec<Value>) {
        let (table, alone) =
            if source.facet.is_some() { ("facets", false) } else { ("executions", true) };
        let columns = if needs_row { ", e.created_at, e.command" } else { "" };
        let join = match (needs_row, alone) {
            (true, false) => " JOIN executions e ON e.seq = s.seq",
            _ => "",
        };
        let columns = if alone { columns.replace("e.", "s.") } else { columns.to_string() };
        let mut values = vec![Value::from(self.below), Value::from(self.floor.unwrap_or(0))];
        let mut sql = format!(
            "SELECT s.seq, s.status{columns} FROM {table} s{join} WHERE s.seq < ?1 AND s.seq >= ?2"
        );
        if let Some(status) = source.status {
            sql.push_str(" AND s.status = ?3");
            values.push(Value::from(status));
        }
        if let Some(facet) = &source.facet {
            sql.push_str(" AND s.facet = ?4");
            values.push(Value::from(facet.clone()));
        }
        sql.push_str(&format!(" ORDER BY s.seq DESC LIMIT {STEP}"));
        (sql, values)
    }

    /// Returns `true` if an execution has the words beside that of the source.
    fn has_words(
        &self,
        connection: &Connection,
        seq: i64,
        source: &Source,
        row: &rusqlite::Row<'_>,
    ) -> Result<bool> {
        let others = self.facets.get(usize::from(source.facet.is_some())..).unwrap_or_default();
        if others.is_empty() {
            return Ok(true);
        }
        let status: i64 = row.get(1)?;
        let exists = "SELECT 1 FROM facets WHERE facet = ?1 AND status = ?2 AND seq = ?3";
        let mut exists = connection.prepare_cached(exists)?;
        for facet in others {
            if !exists.exists(rusqlite::params![facet, status, seq])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fits(&self, row: &rusqlite::Row<'_>) -> Result<bool> {
        let created_at: i64 = row.get(2)?;
        if self.since.is_some_and(|since| created_at < since)
            || self.until.is_some_and(|until| created_at >= until)
        {
            return Ok(false);
        }
        let Some(text) = &self.text else { return Ok(true) };
        let command = row.get_ref(3)?.as_str();
        let command =
            command.map_err(|error| StoreError::Database { reason: error.to_string() })?;
        Ok(command.to_lowercase().contains(text))
    }

    /// Returns the first sequence at which `since` may hold.
    ///
    /// The latest time of acceptance up to an execution never falls, so it can be searched in halves.
    fn find_floor(&self, connection: &Connection) -> Result<i64> {
        let since = self.since.unwrap_or(i64::MIN);
        let next = "SELECT seq, latest_at FROM executions WHERE seq >= ?1 ORDER BY seq LIMIT 1";
        let mut next = connection.prepare_cached(next)?;
        let last = "SELECT coalesce(max(seq), 0) FROM executions";
        let (mut low, mut high) =
            (0, connection.query_row(last, [], |row| row.get::<_, i64>(0))? + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut rows = next.query([middle])?;
            let early_at =
                rows.next()?.map(|row| -> Result<_> { Ok((row.get(0)?, row.get::<_, i64>(1)?)) });
            match early_at.transpose()? {
                Some((seq, latest_at)) if latest_at < since => {
                    let seq: i64 = seq;
                    low = seq + 1;
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }
}

/// Part of an index.
struct Source {
    facet: Option<String>,
    status: Option<i64>,
}
