//! Plans: what is accepted, what their steps leave, and what is sealed.

use chrono::Utc;
use execution_engine::{Ending, ExecutionRequest, ExecutionStatus, SkipReason};
use execution_engine_store::{
    AcceptedPlan, ListedPlan, NewExecution, NewPlan, OutputPlace, PlanQuery, PlanStop, Query,
    StepOf, Store, StoreConfig, StoreError, StoredEvent, StoredPlan,
};
use serde_json::json;
use tempfile::tempdir;
use uuid::Uuid;

use crate::support::{accept, ended, files, new, open};

const ALL: PlanQuery = PlanQuery { status: Vec::new(), limit: 100, cursor: None };

fn new_plan() -> NewPlan {
    NewPlan {
        id: Uuid::new_v4(),
        owner: 1000,
        key: None,
        body: b"body".to_vec(),
        shown: json!({ "steps": [] }),
        title: json!({ "description": "test" }),
        secret: b"hidden-value".to_vec(),
    }
}

pub(crate) async fn accept_plan(store: &Store) -> StoredPlan {
    match store.accept_plan(new_plan()).await.unwrap() {
        AcceptedPlan::Created(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn step(plan: &StoredPlan, step: usize) -> StepOf {
    StepOf { plan: plan.id, round: plan.round, step, event: u64::MAX }
}

async fn begin(store: &Store, of: StepOf) -> Uuid {
    let new = NewExecution { step: Some(of), ..new(ExecutionRequest::shell("true")) };
    let execution = accept(store, new).await;
    assert_eq!((execution.plan, execution.step), (Some(of.plan), Some(of.step)));
    execution.id
}

async fn end(store: &Store, id: Uuid, code: i32) {
    let ending = Ending::Exited { code };
    assert!(store.ended(ended(id, ending, OutputPlace::None)).await.unwrap());
}

async fn end_plan(store: &Store, id: Uuid, status: ExecutionStatus) {
    assert!(store.end_plan(id, status, json!({ "why": "test" })).await.unwrap());
}

async fn get(store: &Store, id: Uuid) -> StoredPlan {
    store.plan(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn events_have_one_order_over_endings_and_stops_and_a_restart() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let plan = accept_plan(&store).await;
    let (first, second) =
        (begin(&store, step(&plan, 0)).await, begin(&store, step(&plan, 2)).await);
    end(&store, second, 1).await;
    store.stop_plan(plan.id, PlanStop::Cancel).await.unwrap();
    end(&store, first, 0).await;
    let reason = SkipReason::PlanCancelled;
    let never = Ending::NotRun { reason };
    store.end_step_unstarted(step(&plan, 1), never.clone()).await.unwrap();
    // Again, as after a crash.
    store.end_step_unstarted(step(&plan, 1), Ending::Cancelled).await.unwrap();
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.unfinished_plans().await.unwrap(), [plan.id]);
    let plan = get(&store, plan.id).await;
    let events: Vec<_> =
        plan.steps.iter().map(|it| (it.step, it.execution, it.event, it.ending.clone())).collect();
    let exited = |code| Some(Ending::Exited { code });
    assert_eq!(
        events,
        [
            (0, Some(first), Some(3), exited(0)),
            (1, None, Some(4), Some(never)),
            (2, Some(second), Some(1), exited(1))
        ]
    );
    assert_eq!((plan.stops[0].stop, plan.stops[0].event), (PlanStop::Cancel, 2));
    let after = store.plan_events(plan.id, 1, 2).await.unwrap();
    let [StoredEvent::Ended(exited), StoredEvent::Ended(_)] = &after[..] else {
        panic!("{after:?}")
    };
    assert_eq!(exited.execution, Some(first));
    let all = store.plan_events(plan.id, 1, 0).await.unwrap();
    assert!(matches!(all[1], StoredEvent::Stopped(_)) && all.len() == 4, "{all:?}");
    assert!(store.plan_events(plan.id, 2, 0).await.unwrap().is_empty());
    let query = Query { plan: Some(plan.id), ..Query::default() };
    assert_eq!(store.list(query).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn step_of_a_round_that_is_over_is_not_accepted() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let plan = accept_plan(&store).await;
    let kept = begin(&store, step(&plan, 0)).await;
    end(&store, kept, 0).await;
    let failed = begin(&store, step(&plan, 1)).await;
    end(&store, failed, 1).await;
    assert!(matches!(
        store.resume_plan(plan.id, vec![]).await.unwrap_err(),
        StoreError::PlanNotEnded { .. }
    ));
    end_plan(&store, plan.id, ExecutionStatus::Failed).await;
    assert!(!store.end_plan(plan.id, ExecutionStatus::Completed, json!({})).await.unwrap());
    let stop = store.stop_plan(plan.id, PlanStop::Cancel).await;
    assert!(matches!(stop.unwrap_err(), StoreError::PlanEnded { .. }));
    let late = NewExecution { step: Some(step(&plan, 2)), ..new(ExecutionRequest::shell("true")) };
    assert!(matches!(store.accept(late).await.unwrap_err(), StoreError::PlanNotFound { .. }));

    store.resume_plan(plan.id, vec![0]).await.unwrap();
    let resumed = get(&store, plan.id).await;
    assert_eq!((resumed.round, resumed.status), (2, ExecutionStatus::Running));
    let [only] = &resumed.steps[..] else { panic!("{resumed:?}") };
    assert_eq!((only.step, only.execution, only.event), (0, Some(kept), None));
    assert_eq!(only.ending, Some(Ending::Exited { code: 0 }));
    let again = begin(&store, step(&resumed, 1)).await;
    end(&store, again, 0).await;
    let now = get(&store, plan.id).await;
    assert_eq!((now.steps[1].execution, now.steps[1].event), (Some(again), Some(1)));
}

#[tokio::test]
async fn same_key_is_the_same_plan_and_another_body_is_told() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let first = NewPlan { key: Some("nightly".to_string()), ..new_plan() };
    let AcceptedPlan::Created(_) = store.accept_plan(first.clone()).await.unwrap() else {
        panic!()
    };
    let again = NewPlan { id: Uuid::new_v4(), ..first.clone() };
    assert_eq!(store.accept_plan(again).await.unwrap(), AcceptedPlan::Existing(first.id));
    let other = NewPlan { id: Uuid::new_v4(), body: b"other".to_vec(), ..first.clone() };
    assert_eq!(store.accept_plan(other).await.unwrap(), AcceptedPlan::KeyReused(first.id));
    let same_id = NewPlan { key: None, body: b"other".to_vec(), ..first.clone() };
    assert_eq!(store.accept_plan(same_id).await.unwrap(), AcceptedPlan::IdReused(first.id));
    let both = NewPlan { key: Some("new".to_string()), body: b"other".to_vec(), ..first.clone() };
    assert_eq!(store.accept_plan(both).await.unwrap(), AcceptedPlan::IdReused(first.id));
    let other_owner = NewPlan { id: Uuid::new_v4(), owner: 7, ..first };
    assert!(matches!(store.accept_plan(other_owner).await.unwrap(), AcceptedPlan::Created(_)));
}

#[tokio::test]
async fn secret_is_sealed_and_erased_when_the_plan_has_completed() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let plan = accept_plan(&store).await;
    let is_on_disk = || {
        let holds = |bytes: &[u8]| bytes.windows(12).any(|part| part == b"hidden-value");
        files(dir.path()).iter().any(|(_, bytes)| holds(bytes))
    };
    assert!(!is_on_disk());
    assert_eq!(store.plan_secret(plan.id).await.unwrap(), b"hidden-value");
    end_plan(&store, plan.id, ExecutionStatus::Failed).await;
    assert_eq!(store.plan_secret(plan.id).await.unwrap(), b"hidden-value", "it can be resumed");
    store.resume_plan(plan.id, vec![]).await.unwrap();
    end_plan(&store, plan.id, ExecutionStatus::Completed).await;
    let error = store.plan_secret(plan.id).await.unwrap_err();
    assert!(matches!(error, StoreError::PlanNotFound { .. }));
}

#[tokio::test]
async fn plans_are_listed_by_page_and_status() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(accept_plan(&store).await.id);
    }
    ids.reverse();
    end_plan(&store, ids[1], ExecutionStatus::Failed).await;
    let of = |page: &[ListedPlan]| page.iter().map(|plan| plan.id).collect::<Vec<_>>();
    let first = store.list_plans(PlanQuery { limit: 3, ..ALL }).await.unwrap();
    assert_eq!(of(&first.items), ids[..3]);
    assert_eq!(first.items[0].title["description"], "test");
    let rest = PlanQuery { limit: 3, cursor: first.next, ..ALL };
    let rest = store.list_plans(rest).await.unwrap();
    assert_eq!((of(&rest.items), rest.next), (ids[3..].to_vec(), None));
    let failed = PlanQuery { status: vec![ExecutionStatus::Failed], ..ALL };
    assert_eq!(of(&store.list_plans(failed).await.unwrap().items), [ids[1]]);
    assert_eq!(store.newest_plan().await.unwrap(), Some(ids[0]));
    let prefix = &ids[2].to_string()[..13];
    assert_eq!(store.find_plan_prefix(prefix).await.unwrap(), [ids[2]]);
    let limit = PlanQuery { limit: 0, ..ALL };
    assert_eq!(store.list_plans(limit).await.unwrap_err().code(), "invalid_query");
}

#[tokio::test]
async fn plan_goes_with_its_last_execution_and_not_while_it_runs() {
    let dir = tempdir().unwrap();
    let config = StoreConfig { max_count: 0, ..StoreConfig::default() };
    let store = Store::open(dir.path(), config).unwrap();
    let running = accept_plan(&store).await;
    let done = accept_plan(&store).await;
    for plan in [&running, &done] {
        let id = begin(&store, step(plan, 0)).await;
        end(&store, id, 0).await;
    }
    end_plan(&store, done.id, ExecutionStatus::Completed).await;
    let removed = store.retention_pass().await.unwrap();
    assert_eq!(removed.all().executions, 1, "a plan that runs may need the output of its steps");
    assert_eq!(store.plan(done.id).await.unwrap(), None);
    let running = get(&store, running.id).await;
    assert_eq!(
        running.steps[0].ending,
        Some(Ending::Exited { code: 0 }),
        "what its steps did stays"
    );
    assert!(matches!(
        store.remove_plan(running.id).await.unwrap_err(),
        StoreError::PlanNotEnded { .. }
    ));
    end_plan(&store, running.id, ExecutionStatus::Cancelled).await;
    assert!(get(&store, running.id).await.ended_at.unwrap() <= Utc::now());
    store.remove_plan(running.id).await.unwrap();
    assert_eq!(store.plan(running.id).await.unwrap(), None);
}

#[tokio::test]
async fn old_plan_without_executions_is_removed() {
    let dir = tempdir().unwrap();
    let config = StoreConfig { max_age: std::time::Duration::ZERO, ..StoreConfig::default() };
    let store = Store::open(dir.path(), config).unwrap();
    let (ended, running) = (accept_plan(&store).await, accept_plan(&store).await);
    end_plan(&store, ended.id, ExecutionStatus::Failed).await;
    // The store's clock counts with its commits.
    let gone = async {
        while store.plan(ended.id).await.unwrap().is_some() {
            store.retention_pass().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.expect("it is removed");
    assert!(store.plan(running.id).await.unwrap().is_some());
}

#[tokio::test]
async fn stopped_plan_accepts_no_step_whose_starter_does_not_know_it() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let plan = accept_plan(&store).await;
    let of = |step, event| StepOf { plan: plan.id, round: 1, step, event };
    begin(&store, of(0, 0)).await;
    for stop in [PlanStop::Cancel, PlanStop::Cancel, PlanStop::Deadline, PlanStop::CancelAll] {
        store.stop_plan(plan.id, stop).await.unwrap();
    }
    store.stop_plan(plan.id, PlanStop::Cancel).await.unwrap();
    let stops = get(&store, plan.id).await.stops;
    let stops: Vec<_> = stops.iter().map(|stop| (stop.stop, stop.event)).collect();
    assert_eq!(stops, [(PlanStop::Cancel, 1), (PlanStop::CancelAll, 2)]);
    let late = |of| NewExecution { step: Some(of), ..new(ExecutionRequest::shell("true")) };
    let error = store.accept(late(of(1, 1))).await.unwrap_err();
    assert!(matches!(error, StoreError::PlanStopped { .. }), "{error}");
    // Who knows all stops may start what always runs.
    begin(&store, of(1, 2)).await;
}

#[tokio::test]
async fn plans_without_executions_make_room() {
    let dir = tempdir().unwrap();
    let config = StoreConfig { max_bytes: 1, ..StoreConfig::default() };
    let store = Store::open(dir.path(), config).unwrap();
    let (ended, running) = (accept_plan(&store).await, accept_plan(&store).await);
    end_plan(&store, ended.id, ExecutionStatus::Failed).await;
    store.retention_pass().await.unwrap();
    assert_eq!(store.plan(ended.id).await.unwrap(), None);
    assert!(store.plan(running.id).await.unwrap().is_some());
}
