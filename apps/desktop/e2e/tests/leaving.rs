//! What an app leaves when it ends, whichever way: nothing.

mod support;

use support::{App, SLEEPERS, gone, is_alive, kill};

#[tokio::test]
async fn closing_the_window_ends_what_runs() {
    let app = App::open().await;
    let host = app.pid().await;
    app.start("shell", SLEEPERS).await;
    let mut pids = app.pids().await;
    app.start("shell", "trap '' TERM; echo pids: $$; sleep 1000; sleep 1000").await;
    pids.extend(app.pids().await);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    app.ctrl("q").await;
    gone(&[host]).await;
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "the app ends after its executions");
}

#[tokio::test]
async fn a_crash_of_the_app_leaves_nothing() {
    let app = App::open().await;
    let host = app.pid().await;
    app.start("shell", SLEEPERS).await;
    let pids = app.pids().await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    kill(host);
    gone(&pids).await;
}
