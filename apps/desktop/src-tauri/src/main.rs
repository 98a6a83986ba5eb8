//! Starts the app.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() -> tauri::Result<()> {
    let plugin = execution_desktop::plugin().history(execution_desktop::history_limits());
    execution_desktop::app(tauri::Builder::default(), plugin)
        .build(execution_desktop::context())?
        .run(|app, event| execution_desktop::on_run_event(app, &event));
    Ok(())
}
