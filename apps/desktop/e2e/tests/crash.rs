//! Processes of WebKit die.

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use support::processes::{is_alive, kill, terminate, until_exited};
use support::{App, in_window, until};

#[test]
fn a_page_whose_process_has_died_is_loaded_again() {
    in_window(async || {
        let app = App::open().await;
        let host = app.pid().await;
        app.start("shell", "echo pids: $$; exec sleep 1000").await;
        let pids = app.pids().await;
        let page = app.processes().page().expect("a process that draws the page");
        kill(page);
        until_exited(&[page]).await;
        until("another one draws it", async || app.processes().page().is_some()).await;
        assert!(is_alive(host) && pids.iter().all(|pid| is_alive(*pid)), "what runs goes on");
        // A driver that has lost its session does not end the app.
        terminate(host);
        until_exited(&[host]).await;
        until_exited(&pids).await;
    });
}

/// Runs a test that kills a process of WebKit when it begins for the first time. Returns how often it began, and
/// whether it passed.
fn beginnings(find: fn(&App) -> Option<u32>) -> (u32, bool) {
    let begun = Cell::new(0);
    let test = AssertUnwindSafe(|| {
        in_window(async || {
            begun.set(begun.get() + 1);
            let app = App::open().await;
            app.start("shell", "echo here").await;
            if begun.get() == 1 {
                let pid = find(&app).expect("a process of WebKit");
                kill(pid);
                until_exited(&[pid]).await;
            }
            app.status("Completed").await;
            app.quit().await;
        });
    });
    let passed = catch_unwind(test).is_ok();
    (begun.get(), passed)
}

#[test]
fn a_test_whose_driver_has_lost_the_session_begins_anew() {
    assert_eq!(beginnings(|app| app.processes().network()), (2, true));
}

#[test]
fn a_test_whose_page_has_died_fails() {
    assert_eq!(beginnings(|app| app.processes().page()), (1, false));
}
