//! Running commands: live output, control, refusals, and failures to start.

mod support;

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use support::processes::{is_alive, until_exited};
use support::{App, SLEEPERS, file, in_window, until};

#[test]
fn output_is_shown_while_the_program_runs() {
    in_window(async || {
        let app = App::open().await;
        app.click("#more-button").await;
        app.fill("#directory", &file("")).await;
        app.start("script", "test-scripts/demo.py --verbose --pause 0.5").await;
        app.shows("read   6 of 24 rows").await;
        assert_eq!(app.text("#chip").await, "Running", "its first line is shown before it ends");
        app.status("Completed").await;
        app.element("#details .headline.completed").await;
        let details = app.text("#details").await;
        for fact in
            ["Exit code", "Duration", "CPU, user", "Processes after the end", "Still running"]
        {
            assert!(details.contains(fact), "{fact} is missing in {details}");
        }
        app.quit().await;
    });
}

#[test]
fn cancelling_leaves_no_process() {
    in_window(async || {
        let app = App::open().await;
        app.start("shell", SLEEPERS).await;
        let pids = app.pids().await;
        assert_eq!(pids.len(), 4);
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        app.click("#cancel").await;
        app.status("Cancelled").await;
        assert!(
            !pids.iter().any(|pid| is_alive(*pid)),
            "the ending is reported after the whole tree has exited"
        );
        app.element("#details .headline.cancelled").await;
        app.quit().await;
    });
}

#[test]
fn a_denied_command_is_refused_with_the_name_of_the_rule() {
    in_window(async || {
        let app = App::open().await;
        app.run("program", "sudo --askpass hunter2").await;
        app.has_text("#error", "sudo and su do not work here").await;
        app.click("#error summary").await;
        let error = app.text("#error").await;
        assert!(error.contains("refused") && error.contains("denied by rule `no-sudo`"), "{error}");
        assert!(!error.contains("hunter2"), "a refusal repeats nothing of the request");
        // A shell that no rule allows, and a command of Tauri that no capability allows.
        let bash = "await app.Execution.start({ rule: 'shells',
        command: { type: 'shell', command: 'true', shell: '/bin/bash' } })";
        let refused = app.async_js(bash, &[]).await;
        assert_eq!(refused["code"], "refused");
        let run = "await window.__TAURI_INTERNALS__.invoke('plugin:window|set_title')";
        let denied = app.async_js(run, &[]).await;
        assert!(denied["error"].as_str().unwrap().contains("not allowed"), "{denied}");
        assert_eq!(app.js("return app.store.executions.length", &[]).await, json!(0));
        app.quit().await;
    });
}

#[test]
fn a_program_that_cannot_start_shows_the_reason() {
    in_window(async || {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("broken");
        std::fs::write(&broken, [0x7f, b'E', b'L', b'F', 0, 0]).unwrap();
        std::fs::set_permissions(&broken, PermissionsExt::from_mode(0o755)).unwrap();

        let app = App::open().await;
        app.start("program", broken.to_str().unwrap()).await;
        app.status("Failed").await;
        app.element("#details .headline.failed").await;
        app.has_text("#ending", "Could not start").await;

        app.run("program", "no-such-program-anywhere").await;
        app.click("#error summary").await;
        let error = app.text("#error").await;
        assert!(error.contains("program_not_found"), "{error}");
        app.quit().await;
    });
}

#[test]
fn typed_lines_reach_the_program() {
    in_window(async || {
        let app = App::open().await;
        app.click("#more-button").await;
        app.click("#piped").await;
        app.start("shell", "while read line; do echo \"got $line\" >&2; done; echo end").await;
        until("it is said that the program is silent", async || {
            app.text("#stdin-hint").await.contains("may be waiting for a line")
        })
        .await;
        app.fill("#stdin", "one\u{e007}").await;
        app.shows("got one").await;
        until("what was typed is shown as such", async || app.text("#sent").await == "› one").await;
        app.click("#hide-stdin").await;
        app.fill("#stdin", "hunter2\u{e007}").await;
        app.shows("got hunter2").await;
        app.click("#eof").await;
        until("hidden input is not shown", async || {
            app.text("#sent").await == "› one› ••••••••› end of input"
        })
        .await;
        app.status("Completed").await;
        app.shows("end").await;
        app.quit().await;
    });
}

#[test]
fn an_execution_can_be_paused_resumed_and_run_again() {
    in_window(async || {
        let app = App::open().await;
        app.start("shell", "echo pids: $$; sleep 1000").await;
        let first = app.pids().await;
        app.click("#pause").await;
        app.status("Paused").await;
        app.click("#resume").await;
        app.status("Running").await;
        app.click("#cancel").await;
        app.click("#rerun").await;
        app.status("Running").await;
        let second = app.pids().await;
        assert_ne!(first, second);
        app.click("#cancel").await;
        app.status("Cancelled").await;
        until_exited(&second).await;
        app.quit().await;
    });
}

#[test]
fn one_stream_has_the_exact_order_and_two_have_colours() {
    in_window(async || {
        let app = App::open().await;
        let line = "echo one >&2; echo two; echo three >&2; echo four";
        app.click("#more-button").await;
        app.click("#merged").await;
        app.start("shell", line).await;
        app.status("Completed").await;
        app.shows("one\ntwo\nthree\nfour").await;
        let errors = "return (await app.Execution.attach(app.store.selected).result).stderr_stats.seen_bytes";
        assert_eq!(app.async_js(errors, &[]).await, json!(0), "all of it is stdout");

        app.click("#merged").await;
        app.start("shell", line).await;
        app.status("Completed").await;
        app.shows("three").await;
        assert_eq!(app.async_js(errors, &[]).await, json!("one\nthree\n".len()));
        app.quit().await;
    });
}
