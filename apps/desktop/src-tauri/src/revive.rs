//! Loads the page again when the process that draws it has died. What runs goes on meanwhile, and the new
//! page shows it. On macOS Tauri does this by itself, and on Windows the window tells of it.

use tauri::plugin::{Builder, TauriPlugin};
use tauri::{Runtime, Webview};

/// Returns a plugin that watches each page of an app.
pub(crate) fn plugin<R: Runtime>() -> TauriPlugin<R> {
    Builder::new("revive").on_webview_ready(|webview| watch(&webview)).build()
}

#[cfg(target_os = "linux")]
fn watch<R: Runtime>(webview: &Webview<R>) {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use webkit2gtk::WebViewExt as _;

    /// A page that dies again sooner is left as it is: it would die for ever.
    const SHORTEST_LIFE: Duration = Duration::from_secs(10);

    let watching = webview.with_webview(|page| {
        let last = Cell::new(None::<Instant>);
        page.inner().connect_web_process_terminated(move |page, reason| {
            let before = last.replace(Some(Instant::now()));
            let is_loaded = before.is_none_or(|before| before.elapsed() > SHORTEST_LIFE);
            let then = if is_loaded { "it is loaded again" } else { "it has ended before" };
            eprintln!("the process that draws the page has ended ({reason:?}); {then}");
            if is_loaded {
                page.reload();
            }
        });
    });
    if let Err(error) = watching {
        eprintln!("a page whose process dies is not loaded again: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn watch<R: Runtime>(_: &Webview<R>) {}
