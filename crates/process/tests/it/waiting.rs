//! Waiting on tokio for the end of a program and for changes of its tree.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use execution_engine_process::{BootTimer, Exit, Signal};
use tokio::time::timeout;

use crate::support::*;

#[tokio::test]
async fn exit_is_reported_each_time_it_is_polled_for() {
    for containment in levels() {
        let level = containment.level();
        let mut child = containment.spawn(&shell("exec sleep 60")).unwrap().child;
        child.register().unwrap();
        let is_pending = poll_fn(|cx| Poll::Ready(child.poll_exit(cx).is_pending())).await;
        assert!(is_pending, "{level}");
        child.signal(Signal::Kill).unwrap();
        let killed = Exit::Signaled { signal: 9, core_dumped: false };
        assert_eq!(exit(&mut child).await, killed);
        assert_eq!(exit(&mut child).await, killed, "it is not reaped");
        assert_eq!(child.reap().unwrap().unwrap().exit, killed);
    }
}

#[tokio::test]
async fn change_of_a_tree_is_reported() {
    for containment in levels() {
        let level = containment.level();
        let mut child = containment.spawn(&shell("sleep 60 & exit 0")).unwrap().child;
        assert_eq!(exit(&mut child).await, Exit::Code(0));
        assert!(!child.tree().unwrap().is_empty(), "{level}");
        let until_empty = async {
            loop {
                let tree = child.tree().unwrap();
                if tree.is_empty() {
                    return;
                }
                child.signal(Signal::Kill).unwrap();
                tree.changed().await;
            }
        };
        timeout(PATIENCE, until_empty).await.expect("waited too long");
    }
}

#[tokio::test]
async fn boot_timer_expires_at_its_time_and_not_before() {
    BootTimer::check().unwrap();
    let at = BootTimer::now() + Duration::from_millis(20);
    timeout(PATIENCE, BootTimer::new(at).unwrap().expired()).await.unwrap().unwrap();
    assert!(BootTimer::now() >= at);
    let past = BootTimer::new(Duration::ZERO).unwrap();
    timeout(PATIENCE, past.expired()).await.expect("what is past is due").unwrap();
    let never = BootTimer::new(Duration::MAX).unwrap();
    let begun = poll_fn(|cx| Poll::Ready(std::pin::pin!(never.expired()).poll(cx).is_pending()));
    assert!(begun.await);
}
