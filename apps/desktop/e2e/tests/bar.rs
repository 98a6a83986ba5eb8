//! The run bar: what it refuses, what it asks, and what it recalls.

mod support;

use serde_json::json;
use support::{App, DELETE, DOWN, ENTER, ESCAPE, UP, in_window, until};

#[test]
fn pasted_lines_stay_lines_and_run_after_a_question() {
    in_window(async || {
        let app = App::open().await;
        let height = "return document.querySelector('#line').offsetHeight";
        let before = app.js(height, &[]).await.as_u64().unwrap();
        app.paste("#line", "cd /\necho one # a comment\necho two in $PWD\n").await;
        let after = app.js(height, &[]).await.as_u64().unwrap();
        assert!(after > before + 40, "the field grows from {before} to {after}");
        app.click("#run").await;
        let question = app.text("dialog").await;
        assert!(
            question.contains("Run 3 lines?") && question.contains("echo two in $PWD"),
            "{question}"
        );
        app.keys(ESCAPE).await;
        app.gone("dialog").await;
        assert_eq!(app.js("return app.store.executions.length", &[]).await, json!(0));
        app.click("#run").await;
        app.click("dialog button[value=yes]").await;
        app.shows("one\ntwo in /").await;
        // A program has one line.
        app.click("[data-kind=program]").await;
        app.click("#run").await;
        app.has_text("#text-problem", "Choose Shell").await;
        app.quit().await;
    });
}

#[test]
fn faults_are_told_at_their_fields() {
    in_window(async || {
        let app = App::open().await;
        app.run("program", "grep \"C:\\new").await;
        let problem = app.text("#text-problem").await;
        assert!(problem.contains("quote \" at character 6 is not closed"), "{problem}");
        app.start("program", "printf '%s|' \"C:\\new\" \"a\\\\b\" \"\\$x\"").await;
        app.shows(r"C:\new|a\b|$x|").await;

        // The options are hidden: they open, and the fault is where it is.
        app.click("#more-button").await;
        app.fill("#environment", &["export A=hunter2", "B = 1"].join(ENTER)).await;
        app.fill("#timeout", "soon").await;
        app.click("#more-button").await;
        app.displayed("#more", false).await;
        app.run("shell", "echo $A").await;
        let problem = app.text("#environment-problem").await;
        assert!(
            problem.contains("Line 1: Remove “export”") && problem.contains("Line 2:"),
            "{problem}"
        );
        app.has_text("#timeout-problem", "seconds above 0").await;
        assert_eq!(app.focused().await, "environment");
        app.fill("#environment", "A=given").await;
        app.click("#unlimited").await;
        app.start("shell", "echo A is $A").await;
        app.shows("A is given").await;
        app.status("Completed").await;
        app.element("#details .headline.completed").await;
        let details = app.text("#details").await;
        assert!(details.contains("Timeoutnone") && !details.contains("given"), "{details}");
        app.quit().await;
    });
}

#[test]
fn earlier_runs_come_back_with_all_their_options() {
    in_window(async || {
        let app = App::open().await;
        app.click("#more-button").await;
        app.fill("#directory", "/usr").await;
        app.fill("#environment", "WORD=first").await;
        app.fill("#timeout", "77").await;
        app.click("#piped").await;
        app.start("shell", "echo $WORD in $PWD").await;
        app.shows("first in /usr").await;
        app.click("#piped").await;
        for field in ["#directory", "#environment"] {
            app.element(field).await.clear().await.unwrap();
        }
        app.start("program", "echo second").await;
        app.shows("second").await;

        app.fill("#line", "a draft").await;
        app.keys(UP).await;
        assert_eq!(app.value("#line").await, "echo second");
        app.keys(UP).await;
        assert_eq!(app.value("#line").await, "echo $WORD in $PWD");
        let options = "return ['directory', 'environment', 'timeout'].map((id) => document.getElementById(id).value)
        .concat(document.getElementById('piped').checked, document.querySelector('[aria-checked=true]').textContent)";
        let first = json!(["/usr", "WORD=first", "77", true, "Shell"]);
        assert_eq!(app.js(options, &[]).await, first);
        app.keys(DOWN).await;
        app.keys(DOWN).await;
        assert_eq!(app.value("#line").await, "a draft");
        // Inside of several lines the keys move the caret.
        app.paste("#line", "\nsecond line").await;
        app.keys(UP).await;
        assert_eq!(app.value("#line").await, "a draft\nsecond line");

        app.js("app.store.select(app.store.executions[0].id)", &[]).await;
        app.click("#edit").await;
        assert_eq!(app.js(options, &[]).await, first);
        app.click("#run").await;
        until("it runs again", async || {
            app.js("return app.store.executions.length", &[]).await == json!(3)
        })
        .await;
        app.quit().await;
    });
}

#[test]
fn a_removal_can_be_undone() {
    in_window(async || {
        let app = App::open().await;
        for word in ["one", "two"] {
            app.start("shell", &format!("echo {word}")).await;
            app.status("Completed").await;
        }
        app.click("#remove").await;
        let rows =
            async || app.page.find_all(fantoccini::Locator::Css(".row")).await.unwrap().len();
        assert_eq!(rows().await, 1);
        app.click("#undo").await;
        assert_eq!(rows().await, 2);
        app.shows("two").await;
        // With the keyboard, and for good with the next one.
        app.click(".row").await;
        app.keys(DELETE).await;
        let title = "return document.getElementById('title').textContent";
        until("the next one is shown", async || app.js(title, &[]).await == "echo one").await;
        app.click("#clear").await;
        until("the first removal is done", async || {
            app.js("return app.store.executions.length", &[]).await == json!(1)
        })
        .await;
        app.ctrl("z").await;
        assert_eq!(rows().await, 1);
        app.quit().await;
    });
}
