//! Commands that stream output and events to a page, and end such a stream.

use execution_engine::{EventRecord, ExecutionEvent, Uuid};
use futures_util::{Stream, StreamExt, future::ready};
use serde::Deserialize;
use tauri::ipc::{Channel, InvokeResponseBody};
use tauri::{Runtime, State, Webview};

use super::Result;
use crate::builder::PluginState;
use crate::streaming::{Batch, ChunkBatch, PageId, RecordBatch, WindowClosed, forward};

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
pub(super) async fn subscribe<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, PluginState>,
    id: Uuid,
    after: Option<u64>,
    format: OutputFormat,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let engine = &plugin.engine;
    let after = after.unwrap_or(0);
    Ok(match format {
        OutputFormat::Lines => {
            let records = engine.subscribe_from(id, after).await?;
            open(&webview, &plugin, records, RecordBatch::default(), channel)
        }
        OutputFormat::Chunks => {
            let chunks = engine.subscribe_chunks_from(id, after).await?;
            open(&webview, &plugin, chunks, ChunkBatch::default(), channel)
        }
    })
}

#[tauri::command]
pub(super) async fn subscribe_all<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, PluginState>,
    filter: EventFilter,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let all = plugin.engine.subscribe_all().await;
    Ok(open_filtered(&webview, &plugin, all, filter, channel))
}

#[tauri::command]
pub(super) async fn subscribe_plan<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, PluginState>,
    id: Uuid,
    filter: EventFilter,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let plan = plugin.engine.subscribe_plan(id).await?;
    Ok(open_filtered(&webview, &plugin, plan, filter, channel))
}

/// Opens a subscription to the events that pass the filter.
fn open_filtered<R: Runtime>(
    webview: &Webview<R>,
    plugin: &PluginState,
    source: impl Stream<Item = EventRecord> + Send + Unpin + 'static,
    filter: EventFilter,
    channel: Channel<InvokeResponseBody>,
) -> u32 {
    match filter {
        EventFilter::Everything => open(webview, plugin, source, RecordBatch::default(), channel),
        EventFilter::Progress => {
            let progress = source.filter(|record| ready(!is_output(&record.event)));
            open(webview, plugin, progress, RecordBatch::default(), channel)
        }
    }
}

fn is_output(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}

/// Acknowledges a batch that the page has read.
#[tauri::command]
pub(super) fn ack<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, PluginState>,
    subscription: u32,
) {
    plugin.subscriptions.ack(subscription, &page_id(&webview));
}

#[tauri::command]
pub(super) fn unsubscribe<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, PluginState>,
    subscription: u32,
) {
    plugin.subscriptions.close(subscription, &page_id(&webview));
}

/// Returns the number of open subscriptions of the page.
#[tauri::command]
pub(super) fn subscriptions<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, PluginState>,
) -> usize {
    plugin.subscriptions.count(&page_id(&webview))
}

/// Starts the task of a subscription and returns the id of the subscription.
fn open<R: Runtime, B>(
    webview: &Webview<R>,
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
    let guard = plugin.subscriptions.open(page_id(webview), flow);
    let id = guard.id;
    let task = tauri::async_runtime::spawn(async move {
        let send = |message| channel.send(message).map_err(|_| WindowClosed);
        forward(source, batch, flow, &guard.credit, send).await;
    });
    plugin.subscriptions.attach(id, task);
    id
}

fn page_id<R: Runtime>(webview: &Webview<R>) -> PageId {
    PageId { window: webview.window().label().to_string(), webview: webview.label().to_string() }
}
