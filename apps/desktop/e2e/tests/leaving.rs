//! The app leaves no process behind, in whatever way it ends.

mod support;

use support::{App, SLEEPERS, is_alive, kill, until_exited};

#[tokio::test]
async fn closing_the_window_stops_all_executions() {
    let app = App::open().await;
    let host = app.pid().await;
    app.start("shell", SLEEPERS).await;
    let mut pids = app.pids().await;
    app.start("shell", "trap '' TERM; echo pids: $$; sleep 1000; sleep 1000").await;
    pids.extend(app.pids().await);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    app.ctrl("q").await;
    until_exited(&[host]).await;
    assert!(
        !pids.iter().any(|pid| is_alive(*pid)),
        "the app exits after its executions have ended"
    );
}

#[tokio::test]
async fn a_crash_of_the_app_leaves_no_process() {
    let app = App::open().await;
    let host = app.pid().await;
    app.start("shell", SLEEPERS).await;
    let pids = app.pids().await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    kill(host);
    until_exited(&pids).await;
}
