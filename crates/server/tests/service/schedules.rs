//! Schedules: changes whose caller goes away, and the order of what is due.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use chrono::Utc;
use execution_engine_server::*;
use test_support::{pause, soon, until};
use uuid::Uuid;

use crate::support::*;

/// Makes one that runs each second, and returns it.
async fn each_second(service: &Service, new: NewExecution) -> ScheduleView {
    let new = NewSchedule { overlap: Some(OverlapPolicy::Allow), ..NewSchedule::new("1s", new) };
    service.create_schedule(new, None, OWNER).await.unwrap().schedule
}

/// Waits until a schedule has more runs than so many.
async fn runs_more(service: &Service, id: Uuid, before: u64) {
    soon("a run", async {
        while service.schedule(id).await.unwrap().runs <= before {
            pause(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A caller whose connection breaks off drops the call, wherever it is.
#[tokio::test]
async fn resuming_is_done_to_its_end_without_its_caller() {
    let home = Home::new();
    let service = home.open().await;
    let id = each_second(&service, shell("true")).await.id;
    service.pause_schedule(id, true).await.unwrap();
    let before = service.schedule(id).await.unwrap().runs;
    {
        let mut call = pin!(service.pause_schedule(id, false));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "it has the store to ask");
    }
    runs_more(&service, id, before).await;
    service.close().await;
}

/// A keeper may not answer whether it can enforce limits.
#[tokio::test]
async fn what_needs_no_answer_of_a_keeper_is_due_before_what_does() {
    let home = Home::new();
    let service = home.open().await;
    let mut with_limits = shell("true");
    with_limits.options.limits.open_files = Some(100);
    for _ in 0..5 {
        each_second(&service, with_limits.clone()).await;
    }
    let mut free = shell("true");
    free.options.limits.umask = Some(0o027);
    let free = each_second(&service, free).await.id;
    service.close().await;
    let last_moment = Utc::now() + chrono::TimeDelta::seconds(1);
    until("all have missed a moment", || Utc::now() > last_moment).await;

    let service = home.open().await;
    let runs = service.schedule(free).await.unwrap().runs;
    runs_more(&service, free, runs).await;
    let after = Query { since: Some(last_moment), limit: Some(1_000), ..Query::default() };
    let accepted = service.list(after).await.unwrap().executions;
    let first = accepted.last().unwrap().schedule.unwrap();
    assert_eq!(first, free, "the first of {}", accepted.len());
    service.close().await;
}
