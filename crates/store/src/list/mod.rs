//! Search: which executions, newest first, page by page.

mod scan;

use chrono::{DateTime, Utc};
use execution_engine::ExecutionStatus;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::execution::StoredExecution;
use crate::read::load_all;
use crate::store::Store;
use scan::Search;

/// Most executions on one page.
pub(crate) const MAX_LIMIT: usize = 1000;

/// What to search for. All conditions have to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Any of these; empty for all.
    pub status: Vec<ExecutionStatus>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// All of these labels, with their values.
    pub labels: Vec<(String, String)>,
    /// This group.
    pub group: Option<String>,
    /// Steps of this plan.
    pub plan: Option<Uuid>,
    /// Runs of this schedule.
    pub schedule: Option<Uuid>,
    /// Accepted at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Accepted before this time.
    pub until: Option<DateTime<Utc>>,
    /// Text somewhere in the command; upper and lower case are the same.
    pub text: Option<String>,
    /// Most executions on the page: 100 unless said otherwise, at most 1000.
    pub limit: usize,
    /// [`Page::next`] of the page before; None for the first page.
    pub cursor: Option<String>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            status: Vec::new(),
            tags: Vec::new(),
            labels: Vec::new(),
            group: None,
            plan: None,
            schedule: None,
            since: None,
            until: None,
            text: None,
            limit: 100,
            cursor: None,
        }
    }
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The executions, the one that was accepted last first.
    pub items: Vec<StoredExecution>,
    /// Cursor of the next page; None if there is none.
    pub next: Option<String>,
}

impl Store {
    /// Searches for executions, newest first in the order of acceptance, whatever the clock did.
    ///
    /// A cursor stays valid, also over a restart: the pages together have each execution once that was there from
    /// the first page to the last, and none that was accepted after the first page.
    ///
    /// With a tag, a label, a group or a status the time does not depend on how much is stored. A text, a time
    /// and several words at once are looked up among those, piece by piece, so that others can read meanwhile.
    ///
    /// # Errors
    ///
    /// [`Query`](StoreError::Query) names the field that is not valid.
    pub async fn list(&self, query: Query) -> Result<Page> {
        let mut search = Search::new(query)?;
        loop {
            let (back, page) = self.read(move |connection| search.step(connection)).await?;
            match page {
                Some(page) => return Ok(page),
                None => search = back,
            }
        }
    }

    /// Searches as [`list`](Self::list) does, and blocks until then.
    pub(crate) fn list_blocking(&self, query: Query) -> Result<Page> {
        let mut search = Search::new(query)?;
        loop {
            let (back, page) = self.read_blocking(move |connection| search.step(connection))?;
            match page {
                Some(page) => return Ok(page),
                None => search = back,
            }
        }
    }
}

/// Returns the cursor behind an execution.
pub(crate) fn cursor_of(seq: i64) -> String {
    format!("1-{seq:x}")
}

/// Returns the sequence that a cursor stands for.
pub(crate) fn seq_of(cursor: &str) -> Result<i64> {
    let seq = cursor.strip_prefix("1-").and_then(|seq| i64::from_str_radix(seq, 16).ok());
    seq.filter(|seq| *seq > 0).ok_or_else(|| StoreError::Query {
        field: "cursor",
        what: format!(
            "{cursor:?} is not one that a page had as `next`; leave it out for the first page"
        ),
    })
}
