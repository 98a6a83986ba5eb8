//! The history of an app: with each execution it has the window that it belongs to, so that this
//! window finds it again after a restart of the app.

use std::io;
use std::path::Path;
use std::sync::Arc;

use execution_engine::{
    ExecutionMetadata, History, HistoryEntry, HistoryOutput, HistoryPage, HistoryPart,
    HistoryQuery, OutputCursor, OutputSink, Uuid,
};
use serde::{Deserialize, Serialize};

use crate::owners::{Owners, PageId};

/// Labels of an entry that name its owner. A page that uses them itself is not believed.
const WINDOW: &str = "tauri.window";
const WEBVIEW: &str = "tauri.webview";

/// Opens a history in a directory.
pub(crate) type OpenHistory = Box<dyn FnOnce(&Path) -> io::Result<Arc<dyn History>> + Send>;
/// Says whether an execution is stored.
pub(crate) type KeepInHistory = Box<dyn Fn(&HistoryEntry) -> bool + Send + Sync>;

/// Whether executions are kept for the next start of the app.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryState {
    /// There is a history.
    pub(crate) kept: bool,
    /// Why it could not be opened.
    pub(crate) reason: Option<String>,
    /// Calls that wait to be made.
    pub(crate) waiting: usize,
    /// Calls that have failed. What they were to store is not kept.
    pub(crate) failed: u64,
    /// Why the last one has failed.
    pub(crate) last_error: Option<String>,
}

/// A history that notes the owners of what it stores.
pub(crate) struct OwnedHistory {
    pub(crate) history: Arc<dyn History>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) keep: Option<KeepInHistory>,
}

impl OwnedHistory {
    fn is_kept(&self, entry: &HistoryEntry) -> bool {
        self.keep.as_ref().is_none_or(|keep| keep(entry))
    }

    fn with_owner(&self, entry: &HistoryEntry) -> HistoryEntry {
        let mut entry = entry.clone();
        let owner = self.owners.claimed_by(entry.id());
        for metadata in [&mut entry.summary.metadata, &mut entry.request.metadata] {
            set_owner(metadata, owner.as_deref());
        }
        entry
    }
}

impl History for OwnedHistory {
    fn accepted(&self, entry: &HistoryEntry) -> io::Result<()> {
        if self.is_kept(entry) { self.history.accepted(&self.with_owner(entry)) } else { Ok(()) }
    }

    fn ended(&self, entry: &HistoryEntry, output: &HistoryOutput) -> io::Result<()> {
        if self.is_kept(entry) {
            self.history.ended(&self.with_owner(entry), output)
        } else {
            Ok(())
        }
    }

    fn live_output(&self, entry: &HistoryEntry) -> Option<Arc<dyn OutputSink>> {
        if self.is_kept(entry) { self.history.live_output(entry) } else { None }
    }

    fn remove(&self, id: Uuid) -> io::Result<bool> {
        self.history.remove(id)
    }

    fn get(&self, id: Uuid) -> io::Result<Option<HistoryEntry>> {
        self.history.get(id)
    }

    fn output(&self, id: Uuid) -> io::Result<Option<HistoryOutput>> {
        self.history.output(id)
    }

    fn output_part(
        &self,
        id: Uuid,
        after: OutputCursor,
        max_bytes: usize,
    ) -> io::Result<Option<HistoryPart>> {
        self.history.output_part(id, after, max_bytes)
    }

    fn list(&self, query: &HistoryQuery) -> io::Result<HistoryPage> {
        self.history.list(query)
    }

    fn flush(&self) -> io::Result<()> {
        self.history.flush()
    }
}

fn set_owner(metadata: &mut ExecutionMetadata, owner: Option<&PageId>) {
    for (label, value) in
        [(WINDOW, owner.map(|page| &page.window)), (WEBVIEW, owner.map(|page| &page.webview))]
    {
        match value {
            Some(value) => metadata.labels.insert(label.to_string(), value.clone()),
            None => metadata.labels.remove(label),
        };
    }
}

/// Returns whom an entry belongs to; None is the app.
pub(crate) fn owner_of(entry: &HistoryEntry) -> Option<PageId> {
    let labels = &entry.summary.metadata.labels;
    Some(PageId { window: labels.get(WINDOW)?.clone(), webview: labels.get(WEBVIEW)?.clone() })
}

#[cfg(test)]
mod tests;
