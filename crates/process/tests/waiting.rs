//! Waiting on tokio for the end of a program and for changes of its tree.
#![cfg(feature = "tokio")]

mod support;

use std::future::poll_fn;
use std::task::Poll;

use execution_engine_process::{Child, Containment, Exit, Level, Signal};
use support::*;
use tokio::time::timeout;

async fn exit(child: &mut Child) -> Exit {
    timeout(PATIENCE, poll_fn(|cx| child.poll_exit(cx))).await.expect("waited too long").unwrap()
}

#[tokio::test]
async fn the_end_of_a_program_is_reported_and_can_be_asked_for_again() {
    for level in Level::ALL {
        let Ok(containment) = Containment::at(level) else { continue };
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
async fn a_tree_that_shrinks_is_reported() {
    for level in Level::ALL {
        let Ok(containment) = Containment::at(level) else { continue };
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
