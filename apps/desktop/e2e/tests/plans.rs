//! Plans and their graph.

mod support;

use support::processes::{is_alive, until_exited};
use support::{App, ENTER, in_window, until};

impl App {
    /// Waits until a step of the shown plan has this state.
    async fn step(&self, name: &str, state: &str) {
        let css = format!("[data-step={name}] .state");
        until(&format!("{name} is {state}"), async || self.text(&css).await == state).await;
    }

    /// Enters and starts a plan.
    async fn plan(&self, steps: &[&str]) {
        self.click("[data-kind=plan]").await;
        self.fill("#steps", &steps.join(ENTER)).await;
        self.click("#run").await;
        self.element("#plan .node").await;
    }
}

#[test]
fn the_graph_shows_the_status_of_each_step() {
    in_window(async || {
        let app = App::open().await;
        let steps = [
            "fetch: echo fetched",
            "build after fetch: exit 3",
            "pack after build: echo never",
            "docs after fetch: echo documented",
        ];
        app.plan(&steps).await;
        app.step("fetch", "completed").await;
        app.step("build", "failed").await;
        app.step("pack", "never ran").await;
        app.step("docs", "completed").await;
        app.status("Failed").await;
        app.element("#details .headline.failed").await;
        let details = app.text("#details").await;
        assert!(
            details.contains("build failed first") && details.contains("Never ran"),
            "{details}"
        );
        app.click("[data-step=docs]").await;
        app.shows("documented").await;
        let title = app.js("return document.getElementById('title').textContent", &[]).await;
        assert_eq!(title, "echo documented");
        app.quit().await;
    });
}

#[test]
fn a_plan_survives_a_reload_of_the_page() {
    in_window(async || {
        let app = App::open().await;
        app.plan(&["first: true", "second after first: sleep 1000", "third after second: true"])
            .await;
        app.step("second", "running").await;
        app.page.refresh().await.unwrap();
        app.step("first", "completed").await;
        app.step("second", "running").await;
        app.step("third", "waiting").await;
        app.click("#cancel").await;
        app.status("Cancelled").await;
        app.step("third", "never ran").await;
        app.quit().await;
    });
}

#[test]
fn cancelling_a_plan_leaves_no_process() {
    in_window(async || {
        let app = App::open().await;
        app.plan(&["one: echo pids: $$; sleep 1000", "two: echo pids: $$; sleep 1000"]).await;
        let mut pids = Vec::new();
        for step in ["one", "two"] {
            app.step(step, "running").await;
            app.click(&format!("[data-step={step}]")).await;
            pids.extend(app.pids().await);
            app.click(".row.of-plan").await;
        }
        assert!(pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)));
        app.click("#cancel").await;
        app.status("Cancelled").await;
        until_exited(&pids).await;
        app.quit().await;
    });
}

#[test]
fn an_invalid_plan_is_refused_with_the_reason() {
    in_window(async || {
        let app = App::open().await;
        app.click("[data-kind=plan]").await;
        app.fill("#steps", "build after nothing: make").await;
        app.click("#run").await;
        let error = app.text("#text-problem").await;
        assert!(error.contains("Step build waits for nothing"), "{error}");

        app.fill("#steps", &["a after b: true", "b after a: true"].join(ENTER)).await;
        app.click("#run").await;
        let error = app.text("#error").await;
        assert!(error.contains("cycle: step 1 (a)"), "steps are counted from 1: {error}");
        app.quit().await;
    });
}
