//! Question before the app quits while executions run. The page asks it, `ui/quit.ts`. A second
//! request to close is not asked about, so a page that hangs cannot keep the window open.

use std::sync::atomic::{AtomicBool, Ordering};

use tauri::{AppHandle, Builder, Emitter, Listener, Manager, Runtime, WindowEvent};
use tauri_plugin_execution_engine::ExecutionEngineExt;
use tauri_plugin_execution_engine::execution_engine::ExecutionStatus;

/// Event for the page: how many executions run.
const QUESTION: &str = "quit-question";
/// Event of the page: the user keeps them running, or the page is new and asks nothing.
const REFUSED: &str = "quit-refused";

/// Whether the question is open.
#[derive(Default)]
struct Question(AtomicBool);

/// Makes an app ask before its window closes.
pub(crate) fn asking<R: Runtime>(builder: Builder<R>) -> Builder<R> {
    builder
        .manage(Question::default())
        .setup(|app| {
            let handle = app.handle().clone();
            app.listen_any(REFUSED, move |_| {
                handle.state::<Question>().0.store(false, Ordering::Relaxed);
            });
            Ok(())
        })
        .on_window_event(|window, event| {
            if let WindowEvent::CloseRequested { api, .. } = event
                && asks(window, window)
            {
                api.prevent_close();
            }
        })
}

/// Asks before the app exits while it has a window, as the menu of a desktop requests it. Returns `true` if
/// the app must wait for the answer.
pub(crate) fn asks_before_exit<R: Runtime>(app: &AppHandle<R>) -> bool {
    app.webview_windows().values().next().is_some_and(|window| asks(app, window))
}

/// Asks if something runs and it was not asked yet. Returns `true` if the app must wait for the
/// answer.
fn asks<R: Runtime>(app: &impl Manager<R>, page: &impl Emitter<R>) -> bool {
    let running = running(app);
    running > 0
        && !app.state::<Question>().0.swap(true, Ordering::Relaxed)
        && page.emit(QUESTION, running).is_ok()
}

/// Returns the number of executions, or else of plans, that are running or queued.
fn running<R: Runtime>(app: &impl Manager<R>) -> usize {
    let engine = app.execution_engine();
    tauri::async_runtime::block_on(async {
        let is_live =
            |status| matches!(status, ExecutionStatus::Pending | ExecutionStatus::Running);
        let executions = engine.list_executions().await;
        let live = executions.iter().filter(|execution| is_live(execution.status)).count();
        let plans = engine.list_plans().await.iter().filter(|plan| is_live(plan.status)).count();
        if live == 0 { plans } else { live }
    })
}
