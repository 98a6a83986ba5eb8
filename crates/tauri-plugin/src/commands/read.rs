//! Commands that read parts of an output, and search in it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use execution_engine::{ExecutionEngine, OutputQuery, Uuid};
use serde_json::Value;
use tauri::State;
use tauri::ipc::Response;

use super::{Result, read, read_or_default};
use crate::builder::PluginState;
use crate::error::Error;
use crate::output::{
    EnginePages, LinesQuery, OutputMatches, SearchQuery, page_frame, read_lines as lines_of, search,
};
use crate::visible::Visible;

/// Returns a page of the output as a binary frame.
#[tauri::command]
pub(super) async fn read_output(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    query: Option<Value>,
) -> Result<Response> {
    visible.execution(&plugin.owners, id).await?;
    let query: OutputQuery = read_or_default("query", query)?;
    Ok(Response::new(page_frame(&plugin.engine.read_output(id, query).await?)))
}

/// Returns a range of lines as a binary frame.
#[tauri::command]
pub(super) async fn read_lines(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    query: Option<Value>,
) -> Result<Response> {
    visible.execution(&plugin.owners, id).await?;
    let query: LinesQuery = read_or_default("query", query)?;
    if let (Some(cursor), 1..) = (query.after, query.wait_ms) {
        let longest = Duration::from_millis(query.wait_ms);
        let first = OutputQuery::after(cursor).max_bytes(1).wait(longest);
        plugin.engine.read_output(id, first).await?;
    }
    let index = plugin.indexes.of(id);
    let lines = on_own_thread(&plugin, move |engine| {
        let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
        lines_of(&mut index, &EnginePages { engine, id }, &query)
    });
    Ok(Response::new(lines.await?.into_frame()))
}

/// Searches the whole output, for some seconds at most.
#[tauri::command]
pub(super) async fn search_output(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    query: Value,
) -> Result<OutputMatches> {
    visible.execution(&plugin.owners, id).await?;
    let query: SearchQuery = read("query", query)?;
    // Searches wait for each other, so that other calls find a processor and a thread. It is never
    // closed.
    let _turn = plugin.searches.acquire().await;
    on_own_thread(&plugin, move |engine| search(&EnginePages { engine, id }, &query)).await
}

/// Does work that may take long on a thread that may block, so that other calls are not delayed.
async fn on_own_thread<T: Send + 'static>(
    plugin: &PluginState,
    work: impl FnOnce(&ExecutionEngine) -> Result<T> + Send + 'static,
) -> Result<T> {
    let engine = Arc::clone(&plugin.engine);
    let done = tauri::async_runtime::spawn_blocking(move || work(&engine)).await;
    done.unwrap_or_else(|error| Err(Error::ReaderFailed { reason: error.to_string() }))
}
