//! The queue: slots, order, and executions that follow others.

use std::path::Path;

use execution_engine::*;
use execution_engine_server::*;
use uuid::Uuid;

use crate::support::*;

/// Returns a program that appends a word to a file.
fn append(word: &str, to: &Path) -> NewExecution {
    shell(format!("echo {word} >> {}", to.display()))
}

fn waits_for(file: &Path) -> NewExecution {
    shell(format!("until [ -e {} ]; do sleep 0.01; done", file.display()))
}

#[tokio::test]
async fn priority_then_order_decides_who_is_next() {
    let home = Home::new().max_running(1);
    let service = home.open().await;
    let (go, log) = (home.file("go"), home.file("log"));
    let first = submit(&service, waits_for(&go)).await;
    started(&service, first).await;
    let mut all = Vec::new();
    for (word, priority) in [("b", 0), ("a", 7), ("c", 0), ("d", -1)] {
        let mut new = append(word, &log);
        new.options.priority = priority;
        all.push(submit(&service, new).await);
    }
    for id in &all {
        let view = service.get(*id).await.unwrap();
        assert_eq!((view.status, view.keeper), (ExecutionStatus::Pending, None));
    }
    let status = service.status().await;
    assert_eq!((status.running, status.queued, status.max_running), (1, 4, 1));
    std::fs::write(go, "").unwrap();
    for id in all {
        assert_eq!(ended(&service, id).await.status, ExecutionStatus::Completed);
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), "a\nb\nc\nd\n");
    service.close().await;
}

#[tokio::test]
async fn one_that_follows_runs_after_all_have_succeeded() {
    let home = Home::new();
    let service = home.open().await;
    let (go, log) = (home.file("go"), home.file("log"));
    let done = submit(&service, append("done", &log)).await;
    ended(&service, done).await;
    let mut slow = waits_for(&go);
    slow.request = slow.request.tag("slow");
    let slow = submit(&service, slow).await;
    let mut new = append("last", &log);
    new.after = vec![done, slow];
    let last = submit(&service, new).await;
    started(&service, slow).await;
    assert_eq!(service.get(last).await.unwrap().status, ExecutionStatus::Pending);
    std::fs::write(go, "").unwrap();
    assert_eq!(ended(&service, last).await.status, ExecutionStatus::Completed);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "done\nlast\n");
    service.close().await;
}

#[tokio::test]
async fn one_that_follows_a_failure_never_runs() {
    let home = Home::new();
    let service = home.open().await;
    let (go, log) = (home.file("go"), home.file("log"));
    let mut failing = waits_for(&go);
    failing.request = ExecutionRequest {
        id: failing.request.id,
        ..shell(format!("until [ -e {} ]; do sleep 0.01; done; exit 5", go.display())).request
    };
    let failing = submit(&service, failing).await;
    let follow = async |other: Uuid| {
        let mut new = append("never", &log);
        new.after = vec![other];
        submit(&service, new).await
    };
    let before = follow(failing).await;
    let chained = follow(before).await;
    std::fs::write(go, "").unwrap();
    ended(&service, failing).await;
    let late = follow(failing).await;
    for (id, cause) in [(before, failing), (chained, before), (late, failing)] {
        let view = ended(&service, id).await;
        let reason = SkipReason::AfterFailed { execution: cause };
        assert_eq!(view.ending, Some(Ending::NotRun { reason }));
        assert_eq!(
            (view.status, view.attempts, view.started_at),
            (ExecutionStatus::Cancelled, 0, None)
        );
        assert!(view.error.unwrap().contains(&cause.to_string()));
        let events = events_after(&service, id, 0).await;
        assert!(matches!(&events[..], [Event { kind: EventKind::Ended { .. }, .. }]), "{events:?}");
    }
    assert!(!log.exists());
    let mut new = append("never", &log);
    new.after = vec![Uuid::nil()];
    let error = service.submit(new, None, OWNER).await.unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::UnknownAfter, Some("after")));
    service.close().await;
}

#[tokio::test]
async fn many_wait_for_few_slots() {
    let home = Home::new().max_running(3);
    let service = home.open().await;
    let log = home.file("log");
    let mut all = Vec::new();
    for number in 0..60 {
        all.push(submit(&service, append(&number.to_string(), &log)).await);
    }
    for id in &all {
        assert_eq!(ended(&service, *id).await.status, ExecutionStatus::Completed);
    }
    let mut seen: Vec<u32> =
        std::fs::read_to_string(log).unwrap().lines().map(|it| it.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
    let status = service.status().await;
    assert_eq!((status.running, status.queued), (0, 0));
    service.close().await;
}
