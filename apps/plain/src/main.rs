//! App whose page has no bundler: it uses the plugin as `window.__TAURI__.executionEngine`, and runs
//! a sidecar and a script of its own, in the environment of the user's login shell.

use tauri_plugin_execution_engine::Builder;

fn main() -> tauri::Result<()> {
    tauri::Builder::default()
        .plugin(Builder::new().login_environment().build())
        .run(tauri::generate_context!())
}
