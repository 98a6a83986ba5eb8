//! Claims, and what becomes of them when records are forgotten.

use execution_engine::{
    ExecutionConfig, ExecutionOptions, ExecutionRequest, ExecutionStrategy, PlanOptions, PlanSpec,
    StdinSource,
};
use futures_util::FutureExt;

use super::*;

fn engine(remembered: usize) -> ExecutionEngine {
    let config = ExecutionConfig { max_in_memory_executions: remembered, ..Default::default() };
    ExecutionEngine::new(config).unwrap()
}

fn page(label: &str) -> PageId {
    PageId::of_window(label)
}

fn owner(owners: &Owners, id: Uuid) -> Option<String> {
    match owners.owner_now(id) {
        Owner::Page(page) => Some(page.webview.clone()),
        Owner::App | Owner::Undecided => None,
    }
}

/// Starts a program that waits for input, as a page does.
async fn start(owners: &Owners, engine: &ExecutionEngine, label: &str) -> Uuid {
    let request = ExecutionRequest::program("cat");
    let claim = owners.claim_execution(engine, page(label), request.id).await.unwrap();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let id = engine.execute_with(request, options).await.unwrap();
    claim.accept();
    id
}

fn two_steps() -> ExecutionPlan {
    ExecutionPlan {
        id: Uuid::new_v4(),
        description: None,
        strategy: ExecutionStrategy::Serial { stop_on_error: true },
        commands: vec![ExecutionRequest::program("cat"), ExecutionRequest::program("true")],
        metadata: Default::default(),
    }
}

#[tokio::test]
async fn an_id_in_use_cannot_be_claimed() {
    let (owners, engine) = (Owners::default(), engine(10));
    let of_page = start(&owners, &engine, "a").await;
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let of_app =
        engine.execute_with(ExecutionRequest::program("cat"), options.clone()).await.unwrap();
    let plan = two_steps();
    let ids = ids_of(&plan);
    let claim = owners.claim_plan(&engine, page("a"), &plan).await.unwrap();
    let spec = PlanSpec::new(plan, PlanOptions::default().defaults(options));
    engine.execute_plan(spec).await.unwrap();
    claim.accept();
    for id in ids.iter().chain([&of_page, &of_app]) {
        let before = owner(&owners, *id);
        let claim = owners.claim_execution(&engine, page("b"), *id).await.map(|_| ());
        assert_eq!(claim, Err(ExecutionError::DuplicateId(*id)));
        assert_eq!(owner(&owners, *id), before, "the attempt changes nothing");
    }
}

#[tokio::test]
async fn a_claim_that_comes_to_nothing_is_taken_back() {
    let (owners, engine, id) = (Owners::default(), engine(10), Uuid::new_v4());
    let claim = owners.claim_execution(&engine, page("a"), id).await.unwrap();
    assert_eq!(owners.owner_now(id), Owner::Undecided, "the engine may refuse it");
    let second = owners.claim_execution(&engine, page("b"), id).await.map(|_| ());
    assert_eq!(second, Err(ExecutionError::DuplicateId(id)), "it is about to start");
    drop(claim);
    assert_eq!(owners.owner_now(id), Owner::App);
    assert!(owners.claim_execution(&engine, page("b"), id).await.is_ok());
}

#[tokio::test]
async fn a_refused_id_belongs_to_whom_it_belonged_before() {
    let (owners, engine) = (Owners::default(), engine(10));
    // A step that waits is unknown to callers of the engine.
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let of_app = two_steps();
    let (plan, step) = (of_app.id, of_app.commands[1].id);
    let spec = PlanSpec::new(of_app, PlanOptions::default().defaults(options));
    engine.execute_plan(spec).await.unwrap();
    // The app gives an execution that it will start.
    let given = Uuid::new_v4();
    owners.give_execution(given, page("b"));
    for (id, before) in [(step, Owner::App), (given, Owner::Page(Arc::new(page("b"))))] {
        let claim = owners.claim_execution(&engine, page("a"), id).await.unwrap();
        assert_eq!(owners.owner_now(id), Owner::Undecided);
        drop(claim);
        assert_eq!(owners.owner_now(id), before);
    }
    let request = ExecutionRequest { id: step, ..ExecutionRequest::program("true") };
    assert_eq!(engine.execute(request).await, Err(ExecutionError::DuplicateId(step)));
    engine.cancel_plan(plan).await.unwrap();
}

#[tokio::test]
async fn the_owner_of_what_starts_is_waited_for() {
    let (owners, engine, id) = (Owners::default(), engine(10), Uuid::new_v4());
    for is_accepted in [false, true] {
        let claim = owners.claim_execution(&engine, page("a"), id).await.unwrap();
        let mut asked = Box::pin(owners.owner(id));
        assert!(asked.as_mut().now_or_never().is_none(), "the engine has not answered");
        if is_accepted {
            claim.accept();
        } else {
            drop(claim);
        }
        let expected = is_accepted.then(|| Arc::new(page("a")));
        assert_eq!(asked.await, expected);
    }
}

#[tokio::test]
async fn an_id_whose_log_is_left_cannot_be_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = Some(dir.path().to_path_buf());
    let engine = ExecutionEngine::new(ExecutionConfig { log_dir, ..Default::default() }).unwrap();
    let (owners, request) = (Owners::default(), ExecutionRequest::shell("echo secret"));
    let id = request.id;
    engine.run(request).await.unwrap();
    engine.remove_execution(id).await.unwrap();
    let claim = owners.claim_execution(&engine, page("b"), id).await.map(|_| ());
    assert_eq!(claim, Err(ExecutionError::DuplicateId(id)));
    let step = ExecutionRequest { id, ..ExecutionRequest::program("true") };
    let plan = ExecutionPlan { commands: vec![step], ..two_steps() };
    let claim = owners.claim_plan(&engine, page("b"), &plan).await.map(|_| ());
    assert_eq!(claim, Err(ExecutionError::DuplicateId(id)));
    assert!(owners.claim_execution(&engine, page("b"), Uuid::new_v4()).await.is_ok());
}

#[tokio::test]
async fn what_the_engine_has_forgotten_can_be_claimed_by_anyone() {
    let (owners, engine) = (Owners::default(), engine(10));
    let id = start(&owners, &engine, "a").await;
    engine.cancel(id).await.unwrap();
    engine.wait_for_completion(id).await.unwrap();
    let taken = owners.claim_execution(&engine, page("b"), id).await.map(|_| ());
    assert_eq!(taken, Err(ExecutionError::DuplicateId(id)), "the record is remembered");
    engine.remove_execution(id).await.unwrap();
    owners.claim_execution(&engine, page("b"), id).await.unwrap().accept();
    assert_eq!(owner(&owners, id).as_deref(), Some("b"));
}

#[tokio::test]
async fn owners_are_forgotten_with_the_records() {
    let (owners, engine) = (Owners::default(), engine(5));
    let first = start(&owners, &engine, "a").await;
    for _ in 0..4 * MIN_SWEEP {
        let request = ExecutionRequest::program("true");
        let claim = owners.claim_execution(&engine, page("a"), request.id).await.unwrap();
        engine.run(request).await.unwrap();
        claim.accept();
    }
    let left = owners.lock().entries.len();
    assert!(left <= 3 * MIN_SWEEP, "{left} entries for 6 executions");
    assert_eq!(owner(&owners, first).as_deref(), Some("a"), "it still runs");
    engine.cancel(first).await.unwrap();
}

#[test]
fn steps_stay_as_long_as_their_plan_is_known() {
    let (owners, plan) = (Owners::default(), two_steps());
    owners.give_plan(&plan, page("a"));
    let known = HashSet::from([plan.id]);
    for _ in 0..3 {
        owners.lock().retain(&known);
    }
    assert!(ids_of(&plan).iter().all(|id| owner(&owners, *id).as_deref() == Some("a")));
    owners.lock().retain(&HashSet::new());
    assert!(owner(&owners, plan.id).is_some(), "readers of its last events may be left");
    owners.lock().retain(&HashSet::new());
    assert!(ids_of(&plan).iter().all(|id| owner(&owners, *id).is_none()));
}

#[tokio::test]
async fn giving_replaces_the_owner() {
    let (owners, engine) = (Owners::default(), engine(10));
    let id = start(&owners, &engine, "a").await;
    owners.give_execution(id, page("b"));
    assert_eq!(owner(&owners, id).as_deref(), Some("b"));
    engine.cancel(id).await.unwrap();
}
