//! Takes the screenshots of the README. `SCREENSHOTS=directory` writes them there.

mod support;

use serde_json::json;
use support::{App, ENTER, ESCAPE, file, in_window, until};
use tempfile::TempDir;

/// Shell line that prints the colours, joined emoji and right-to-left text.
const COLOURS: &str = r"printf '\033[30mblack\033[31m red\033[32m green\033[33m yellow\033[34m blue\033[35m magenta\033[36m cyan\033[37m white\033[0m\n\033[30;42m black on green \033[37;41m white on red \033[0m\n'
printf 'flag \360\237\207\263\360\237\207\261|\nfamily \360\237\221\251\342\200\215\360\237\221\251\342\200\215\360\237\221\247|\naccent e\314\201|\n'
printf '\330\271\330\261\330\250\331\212 \327\242\327\221\327\250\327\231\327\252|\n'";

/// Makes a link to a directory, so that no picture shows where this repository is.
fn link(links: &TempDir, name: &str, directory: &str) -> String {
    let link = links.path().join(name);
    std::os::unix::fs::symlink(directory, &link).unwrap();
    link.to_str().unwrap().to_string()
}

/// Opens the app in a colour scheme, with some ended executions.
async fn app_with_history(scheme: &str, links: &TempDir) -> App {
    let app = App::open().await;
    app.js("localStorage.setItem('theme', arguments[0])", &[json!(scheme)]).await;
    app.page.refresh().await.unwrap();
    app.click("#more-button").await;
    app.fill("#directory", &link(links, "project", &file(""))).await;
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

#[test]
fn light_screenshots() {
    in_window(async || {
        let app = App::open().await;
        app.js("localStorage.setItem('theme', 'light')", &[]).await;
        app.page.refresh().await.unwrap();
        app.element(".example").await;
        app.picture("empty").await;
        app.quit().await;

        let links = TempDir::new().unwrap();
        let app = app_with_history("light", &links).await;
        app.element("#line").await.clear().await.unwrap();
        app.paste("#line", "cd build\nrm -f *.o\nmake all").await;
        app.click("#run").await;
        app.element("dialog").await;
        app.picture("question").await;
        app.keys(ESCAPE).await;
        app.start("script", "test-scripts/demo.py --verbose --pause 0.25").await;
        app.shows("read  12 of 24 rows").await;
        app.picture("running").await;
        app.status("Completed").await;
        app.element("#details .headline.completed").await;
        app.picture("completed").await;
        app.click("#more-button").await;
        app.element("#directory").await.clear().await.unwrap();
        app.click("#piped").await;
        app.start(
            "shell",
            "echo 'Your name?'; read name; echo \"Hello, $name. Your town?\"; read town",
        )
        .await;
        app.fill("#stdin", &format!("Ada{ENTER}")).await;
        app.shows("Hello, Ada. Your town?").await;
        until("the hint is shown", async || app.text("#stdin-hint").await.contains("waiting"))
            .await;
        app.picture("input").await;
        app.click("#eof").await;
        app.quit().await;
    });
}

#[test]
fn plan_screenshot() {
    in_window(async || {
        let links = TempDir::new().unwrap();
        let app = app_with_history("light", &links).await;
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
        for (step, state) in [("docs", "failed"), ("test", "running")] {
            let css = format!("[data-step={step}] .state");
            until("the plan is in the middle", async || app.text(&css).await == state).await;
        }
        app.picture("plan").await;
        app.click("#cancel").await;
        app.status("Cancelled").await;
        app.quit().await;
    });
}

#[test]
fn dark_screenshots() {
    in_window(async || {
        let links = TempDir::new().unwrap();
        let app = app_with_history("dark", &links).await;
        app.click("#more-button").await;
        app.fill("#directory", &link(&links, "parts", &file("apps/desktop/e2e/tests/support")))
            .await;
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
        app.click("#more-button").await;
        app.ctrl("f").await;
        app.keys(ESCAPE).await;
        app.click("[data-kind=shell]").await;
        app.element("#line").await.clear().await.unwrap();
        app.paste("#line", COLOURS).await;
        app.click("#run").await;
        app.click("dialog button[value=yes]").await;
        app.shows("accent").await;
        app.status("Completed").await;
        app.fill("#line", "true").await;
        app.picture("colours").await;
        app.quit().await;
    });
}
