//! Commands that stream output and events to a page, and end such a stream.

use std::sync::Arc;

use execution_engine::{EventRecord, ExecutionEvent, Uuid};
use futures_util::{Stream, StreamExt, future::ready};
use serde::Deserialize;
use tauri::State;
use tauri::ipc::{Channel, InvokeResponseBody};

use super::Result;
use crate::builder::PluginState;
use crate::owners::PageId;
use crate::streaming::{Batch, ChunkBatch, RecordBatch, WindowClosed, forward};
use crate::visible::{Visible, visible_records};

/// Format of output in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputFormat {
    /// Text, line by line.
    Lines,
    /// Bytes as they were read, for terminals.
    Chunks,
}

/// Events of a subscription to several executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventFilter {
    /// All events, output included.
    Everything,
    /// All events but output: starts, status changes and endings.
    Progress,
}

#[tauri::command]
pub(super) async fn subscribe(
    page: PageId,
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    after: Option<u64>,
    format: OutputFormat,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    visible.execution(&plugin.owners, id).await?;
    let engine = &plugin.engine;
    let after = after.unwrap_or(0);
    Ok(match format {
        OutputFormat::Lines => {
            let records = engine.subscribe_from(id, after).await?;
            open(page, &plugin, records, RecordBatch::default(), channel)
        }
        OutputFormat::Chunks => {
            let chunks = engine.subscribe_chunks_from(id, after).await?;
            open(page, &plugin, chunks, ChunkBatch::default(), channel)
        }
    })
}

#[tauri::command]
pub(super) async fn subscribe_all(
    page: PageId,
    plugin: State<'_, PluginState>,
    visible: Visible,
    filter: EventFilter,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let all = plugin.engine.subscribe_all().await;
    let all = visible_records(all, visible, Arc::clone(&plugin.owners), &plugin.engine);
    Ok(open_filtered(page, &plugin, all, filter, channel))
}

#[tauri::command]
pub(super) async fn subscribe_plan(
    page: PageId,
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    filter: EventFilter,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    visible.plan(&plugin.owners, id).await?;
    let plan = plugin.engine.subscribe_plan(id).await?;
    Ok(open_filtered(page, &plugin, plan, filter, channel))
}

/// Opens a subscription to the events that pass the filter.
fn open_filtered(
    page: PageId,
    plugin: &PluginState,
    source: impl Stream<Item = EventRecord> + Send + Unpin + 'static,
    filter: EventFilter,
    channel: Channel<InvokeResponseBody>,
) -> u32 {
    match filter {
        EventFilter::Everything => open(page, plugin, source, RecordBatch::default(), channel),
        EventFilter::Progress => {
            let progress = source.filter(|record| ready(!is_output(&record.event)));
            open(page, plugin, progress, RecordBatch::default(), channel)
        }
    }
}

fn is_output(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}

/// Acknowledges a batch that the page has read.
#[tauri::command]
pub(super) fn ack(page: PageId, plugin: State<'_, PluginState>, subscription: u32) {
    plugin.subscriptions.ack(subscription, &page);
}

#[tauri::command]
pub(super) fn unsubscribe(page: PageId, plugin: State<'_, PluginState>, subscription: u32) {
    plugin.subscriptions.close(subscription, &page);
}

/// Returns the number of open subscriptions of the page.
#[tauri::command]
pub(super) fn subscriptions(page: PageId, plugin: State<'_, PluginState>) -> usize {
    plugin.subscriptions.count(&page)
}

/// Starts the task of a subscription and returns the id of the subscription.
fn open<B>(
    page: PageId,
    plugin: &PluginState,
    source: impl Stream<Item = B::Item> + Send + Unpin + 'static,
    batch: B,
    channel: Channel<InvokeResponseBody>,
) -> u32
where
    B: Batch<Message = InvokeResponseBody> + Send + 'static,
    B::Item: Send,
{
    let flow = plugin.flow;
    let guard = plugin.subscriptions.open(page, flow);
    let id = guard.id;
    let task = tauri::async_runtime::spawn(async move {
        let send = |message| channel.send(message).map_err(|_| WindowClosed);
        forward(source, batch, flow, &guard.credit, send).await;
    });
    plugin.subscriptions.attach(id, task);
    id
}
