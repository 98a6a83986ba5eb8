//! Small windows, the keyboard alone, and what axe finds.

mod support;

use serde_json::{Value, json};
use support::{App, ENTER, ESCAPE, F1, F6, RIGHT, TAB, file, in_window, until};

impl App {
    /// Checks the page with axe-core in both colour schemes.
    async fn has_no_violations(&self, state: &str) {
        let axe = file("apps/desktop/node_modules/axe-core/axe.min.js");
        let source = std::fs::read_to_string(axe).expect("axe-core: run apps/desktop/build");
        let loaded = self.js("return typeof window.axe", &[]).await;
        if loaded != json!("object") {
            self.js(&source, &[]).await;
        }
        for scheme in ["light", "dark"] {
            let check = "document.documentElement.dataset.theme = args[0];
                app.screen.retheme();
                const { violations } = await axe.run(document, { resultTypes: ['violations'] });
                return violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]);";
            let found = self.async_js(check, &[json!(scheme)]).await;
            assert_eq!(found, json!([]), "{state}, {scheme}: {found:#}");
        }
    }

    /// Sets the size of the page.
    async fn resize(&self, width: u32, height: u32) {
        self.page.set_window_size(width, height).await.unwrap();
        until("the window has its size", async || {
            self.js("return innerWidth", &[]).await == json!(width)
        })
        .await;
    }

    /// Returns the controls that are not inside of the window as a whole.
    async fn cut_off(&self) -> Value {
        self.js(
            "return [...document.querySelectorAll('button, input, textarea, h1, h2, .row')]
               .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('#screen'))
               .filter((element) => {
                 const { left, right, top, bottom, width } = element.getBoundingClientRect();
                 const scrolls = element.closest('#details, .rows, .blank, .scroll') !== null;
                 const isBeyond = !scrolls && (top < 0 || bottom > innerHeight);
                 return width < 8 || left < 0 || right > innerWidth || isBeyond;
               })
               .map((element) => `${element.id} ${element.textContent}`)",
            &[],
        )
        .await
    }
}

#[test]
fn axe_finds_nothing() {
    in_window(async || {
        let app = App::open().await;
        app.element(".example").await;
        app.has_no_violations("empty").await;
        app.click("#more-button").await;
        app.click("#piped").await;
        app.fill("#timeout", "0").await;
        app.run("shell", "true").await;
        app.element("#timeout-problem").await;
        app.has_no_violations("options with a fault").await;
        app.fill("#timeout", "100").await;
        app.start(
            "shell",
            "printf 'plain \\033[31mred \\033[30mblack\\033[0m\\n'; echo err >&2; cat",
        )
        .await;
        app.shows("black").await;
        app.has_no_violations("running").await;
        app.click("#find").await;
        app.fill("#needle", "plain").await;
        app.has_no_violations("search").await;
        app.click("#eof").await;
        app.status("Completed").await;
        app.element("#with-input, #details .headline.completed").await;
        app.has_no_violations("ended").await;
        app.run("program", "sudo true").await;
        app.element("#error").await;
        app.has_no_violations("error").await;
        app.click("#help").await;
        app.has_no_violations("help").await;
        app.keys(ESCAPE).await;
        app.click("[data-kind=plan]").await;
        app.fill(
            "#steps",
            &["one: true", "two after one: exit 1", "three after two: true"].join(ENTER),
        )
        .await;
        app.click("#run").await;
        app.status("Failed").await;
        app.has_no_violations("plan").await;
        app.click("#remove").await;
        app.element("#undo").await;
        app.has_no_violations("removed").await;
        // It does find what is there to find.
        let bad = "document.querySelector('#list').insertAdjacentHTML('beforeend', '<p style=\"color: #999; background: #fff\">hard to read</p><input>');
        const { violations } = await axe.run(document, { resultTypes: ['violations'] });
        return violations.map(({ id }) => id);";
        assert_eq!(app.async_js(bad, &[]).await, json!(["color-contrast", "label"]));
        app.quit().await;
    });
}

#[test]
fn nothing_is_cut_off_in_a_small_window() {
    in_window(async || {
        let app = App::open().await;
        app.click("#more-button").await;
        app.start("shell", "echo a line of output").await;
        app.status("Completed").await;
        app.click("#more-button").await;
        for width in [640, 720, 800] {
            app.resize(width, 500).await;
            app.displayed("#details", false).await;
            assert_eq!(app.cut_off().await, json!([]), "at {width}");
        }
        app.resize(640, 500).await;
        app.click("#details-button").await;
        app.has_text("#details", "Exit code").await;
        assert_eq!(app.cut_off().await, json!([]), "with the details");
        app.picture("small").await;
        app.keys(ESCAPE).await;
        app.displayed("#details", false).await;
        app.click("#more-button").await;
        assert_eq!(app.cut_off().await, json!([]), "with the options");
        app.click("#help").await;
        assert_eq!(app.cut_off().await, json!([]), "with the help");
        app.quit().await;
    });
}

#[test]
fn everything_is_reached_with_the_keyboard() {
    in_window(async || {
        let app = App::open().await;
        // A dialog opens once, and closes with one Escape, wherever the focus was.
        app.start("shell", "seq 1 100").await;
        app.status("Completed").await;
        app.js("app.screen.focus()", &[]).await;
        app.keys(F1).await;
        app.keys(F1).await;
        app.element("dialog").await;
        app.keys(ESCAPE).await;
        app.gone("dialog").await;

        // The terminal takes no input, so Tab leaves it.
        let inside = "return document.activeElement.closest('#screen') !== null";
        assert_eq!(app.js(inside, &[]).await, json!(true), "the focus returns to where it was");
        app.keys(TAB).await;
        assert_eq!(app.js(inside, &[]).await, json!(false));

        // The choice of what to run is one stop for Tab, with arrow keys.
        app.js("document.querySelector('[data-kind=shell]').focus()", &[]).await;
        app.keys(RIGHT).await;
        assert_eq!(app.text("[aria-checked=true]").await, "Plan");
        app.keys(RIGHT).await;
        assert_eq!(app.text("[aria-checked=true]").await, "Script");
        app.keys(TAB).await;
        assert_eq!(app.focused().await, "line");

        // F6 goes through the parts of the window.
        let part = "return document.activeElement.closest('#run-bar, #list, #view, #details, #status-bar').id";
        let mut parts = Vec::new();
        for _ in 0..5 {
            parts.push(app.js(part, &[]).await);
            app.keys(F6).await;
        }
        assert_eq!(json!(parts), json!(["run-bar", "list", "view", "details", "status-bar"]));
        assert_eq!(app.focused().await, "line");
        app.quit().await;
    });
}
