//! Commands about what was run before: in this session, and in those before it.

use execution_engine::{HistoryPage, HistoryQuery};
use serde_json::Value;
use tauri::State;

use super::{Result, read_or_default};
use crate::builder::PluginState;
use crate::history::{HistoryState, owner_of};
use crate::visible::Visible;

/// Returns a page of the history: of what the window may see, the one that was accepted last first.
#[tauri::command]
pub(super) async fn list_history(
    plugin: State<'_, PluginState>,
    visible: Visible,
    query: Option<Value>,
) -> Result<HistoryPage> {
    let query: HistoryQuery = read_or_default("query", query)?;
    visible_page(&plugin, &visible, query).await
}

/// Reads on until a page has something to show, or there is no more.
async fn visible_page(
    plugin: &PluginState,
    visible: &Visible,
    mut query: HistoryQuery,
) -> Result<HistoryPage> {
    loop {
        let mut page = plugin.engine.list_history(query.clone()).await?;
        page.entries.retain(|entry| visible.includes_those_of(owner_of(entry).as_ref()));
        if !page.entries.is_empty() || page.next.is_none() {
            return Ok(page);
        }
        query.cursor = page.next;
    }
}

/// Says whether executions are kept for the next start of the app.
#[tauri::command]
pub(super) fn history_state(plugin: State<'_, PluginState>) -> HistoryState {
    let reason = plugin.history_refused.clone();
    let Some(status) = plugin.engine.history_status() else {
        return HistoryState { reason, ..HistoryState::default() };
    };
    HistoryState {
        kept: true,
        reason,
        waiting: status.waiting,
        failed: status.failed,
        last_error: status.last_error,
    }
}
