//! Runs an app in a window and drives it through a WebDriver. Needs a display (`xvfb-run`),
//! `tauri-driver`, `WebKitWebDriver` and the built apps; see `apps/desktop/test`.
//!
//! Tests wait for what the window shows, with a generous deadline.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "each test binary uses a part of it; helpers of tests may start processes directly"
)]

mod driver;
pub mod processes;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driver::Driver;
pub use driver::in_window;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use processes::{Processes, until_exited};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Longer than any step takes on a very busy machine.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// The Enter key; a newline is not typed.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const TAB: &str = "\u{e004}";
pub const UP: &str = "\u{e013}";
pub const DOWN: &str = "\u{e015}";
pub const RIGHT: &str = "\u{e014}";
pub const DELETE: &str = "\u{e017}";
pub const F1: &str = "\u{e031}";
pub const F6: &str = "\u{e036}";
/// Variable with the directory in which WebKit keeps what pages store.
const DATA: &str = "XDG_DATA_HOME";
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// An app with a window.
pub struct App {
    pub page: Client,
    driver: Driver,
    /// Data directory that is removed with it, unless the test gave one.
    _data: Option<TempDir>,
}

impl App {
    /// Starts the desktop app without earlier runs and waits until it is ready.
    pub async fn open() -> Self {
        let data = TempDir::new().unwrap();
        let app = Self::open_in(data.path()).await;
        Self { _data: Some(data), ..app }
    }

    /// Starts the desktop app with a data directory and waits until it is ready.
    pub async fn open_in(data: &Path) -> Self {
        let app = Self::launch_program(&built("execution-desktop"), &[(DATA, data)]).await;
        app.element("#line").await;
        app
    }

    /// Starts an app of this workspace.
    pub async fn launch(name: &str) -> Self {
        let data = TempDir::new().unwrap();
        let app = Self::launch_program(&built(name), &[(DATA, data.path())]).await;
        Self { _data: Some(data), ..app }
    }

    /// Starts an app with these environment variables. Like one that was started from a menu it has
    /// no terminal.
    pub async fn launch_program(program: &Path, env: &[(&str, &Path)]) -> Self {
        let mut driver = Driver::start(env).await;
        let mut capabilities = Map::new();
        capabilities.insert("browserName".into(), json!("wry"));
        capabilities.insert("tauri:options".into(), json!({ "application": program }));
        let http = hyper_util::client::legacy::connect::HttpConnector::new();
        let page = ClientBuilder::new(http)
            .capabilities(capabilities)
            .connect(&driver.url())
            .await
            .expect("a session with the app");
        driver.begin(page.session_id().await.unwrap().expect("it has an id"));
        Self { page, driver, _data: None }
    }

    /// Waits for an element.
    pub async fn element(&self, css: &str) -> Element {
        self.retry(&format!("the element {css}"), async || self.page.find(Locator::Css(css)).await)
            .await
    }

    /// Repeats a query until it is answered. It must not change anything. There are two drivers
    /// between the test and the page, and either may fail a call once in some hundred, which says
    /// nothing about the app.
    async fn retry<T>(&self, what: &str, mut query: impl AsyncFnMut() -> Result<T, CmdError>) -> T {
        let start = Instant::now();
        loop {
            let error = match tokio::time::timeout(DEADLINE, query()).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(error)) => error,
                // A driver may wait for ever for a session that it has lost.
                Err(_) => panic!("{what}: the driver gives no answer; {}", self.processes()),
            };
            // A session that is lost does not come back.
            let is_final = error.is_javascript_error()
                || error.is_invalid_session_id()
                || start.elapsed() > DEADLINE;
            assert!(!is_final, "{what}: {}; {}", told(&error), self.processes());
            if !error.is_no_such_element() {
                println!("retrying {what}: {}", told(&error));
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Clicks an element.
    pub async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    /// Clicks an element that closes the window. The answer is ignored, because it may come too late.
    pub async fn click_to_leave(&self, css: &str) {
        let _answer = self.element(css).await.click().await;
    }

    /// Replaces the text of a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses a key together with Ctrl in the focused element. The answer is ignored, because the
    /// key may close the window.
    pub async fn ctrl(&self, key: &str) {
        let focused = self.page.active_element().await.unwrap();
        let keys = format!("{}{key}{}", char::from(Key::Control), char::from(Key::Null));
        let _answer = focused.send_keys(&keys).await;
    }

    /// Inserts text where the caret is in a field, like a paste.
    pub async fn paste(&self, css: &str, text: &str) {
        let script = "document.querySelector(arguments[0]).focus();
            document.execCommand('insertText', false, arguments[1])";
        // Not repeated, because it would insert the text again.
        self.page.execute(script, vec![json!(css), json!(text)]).await.unwrap();
    }

    /// Presses keys in the focused element.
    pub async fn keys(&self, keys: &str) {
        self.page.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Returns the content of a field.
    pub async fn value(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0]).value";
        self.js(script, &[json!(css)]).await.as_str().unwrap().to_string()
    }

    /// Returns the id of the focused element; empty if it has none.
    pub async fn focused(&self) -> String {
        self.js("return document.activeElement.id", &[]).await.as_str().unwrap().to_string()
    }

    /// Waits until an element is displayed.
    pub async fn displayed(&self, css: &str, wanted: bool) {
        until(&format!("{css} is displayed: {wanted}"), async || {
            self.element(css).await.is_displayed().await.unwrap() == wanted
        })
        .await;
    }

    /// Waits until an element is gone.
    pub async fn gone(&self, css: &str) {
        let script = "return document.querySelector(arguments[0]) === null";
        until(&format!("{css} is gone"), async || {
            self.js(script, &[json!(css)]).await == json!(true)
        })
        .await;
    }

    /// Returns the text of an element.
    pub async fn text(&self, css: &str) -> String {
        // Found and read in one query: the page may replace the element in between.
        self.retry(&format!("the text of {css}"), async || {
            self.page.find(Locator::Css(css)).await?.text().await
        })
        .await
    }

    /// Waits until the text of an element contains this: the page is drawn after the click that changes it.
    pub async fn has_text(&self, css: &str, wanted: &str) {
        until(&format!("{css} says {wanted:?}"), async || self.text(css).await.contains(wanted))
            .await;
    }

    /// Enters a line of this kind in the run bar and runs it.
    pub async fn run(&self, kind: &str, line: &str) {
        self.click(&format!("[data-kind={kind}]")).await;
        self.fill("#line", line).await;
        self.click("#run").await;
    }

    /// Like [`run`](Self::run), but waits until the new execution is shown.
    pub async fn start(&self, kind: &str, line: &str) {
        let before = self.js("return app.store.selected ?? null", &[]).await;
        self.run(kind, line).await;
        until("the new execution is shown", async || {
            self.js("return app.store.selected ?? null", &[]).await != before
        })
        .await;
    }

    /// Waits until the selected execution has this status.
    pub async fn status(&self, wanted: &str) {
        until(&format!("status {wanted}"), async || self.text("#chip").await == wanted).await;
    }

    /// Returns the number of lines of the whole output that is shown.
    pub async fn lines(&self) -> u64 {
        self.js("return app.screen.lines", &[]).await.as_u64().unwrap()
    }

    /// Returns the rows that the terminal shows, those at the end left out if they are empty.
    pub async fn visible(&self) -> Vec<String> {
        let rows = self.js("return app.screen.visible()", &[]).await;
        let mut rows: Vec<String> = serde_json::from_value(rows).unwrap();
        rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
        rows
    }

    /// Waits until the terminal shows a text.
    pub async fn shows(&self, text: &str) {
        until(&format!("the screen shows {text:?}"), async || {
            self.visible().await.join("\n").contains(text)
        })
        .await;
    }

    /// Returns the whole output that is shown a part of, as text.
    pub async fn text_of_all(&self) -> String {
        self.async_js("return await app.screen.text()", &[]).await.as_str().unwrap().to_string()
    }

    /// Runs a script in the page. It may run more than once, so it must be idempotent.
    pub async fn js(&self, script: &str, args: &[Value]) -> Value {
        self.retry(script, async || self.page.execute(script, args.to_vec()).await).await
    }

    /// Runs an async function in the page and returns its value, or `{ "error": .. }`.
    pub async fn async_js(&self, body: &str, args: &[Value]) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async (...args) => {{ {body} }})(...arguments)
               .then((value) => done(value ?? null), (error) => done({{ error: error.message ?? String(error), code: error.code }}));"
        );
        self.page.execute_async(&script, args.to_vec()).await.unwrap()
    }

    /// Returns the process id of the app, as reported by a child process that is not kept.
    pub async fn pid(&self) -> u32 {
        let body =
            "const e = await app.Execution.start({ rule: 'shells', metadata: { tags: ['private'] },
            command: { type: 'shell', command: 'echo $PPID', shell: '/bin/sh' } });
            return (await e.result).stdout";
        self.async_js(body, &[]).await.as_str().unwrap().trim().parse().unwrap()
    }

    /// Returns the process ids that the execution has printed as `pids: 1 2 3`.
    pub async fn pids(&self) -> Vec<u32> {
        self.shows("pids:").await;
        let output = self.text_of_all().await;
        let line = output.lines().find_map(|line| line.strip_prefix("pids:")).unwrap();
        line.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Returns the processes of the app and its drivers at first. Displays those of now as well.
    pub fn processes(&self) -> &Processes {
        let (_, processes) = self.driver.session.as_ref().unwrap();
        processes
    }

    /// Saves a screenshot of the window, in the target directory and in that of `SCREENSHOTS`.
    pub async fn picture(&self, name: &str) {
        // The first screenshot may still show the state before the last change.
        let frames = "await document.fonts.ready; await new Promise((drawn) =>
            requestAnimationFrame(() => requestAnimationFrame(drawn)));";
        self.async_js(frames, &[]).await;
        self.page.screenshot().await.unwrap();
        self.async_js(frames, &[]).await;
        let png = self.page.screenshot().await.unwrap();
        assert!(png.len() > 10_000, "the picture {name} is blank");
        let mut dirs = vec![PathBuf::from(env!("CARGO_TARGET_TMPDIR"))];
        dirs.extend(std::env::var_os("SCREENSHOTS").map(PathBuf::from));
        for dir in dirs {
            std::fs::write(dir.join(format!("{name}.png")), &png).unwrap();
        }
    }

    /// Closes the window like its user, while nothing runs, and waits for the end of the app.
    pub async fn leave(self) {
        let host = self.pid().await;
        self.ctrl("q").await;
        until_exited(&[host]).await;
    }

    /// Ends the session, which closes the app.
    pub async fn quit(self) {
        self.page.close().await.unwrap();
    }
}

/// Shell line that starts three background processes, one of them in its own session, and prints
/// their ids.
pub const SLEEPERS: &str = "sleep 1000 & a=$!; (sleep 1000 & sleep 1000 & wait) & b=$!; setsid sleep 1000 & c=$!; echo pids: $$ $a $b $c; wait";

/// Returns the path of a program of this workspace.
pub fn built(name: &str) -> PathBuf {
    // .../debug/deps/test-1234
    let here = std::env::current_exe().unwrap();
    let program = here.ancestors().nth(2).unwrap().join(name);
    assert!(program.exists(), "{} is not built; run apps/desktop/test", program.display());
    program
}

/// Returns the path of a file of this repository.
pub fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    root.canonicalize().unwrap().join(path).to_str().unwrap().to_string()
}

/// Returns an error with its kind, because the text of many is empty.
fn told(error: &CmdError) -> String {
    match error {
        CmdError::Standard(standard) => format!("{}: {:?}", standard.error(), standard.message),
        other => other.to_string(),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a condition holds that can only be polled.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "deadline exceeded: {what}");
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Makes a file executable.
pub fn executable(path: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
