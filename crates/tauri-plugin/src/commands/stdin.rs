use execution_engine::Uuid;
use tauri::State;
use tauri::ipc::{InvokeBody, Request};

use super::Result;
use crate::builder::Plugin;
use crate::error::Error;

/// The name of the header that says whose standard input is meant; the body is the bytes.
const EXECUTION: &str = "execution-id";

#[tauri::command]
pub(super) async fn write_stdin(plugin: State<'_, Plugin>, request: Request<'_>) -> Result<usize> {
    let malformed = |place: &str| Error::Malformed { place: place.to_string() };
    let id = request.headers().get(EXECUTION).and_then(|value| value.to_str().ok());
    let id: Uuid = id.and_then(|id| id.parse().ok()).ok_or_else(|| malformed(EXECUTION))?;
    let bytes = match request.body() {
        InvokeBody::Raw(bytes) => bytes.clone(),
        // Where Tauri has no other way than JSON, bytes come as a list of numbers.
        InvokeBody::Json(value) => {
            serde_json::from_value(value.clone()).map_err(|_| malformed("body"))?
        }
    };
    Ok(plugin.engine.write_stdin(id, bytes).await?)
}

#[tauri::command]
pub(super) async fn close_stdin(plugin: State<'_, Plugin>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.close_stdin(id).await?)
}
