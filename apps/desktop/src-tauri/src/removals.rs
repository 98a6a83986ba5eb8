//! Removals that can still be undone. The page hides what is removed, and removes it some seconds later,
//! `ui/removals.ts`. If the app ends before, or the page is loaded anew, this removes it.

use std::mem;
use std::sync::{Mutex, PoisonError};

use tauri::webview::PageLoadEvent;
use tauri::{Builder, Manager, Runtime, State};
use tauri_plugin_execution_engine::ExecutionEngineExt;
use tauri_plugin_execution_engine::execution_engine::Uuid;

/// Executions and plans that the page hides.
#[derive(Default)]
pub(crate) struct Hidden(Mutex<Vec<Uuid>>);

/// Notes which executions and plans to remove when the app ends, in place of those that were noted before.
#[tauri::command]
pub(crate) fn remove_at_exit(hidden: State<'_, Hidden>, ids: Vec<Uuid>) {
    *hidden.0.lock().unwrap_or_else(PoisonError::into_inner) = ids;
}

/// Makes an app finish removals when its page is loaded anew.
pub(crate) fn finishing<R: Runtime>(builder: Builder<R>) -> Builder<R> {
    builder.manage(Hidden::default()).on_page_load(|webview, page| {
        if page.event() == PageLoadEvent::Started {
            finish(webview);
        }
    })
}

/// Removes what the page hides, from the engine and the history.
pub(crate) fn finish<R: Runtime>(app: &impl Manager<R>) {
    let hidden = app.state::<Hidden>();
    let ids = mem::take(&mut *hidden.0.lock().unwrap_or_else(PoisonError::into_inner));
    let engine = app.execution_engine();
    tauri::async_runtime::block_on(async {
        for id in ids {
            if engine.remove_execution(id).await.is_err() {
                // It may be a plan of this start of the app. What is not there any more, or is a plan of an earlier
                // start, of which the history has the steps alone, is no error; and no page is left to be told
                // of another one.
                let _removed = engine.remove_plan(id).await;
            }
        }
    });
}
