//! Takes the screenshots of the README. `SCREENSHOTS=directory` writes them there.

mod support;

use serde_json::json;
use support::{App, ENTER, file, until};

/// Opens the app in a colour scheme, with some ended executions.
async fn app_with_history(scheme: &str) -> App {
    let app = App::open().await;
    app.js("localStorage.setItem('theme', arguments[0])", &[json!(scheme)]).await;
    app.page.refresh().await.unwrap();
    app.click("#more-button").await;
    app.fill("#directory", &file("")).await;
    app.start("program", "git --version").await;
    app.status("Completed").await;
    app.start("shell", "echo 'no such table: readings' >&2; exit 3").await;
    app.status("Failed").await;
    app.start("shell", "sleep 600").await;
    app.click("#cancel").await;
    app.status("Cancelled").await;
    app.click("#more-button").await;
    app
}

#[tokio::test]
async fn light_screenshots() {
    let app = app_with_history("light").await;
    app.start("script", "test-scripts/demo.py --verbose --pause 0.25").await;
    app.shows("read  12 of 24 rows").await;
    app.picture("running").await;
    app.status("Completed").await;
    app.element("#details .headline.completed").await;
    app.picture("completed").await;
    app.quit().await;
}

#[tokio::test]
async fn plan_screenshot() {
    let app = app_with_history("light").await;
    app.click("[data-kind=plan]").await;
    let steps = [
        "version: echo 1.4.0",
        "lint: echo no complaints",
        "build after version: echo building",
        "docs after version: sleep 0.3; echo 'no such page: install.md' >&2; exit 1",
        "test after build: sleep 600",
        "package after test, lint: echo packing",
        "publish after package, docs: echo publishing",
    ];
    app.fill("#steps", &steps.join(ENTER)).await;
    app.click("#run").await;
    for (step, state) in [("docs", "failed"), ("test", "running"), ("publish", "never ran")] {
        let css = format!("[data-step={step}] .state");
        until("the plan is in the middle", async || app.text(&css).await == state).await;
    }
    app.picture("plan").await;
    app.click("#cancel").await;
    app.status("Cancelled").await;
    app.quit().await;
}

#[tokio::test]
async fn dark_screenshots() {
    let app = app_with_history("dark").await;
    app.click("#more-button").await;
    app.fill("#directory", &file("apps/desktop/e2e/tests/support")).await;
    app.start("program", "sh build.sh --all").await;
    app.click("#more-button").await;
    app.status("Completed").await;
    app.element("#details .headline.completed").await;
    app.picture("dark").await;
    app.click("#find").await;
    app.fill("#needle", "compiling").await;
    app.picture("search").await;
    app.run("program", "sudo make install").await;
    app.element("#error").await;
    app.click("#more-button").await;
    app.element("#directory").await.clear().await.unwrap();
    app.picture("denied").await;
    // The scheme is stored, and other tests expect that of the system.
    app.js("localStorage.clear()", &[]).await;
    app.quit().await;
}
