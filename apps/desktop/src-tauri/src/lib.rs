//! Desktop app that runs commands and shows their progress. It consists of the plugin, a page, and a
//! command that saves output; `capabilities/main.json` has the rules for what the page may run.

mod quit;
mod save;

use std::time::Duration;

use tauri::{Context, Runtime};
use tauri_plugin_execution_engine::Builder;
use tauri_plugin_execution_engine::execution_engine::ExecutionConfig;

pub use quit::on_run_event;

/// Output to keep of each stream: enough to show half a million lines again.
const MAX_OUTPUT_BYTES: usize = 48 * 1024 * 1024;
/// Number of ended executions to remember. Together with the limit above it bounds the memory.
const MAX_EXECUTIONS: usize = 50;

/// Tag of executions that are not kept in a history.
const PRIVATE: &str = "private";

/// Returns the plugin with the settings of this app, without a history.
pub fn plugin() -> Builder {
    let config = ExecutionConfig {
        max_output_size_bytes: MAX_OUTPUT_BYTES,
        max_in_memory_executions: MAX_EXECUTIONS,
        max_timeout_ms: u64::MAX,
        execution_retention_secs: u64::MAX,
        ..ExecutionConfig::default()
    };
    Builder::new()
        .config(config)
        .exit_grace(Duration::from_secs(2))
        .keep_in_history(|entry| !entry.request.metadata.tags.iter().any(|tag| tag == PRIVATE))
}

/// Makes an app with this plugin.
pub fn app<R: Runtime>(builder: tauri::Builder<R>, plugin: Builder) -> tauri::Builder<R> {
    quit::asking(builder.plugin(plugin.build()))
        .invoke_handler(tauri::generate_handler![save::save_output])
}

/// Returns the page, the settings and the capabilities that were built in.
pub fn context<R: Runtime>() -> Context<R> {
    tauri::generate_context!()
}
