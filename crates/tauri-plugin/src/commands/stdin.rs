//! Commands about the standard input of an execution.

use execution_engine::Uuid;
use tauri::State;
use tauri::ipc::{InvokeBody, Request};

use super::Result;
use crate::builder::PluginState;
use crate::error::Error;
use crate::visible::Visible;

/// Header with the id of the execution. The body is taken by the bytes, which as a JSON argument
/// would be a list of numbers.
const EXECUTION_ID: &str = "execution-id";

#[tauri::command]
pub(super) async fn write_stdin(
    plugin: State<'_, PluginState>,
    visible: Visible,
    request: Request<'_>,
) -> Result<usize> {
    let malformed = |path: &str| Error::Malformed { path: path.to_string() };
    let id = request.headers().get(EXECUTION_ID).and_then(|value| value.to_str().ok());
    let id: Uuid = id.and_then(|id| id.parse().ok()).ok_or_else(|| malformed(EXECUTION_ID))?;
    visible.execution(&plugin.owners, id).await?;
    let bytes = match request.body() {
        InvokeBody::Raw(bytes) => bytes.clone(),
        // Where the webview cannot post bytes, Tauri sends them as a JSON list of numbers.
        InvokeBody::Json(value) => {
            serde_json::from_value(value.clone()).map_err(|_| malformed("body"))?
        }
    };
    Ok(plugin.engine.write_stdin(id, bytes).await?)
}

#[tauri::command]
pub(super) async fn close_stdin(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<()> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.close_stdin(id).await?)
}
