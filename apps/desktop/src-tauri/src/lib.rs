//! A desktop app that runs commands and shows what they do. All of it is the plugin and a page:
//! what the page may run stands in `capabilities/main.json`.

use std::time::Duration;

use tauri::{Context, Runtime};
use tauri_plugin_execution_engine::Builder;
use tauri_plugin_execution_engine::execution_engine::ExecutionConfig;

/// Output kept of each stream, so that all of half a million lines can be shown again.
const KEPT_BYTES: usize = 48 * 1024 * 1024;
/// Ended executions that are remembered. Together with the line above it bounds what the app needs.
const REMEMBERED: usize = 50;

/// The app on this builder: the plugin with the settings of this app.
pub fn app<R: Runtime>(builder: tauri::Builder<R>) -> tauri::Builder<R> {
    let config = ExecutionConfig {
        max_output_size_bytes: KEPT_BYTES,
        max_in_memory_executions: REMEMBERED,
        max_timeout_ms: u64::MAX,
        execution_retention_secs: u64::MAX,
        ..ExecutionConfig::default()
    };
    builder.plugin(Builder::new().config(config).exit_grace(Duration::from_secs(2)).build())
}

/// The page, the settings and the capabilities that were built in.
pub fn context<R: Runtime>() -> Context<R> {
    tauri::generate_context!()
}
