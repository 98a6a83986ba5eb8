//! Desktop app that runs commands and shows their progress. It consists of the plugin, a page, and a
//! command that saves output; `capabilities/main.json` has the rules for what the page may run.

mod quit;
mod removals;
mod revive;
mod save;

use std::time::Duration;

use tauri::{AppHandle, Context, RunEvent, Runtime};
use tauri_plugin_execution_engine::execution_engine::ExecutionConfig;
use tauri_plugin_execution_engine::{Builder, StoreConfig};

/// Output to keep of each stream: enough to show half a million lines again.
const MAX_OUTPUT_BYTES: usize = 48 * 1024 * 1024;
/// Number of ended executions to remember. Together with the limit above it bounds the memory.
const MAX_EXECUTIONS: usize = 50;

/// How long runs are kept in the history.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Number of runs that are kept in the history.
const MAX_RUNS: u64 = 1000;
/// Bytes of the history on the disk.
const MAX_BYTES: u64 = 1 << 30;

/// Tag of executions that are not kept in a history, also in `ui/typed.ts`.
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

/// Returns how much the history keeps.
pub fn history_limits() -> StoreConfig {
    StoreConfig {
        max_age: MAX_AGE,
        max_count: MAX_RUNS,
        max_bytes: MAX_BYTES,
        ..StoreConfig::default()
    }
}

/// Makes an app with this plugin.
pub fn app<R: Runtime>(builder: tauri::Builder<R>, plugin: Builder) -> tauri::Builder<R> {
    let builder = builder.plugin(plugin.build()).plugin(revive::plugin());
    removals::finishing(quit::asking(builder))
        .invoke_handler(tauri::generate_handler![save::save_output, removals::remove_at_exit])
}

/// Asks before the app exits while something runs, and does at its end what the page has not done.
pub fn on_run_event<R: Runtime>(app: &AppHandle<R>, event: &RunEvent) {
    match event {
        RunEvent::ExitRequested { api, .. } if quit::asks_before_exit(app) => api.prevent_exit(),
        RunEvent::Exit => removals::finish(app),
        _ => {}
    }
}

/// Returns the page, the settings and the capabilities that were built in.
pub fn context<R: Runtime>() -> Context<R> {
    tauri::generate_context!()
}
