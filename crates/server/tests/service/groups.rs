//! Groups: their limits and pauses, for what waits and what runs, over the death of the service.

use std::path::Path;

use execution_engine::*;
use execution_engine_server::*;
use test_support::until;
use uuid::Uuid;

use crate::support::*;

fn limit(max_running: impl Into<Option<u32>>) -> GroupChange {
    GroupChange { max_running: Some(max_running.into()), paused: None }
}

fn paused(paused: bool) -> GroupChange {
    GroupChange { max_running: None, paused: Some(paused) }
}

/// Returns one of a group that runs until a file is there.
fn waits_for(file: &Path, group: &str) -> NewExecution {
    let mut new = shell(format!("until [ -e {} ]; do sleep 0.01; done", file.display()));
    new.options.group = Some(group.to_string());
    new
}

async fn status_of(service: &Service, id: Uuid) -> (ExecutionStatus, Option<GroupWait>) {
    let view = service.get(id).await.unwrap();
    (view.status, view.group_wait)
}

const FULL: (ExecutionStatus, Option<GroupWait>) =
    (ExecutionStatus::Pending, Some(GroupWait::Full));
const HELD: (ExecutionStatus, Option<GroupWait>) =
    (ExecutionStatus::Pending, Some(GroupWait::Paused));

/// Returns limit, number of those that wait, and number of those that run.
fn numbers(service: &Service, group: &str) -> (Option<u32>, usize, usize) {
    let view = service.group(group).unwrap();
    (view.max_running, view.waiting, view.running)
}

#[tokio::test]
async fn a_limit_counts_at_once_for_what_waits_and_runs() {
    let home = Home::new();
    let service = home.open().await;
    let go = home.file("go");
    assert_eq!(service.set_group("gpu", limit(1)).await.unwrap().max_running, Some(1));
    let first = submit(&service, waits_for(&go, "gpu")).await;
    started(&service, first).await;
    let second = submit(&service, waits_for(&go, "gpu")).await;
    let third = submit(&service, waits_for(&go, "gpu")).await;
    // Those of others do not wait for it.
    let other = submit(&service, waits_for(&go, "cpu")).await;
    started(&service, other).await;
    assert_eq!(
        (status_of(&service, second).await, numbers(&service, "gpu")),
        (FULL, (Some(1), 2, 1))
    );
    let listed = service.list(Query { group: Some("gpu".into()), ..Query::default() }).await;
    let waits: Vec<_> = listed.unwrap().executions.iter().map(|view| view.group_wait).collect();
    assert_eq!(waits, [Some(GroupWait::Full), Some(GroupWait::Full), None]);

    service.set_group("gpu", limit(2)).await.unwrap();
    started(&service, second).await;
    assert_eq!(status_of(&service, third).await, FULL);
    service.remove_group("gpu").await.unwrap();
    started(&service, third).await;
    let all: Vec<_> = service.groups().groups.into_iter().map(|group| group.name).collect();
    assert_eq!(all, ["cpu", "gpu"], "both have executions");
    std::fs::write(go, "").unwrap();
    for id in [first, second, third, other] {
        assert_eq!(ended(&service, id).await.status, ExecutionStatus::Completed);
    }
    until("nothing of them runs", || service.groups().groups.is_empty()).await;
    service.close().await;
}

#[tokio::test]
async fn a_paused_group_starts_nothing_and_what_runs_goes_on() {
    let home = Home::new();
    let service = home.open().await;
    let go = home.file("go");
    let runs = submit(&service, waits_for(&go, "night")).await;
    started(&service, runs).await;
    assert!(service.set_group("night", paused(true)).await.unwrap().paused);
    let waits = submit(&service, waits_for(&go, "night")).await;
    assert_eq!(status_of(&service, waits).await, HELD);
    std::fs::write(&go, "").unwrap();
    assert_eq!(ended(&service, runs).await.status, ExecutionStatus::Completed);
    assert_eq!(status_of(&service, waits).await, HELD);
    // A limit leaves the pause alone.
    let view = service.set_group("night", limit(5)).await.unwrap();
    assert_eq!((view.paused, view.max_running), (true, Some(5)));
    assert_eq!(status_of(&service, waits).await, HELD);
    let view = service.set_group("night", paused(false)).await.unwrap();
    assert_eq!((view.paused, view.max_running), (false, Some(5)));
    assert_eq!(ended(&service, waits).await.status, ExecutionStatus::Completed);
    service.close().await;
}

#[tokio::test]
async fn whatever_has_started_when_a_pause_returns_is_told_as_running() {
    let home = Home::new();
    let service = home.open().await;
    let go = home.file("go");
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(submit(&service, waits_for(&go, "burst")).await);
        service.set_group("burst", paused(true)).await.unwrap();
        let mut before = Vec::new();
        for id in &all {
            before.push(status_of(&service, *id).await.0);
        }
        // Nothing changes from here on, so a second look sees the same.
        started(&service, submit(&service, waits_for(&go, "other")).await).await;
        for (id, before) in all.iter().zip(before) {
            assert_eq!(status_of(&service, *id).await.0, before);
        }
        service.set_group("burst", paused(false)).await.unwrap();
    }
    std::fs::write(go, "").unwrap();
    for id in all {
        ended(&service, id).await;
    }
    service.close().await;
}

#[tokio::test]
async fn settings_and_those_that_run_count_in_the_next_service() {
    let home = Home::new();
    let go = home.file("go");
    let service = home.open().await;
    service.set_group("gpu", limit(1)).await.unwrap();
    service.set_group("night", paused(true)).await.unwrap();
    let runs = submit(&service, waits_for(&go, "gpu")).await;
    started(&service, runs).await;
    let waits = submit(&service, waits_for(&go, "gpu")).await;
    let held = submit(&service, waits_for(&go, "night")).await;
    service.close().await;

    let service = home.open().await;
    assert_eq!(
        (status_of(&service, waits).await, numbers(&service, "gpu")),
        (FULL, (Some(1), 1, 1))
    );
    assert_eq!(status_of(&service, held).await, HELD);
    std::fs::write(&go, "").unwrap();
    for id in [runs, waits] {
        assert_eq!(ended(&service, id).await.status, ExecutionStatus::Completed);
    }
    service.stop_execution(held, StopMode::Polite).await.unwrap();
    assert_eq!(numbers(&service, "night"), (None, 0, 0));
    service.close().await;
}

#[tokio::test]
async fn mistakes_are_named() {
    let home = Home::new();
    let service = home.open().await;
    let refused = service.set_group("gpu", limit(0)).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.field.as_deref()),
        (ErrorCode::InvalidRequest, Some("max_running"))
    );
    for name in ["", "  ", &"g".repeat(4097)] {
        let refused = service.set_group(name, limit(1)).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.field.as_deref()),
            (ErrorCode::InvalidRequest, Some("name"))
        );
    }
    assert_eq!(service.group("gpu").unwrap_err().code, ErrorCode::UnknownGroup);
    assert_eq!(service.remove_group("gpu").await.unwrap_err().code, ErrorCode::UnknownGroup);
    service.close().await;
    let refused = service.set_group("gpu", limit(1)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Stopping);
}
