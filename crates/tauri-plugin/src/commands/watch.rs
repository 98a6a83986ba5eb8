use execution_engine::{EventRecord, ExecutionEvent, Uuid};
use futures_util::{Stream, StreamExt, future::ready};
use serde::Deserialize;
use tauri::ipc::{Channel, InvokeResponseBody};
use tauri::{Runtime, State, Webview};

use super::Result;
use crate::builder::Plugin;
use crate::delivery::{Batch, Chunks, Gone, Place, Records, pump};

/// In which form output travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// As text, line by line.
    Lines,
    /// As bytes, as they came: for terminals.
    Chunks,
}

/// What a subscription to several executions is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum About {
    /// Output, too.
    Everything,
    /// Beginnings, changes of status and endings.
    Progress,
}

#[tauri::command]
pub(super) async fn subscribe<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, Plugin>,
    id: Uuid,
    after: Option<u64>,
    form: Form,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let engine = &plugin.engine;
    let after = after.unwrap_or(0);
    Ok(match form {
        Form::Lines => {
            let records = engine.subscribe_from(id, after).await?;
            deliver(&webview, &plugin, records, Records::default(), channel)
        }
        Form::Chunks => {
            let chunks = engine.subscribe_chunks_from(id, after).await?;
            deliver(&webview, &plugin, chunks, Chunks::default(), channel)
        }
    })
}

#[tauri::command]
pub(super) async fn subscribe_all<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, Plugin>,
    about: About,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let all = plugin.engine.subscribe_all().await;
    Ok(watch(&webview, &plugin, all, about, channel))
}

#[tauri::command]
pub(super) async fn subscribe_plan<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, Plugin>,
    id: Uuid,
    about: About,
    channel: Channel<InvokeResponseBody>,
) -> Result<u32> {
    let plan = plugin.engine.subscribe_plan(id).await?;
    Ok(watch(&webview, &plugin, plan, about, channel))
}

/// Delivers what a subscription to several executions is about.
fn watch<R: Runtime>(
    webview: &Webview<R>,
    plugin: &Plugin,
    source: impl Stream<Item = EventRecord> + Send + Unpin + 'static,
    about: About,
    channel: Channel<InvokeResponseBody>,
) -> u32 {
    match about {
        About::Everything => deliver(webview, plugin, source, Records::default(), channel),
        About::Progress => {
            let progress = source.filter(|record| ready(!is_output(&record.event)));
            deliver(webview, plugin, progress, Records::default(), channel)
        }
    }
}

fn is_output(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}

/// The page has read a batch of a subscription.
#[tauri::command]
pub(super) fn confirm<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, Plugin>,
    subscription: u32,
) {
    plugin.subscriptions.confirm(subscription, &place(&webview));
}

#[tauri::command]
pub(super) fn unsubscribe<R: Runtime>(
    webview: Webview<R>,
    plugin: State<'_, Plugin>,
    subscription: u32,
) {
    plugin.subscriptions.close(subscription, &place(&webview));
}

/// How many subscriptions the page has open.
#[tauri::command]
pub(super) fn subscriptions<R: Runtime>(webview: Webview<R>, plugin: State<'_, Plugin>) -> usize {
    plugin.subscriptions.count(&place(&webview))
}

/// Starts the task of a subscription and gives its number.
fn deliver<R: Runtime, B>(
    webview: &Webview<R>,
    plugin: &Plugin,
    source: impl Stream<Item = B::Item> + Send + Unpin + 'static,
    batch: B,
    channel: Channel<InvokeResponseBody>,
) -> u32
where
    B: Batch<Parcel = InvokeResponseBody> + Send + 'static,
    B::Item: Send,
{
    let pace = plugin.pace;
    let ticket = plugin.subscriptions.open(place(webview), pace);
    let number = ticket.number;
    let task = tauri::async_runtime::spawn(async move {
        let send = |parcel| channel.send(parcel).map_err(|_| Gone);
        pump(source, batch, pace, &ticket.credit, send).await;
    });
    plugin.subscriptions.attach(number, task);
    number
}

fn place<R: Runtime>(webview: &Webview<R>) -> Place {
    Place { window: webview.window().label().to_string(), webview: webview.label().to_string() }
}
