//! The app of the guide.

mod support;

use support::{App, file, in_window, until};

#[test]
fn the_guides_app_runs_a_script_and_asks_for_its_status() {
    in_window(async || {
        let app = App::launch("guide-app").await;
        app.fill("#path", &file("test-scripts/demo.py")).await;
        app.click("button").await;
        until("the script has completed", async || app.text("#status").await == "completed").await;
        assert_eq!(app.text("#id").await.len(), 36, "the id is there");
        app.quit().await;
    });
}
