//! The app leaves no process behind, in whatever way it ends.

mod support;

use support::processes::{is_alive, kill, until_exited};
use support::{App, SLEEPERS, in_window};

#[test]
fn closing_the_window_stops_all_executions() {
    in_window(async || {
        let app = App::open().await;
        let host = app.pid().await;
        app.start("shell", SLEEPERS).await;
        let mut pids = app.pids().await;
        app.start("shell", "trap '' TERM; echo pids: $$; sleep 1000; sleep 1000").await;
        pids.extend(app.pids().await);
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        app.ctrl("q").await;
        app.has_text("dialog", "2 executions are running").await;
        app.click("dialog button[value=no]").await;
        app.gone("dialog").await;
        assert!(pids.iter().all(|pid| is_alive(*pid)), "they are kept running");
        app.ctrl("q").await;
        app.click_to_leave("dialog button[value=yes]").await;
        until_exited(&[host]).await;
        assert!(
            !pids.iter().any(|pid| is_alive(*pid)),
            "the app exits after its executions have ended"
        );
    });
}

#[test]
fn a_crash_of_the_app_leaves_no_process() {
    in_window(async || {
        let app = App::open().await;
        let host = app.pid().await;
        app.start("shell", SLEEPERS).await;
        let pids = app.pids().await;
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        kill(host);
        until_exited(&pids).await;
    });
}

#[test]
fn a_second_request_to_close_is_not_asked_about() {
    in_window(async || {
        let app = App::open().await;
        let host = app.pid().await;
        app.start("shell", "echo pids: $$; exec sleep 1000").await;
        let pids = app.pids().await;
        app.ctrl("q").await;
        app.element("dialog").await;
        app.ctrl("q").await;
        until_exited(&[host]).await;
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
    });
}

#[test]
fn a_window_without_running_executions_closes_at_once() {
    in_window(async || {
        let app = App::open().await;
        let host = app.pid().await;
        app.ctrl("q").await;
        until_exited(&[host]).await;
    });
}
