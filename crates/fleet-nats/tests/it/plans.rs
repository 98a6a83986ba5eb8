//! Plans that are handed to the fleet as a whole, and outlive the workers that conduct them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use execution_engine::*;
use execution_engine_fleet::{
    Cluster as _, FleetBackend, FleetError, FleetPlan, FleetStepState, Lane, LargeOutput,
    LogSubject, Opener, Output, PlanEvent, PlanEventKind, StopCause, StopPlan, decode, step_id,
};
use tempfile::TempDir;
use test_support::soon;
use uuid::Uuid;

use crate::test_fleet::TestFleet;

pub(crate) async fn backend(fleet: &TestFleet) -> Arc<FleetBackend> {
    Arc::new(FleetBackend::connect(fleet.cluster().await, "t", "test").await.unwrap())
}

fn spec(text: &str) -> PlanSpec {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Follows a plan to its end, and returns what was told.
pub(crate) async fn followed(backend: &FleetBackend, id: Uuid) -> (Vec<PlanEvent>, FleetPlan) {
    let mut follower = backend.follow_plan(id).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = soon("an event", follower.next()).await.unwrap() {
        events.push(event);
    }
    (events, follower.plan().clone())
}

/// Follows a plan until an event of it is as wanted.
async fn until(backend: &FleetBackend, id: Uuid, is_wanted: impl Fn(&PlanEventKind) -> bool) {
    let mut follower = backend.follow_plan(id).await.unwrap();
    while let Some(event) = soon("an event", follower.next()).await.unwrap() {
        if is_wanted(&event.kind) {
            return;
        }
    }
    panic!("the plan ended: {:?}", follower.plan().ending);
}

fn ended(step: usize) -> impl Fn(&PlanEventKind) -> bool {
    move |kind| matches!(kind, PlanEventKind::Ended(end) if end.step == step)
}

/// A directory in which each start of a step adds a line to the file of the step.
struct Starts(TempDir);

impl Starts {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn of(&self, step: usize) -> usize {
        std::fs::read_to_string(self.path().join(step.to_string()))
            .unwrap_or_default()
            .lines()
            .count()
    }

    /// Lets steps go on that wait for this file.
    fn allow(&self, name: &str) {
        std::fs::write(self.path().join(name), "").unwrap();
    }
}

/// Returns a plan of 20 steps in layers: each takes the output of one of the layer before. Steps 6 and
/// 14 wait until they are allowed to go on. Step 9 fails, and the two behind it are skipped.
fn layers(starts: &Starts) -> PlanSpec {
    let dir = starts.path().display();
    let mut steps = String::new();
    for step in 0..20_usize {
        let wait = if matches!(step, 6 | 14) {
            format!("until test -e {dir}/go{step}; do sleep 0.05; done; ")
        } else {
            String::new()
        };
        let end = if step == 9 { "exit 3" } else { "echo $V-$0" };
        let line = format!("echo x >> {dir}/{step}; {wait}{end}").replace("$0", &step.to_string());
        let from = match step {
            0..=3 => String::new(),
            _ => format!(
                r#", "inputs": [{{"from": {}, "to": {{"type": "env", "name": "V"}}}}]"#,
                step - 4
            ),
        };
        let comma = if step == 0 { "" } else { "," };
        write!(steps, r#"{comma}{{"name": "s{step}", "command": "{line}"{from}}}"#).unwrap();
    }
    spec(&format!(r#"{{"failure_policy": "finish_independent", "steps": [{steps}]}}"#))
}

/// Returns the workers that conducted a plan.
fn conductors(events: &[PlanEvent]) -> Vec<&str> {
    fn conductor(event: &PlanEvent) -> Option<&str> {
        match &event.kind {
            PlanEventKind::Conducted { worker } => Some(worker),
            _ => None,
        }
    }
    events.iter().filter_map(conductor).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_on_when_its_conductors_are_lost() {
    let fleet = TestFleet::start().await;
    let (backend, starts) = (backend(&fleet).await, Starts::new());
    let _hands = fleet.worker("hands").await;
    let first = fleet.conductor("c1").await;
    let spec = layers(&starts);
    let id = backend.submit_plan(spec.clone()).await.unwrap();
    let watching = {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { followed(&backend, id).await })
    };
    until(&backend, id, ended(5)).await;
    // Lost: nothing of it is told, given back, or announced any more.
    first.run.abort();
    let second = fleet.conductor("c2").await;
    // It ends while nothing conducts the plan.
    starts.allow("go6");
    until(&backend, id, ended(10)).await;
    second.run.abort();
    let _third = fleet.conductor("c3").await;
    starts.allow("go14");
    let (events, plan) = watching.await.unwrap();
    let (later_events, later) = followed(&backend, id).await;
    assert_eq!(events, later_events, "all see the same");
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let failed = PlanEnding::Failed { step: PlanStep { index: 9, name: Some("s9".into()) } };
    assert_eq!((&plan.ending, &later.ending), (&Some(failed.clone()), &Some(failed)));
    assert_eq!(conductors(&events), ["c1", "c2", "c3"]);
    for step in 0..20 {
        let is_skipped = matches!(step, 13 | 17);
        assert_eq!(starts.of(step), usize::from(!is_skipped), "starts of step {step}");
        let told = events.iter().filter(|event| ended(step)(&event.kind)).count();
        assert_eq!(told, usize::from(!is_skipped), "ends of step {step}");
        let state = &plan.steps[step].state;
        assert_eq!(matches!(state, FleetStepState::Skipped(_)), is_skipped, "{step}: {state:?}");
    }
    let engine = fleet.engine().await;
    let result = soon("a step", engine.wait_for_completion(step_id(id, 18))).await.unwrap();
    assert_eq!(result.stdout, "-2-6-10-14-18\n");
    // As an execution it has the code of the step that failed.
    let result = soon("the plan", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    let listed = backend.plans().await.unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].title.steps), (1, id, 20));
    assert!(engine.list_backend().await.unwrap().iter().all(|execution| execution.id != id));
    assert_eq!(backend.submit_plan(spec.clone()).await.unwrap(), id, "it is the same");
    let mut other = spec;
    other.options.steps[0].allow_failure = true;
    let other = backend.submit_plan(other).await.unwrap_err();
    assert!(matches!(other, ExecutionError::DuplicateId(_)), "{other}");
    assert_eq!(followed(&backend, id).await.0, events, "nothing was done again");
}

/// Returns a plan whose first step runs until it is stopped, and has steps behind it, one of which
/// always runs.
fn endless(starts: &Starts, more: &str) -> PlanSpec {
    let dir = starts.path().display();
    spec(&format!(
        r#"{{{more} "steps": [
            {{"name": "long", "command": "echo x >> {dir}/0; exec sleep 600"}},
            {{"name": "next", "command": "echo x >> {dir}/1", "after": ["long"]}},
            {{"name": "last", "command": "echo x >> {dir}/2", "after": ["next"], "always": true}}]}}"#
    ))
}

fn running(step: usize) -> impl Fn(&PlanEventKind) -> bool {
    move |kind| matches!(kind, PlanEventKind::Running { step: now, .. } if *now == step)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_counts_while_nothing_conducts_the_plan() {
    let fleet = TestFleet::start().await;
    let (backend, starts) = (backend(&fleet).await, Starts::new());
    let _hands = fleet.worker("hands").await;
    let first = fleet.conductor("c1").await;
    let id = backend.submit_plan(endless(&starts, "")).await.unwrap();
    until(&backend, id, running(0)).await;
    first.run.abort();
    backend.stop_plan(id, StopPlan::Cancel).await.unwrap();
    let _second = fleet.conductor("c2").await;
    let (events, plan) = followed(&backend, id).await;
    assert_eq!(plan.ending, Some(PlanEnding::Cancelled));
    let stops: Vec<_> = events
        .iter()
        .filter(|event| {
            matches!(event.kind, PlanEventKind::Stopped { cause: StopCause::Cancel, .. })
        })
        .collect();
    assert_eq!(stops.len(), 1, "{events:?}");
    assert_eq!(plan.steps[0].ending(), Some(Ending::Cancelled));
    assert_eq!((starts.of(0), starts.of(1), starts.of(2)), (1, 0, 1));
    let again = backend.stop_plan(id, StopPlan::CancelAll).await.unwrap_err();
    assert!(matches!(again, FleetError::AlreadyEnded { .. }), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_before_the_first_conductor_starts_nothing() {
    let fleet = TestFleet::start().await;
    let (backend, starts) = (backend(&fleet).await, Starts::new());
    let _hands = fleet.worker("hands").await;
    let id = backend.submit_plan(endless(&starts, "")).await.unwrap();
    assert_eq!(backend.plan(id).await.unwrap().steps.len(), 3);
    backend.stop_plan(id, StopPlan::Cancel).await.unwrap();
    let _conductor = fleet.conductor("c1").await;
    let (_, plan) = followed(&backend, id).await;
    assert_eq!(plan.ending, Some(PlanEnding::Cancelled));
    assert_eq!((starts.of(0), starts.of(1), starts.of(2)), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_comes_that_passed_while_nothing_conducted_the_plan() {
    let fleet = TestFleet::start().await;
    let (backend, starts) = (backend(&fleet).await, Starts::new());
    let _hands = fleet.worker("hands").await;
    let id = backend.submit_plan(endless(&starts, r#""deadline_ms": 4000,"#)).await.unwrap();
    let first = fleet.conductor("c1").await;
    until(&backend, id, running(0)).await;
    first.run.abort();
    let _second = fleet.conductor("c2").await;
    let (_, plan) = followed(&backend, id).await;
    assert_eq!(plan.ending, Some(PlanEnding::DeadlineReached { deadline_ms: 4000 }));
    assert_eq!((starts.of(0), starts.of(1), starts.of(2)), (1, 0, 1));
    let engine = fleet.engine().await;
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Timeout);
}

/// A cancel of the plan's execution is its ending at once, so no conductor can report another one.
#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_cancelled_plan_are_stopped_though_its_conductor_is_lost() {
    let fleet = TestFleet::start().await;
    let (backend, starts) = (backend(&fleet).await, Starts::new());
    let hands = fleet.worker("hands").await;
    let first = fleet.conductor("c1").await;
    let id = backend.submit_plan(endless(&starts, "")).await.unwrap();
    until(&backend, id, running(0)).await;
    first.run.abort();
    backend.cancel(id, None).await.unwrap();
    let _second = fleet.conductor("c2").await;
    let engine = fleet.engine().await;
    let step = soon("the step", engine.wait_for_completion(step_id(id, 0))).await.unwrap();
    assert_eq!(step.ending, Ending::Cancelled);
    let (_, plan) = followed(&backend, id).await;
    assert_eq!(plan.ending, Some(PlanEnding::Cancelled));
    crate::common::emptied(&*fleet.cluster().await, "t").await;
    assert_eq!((starts.of(0), starts.of(1), starts.of(2)), (1, 0, 0));
    assert_eq!(hands.engine.running_count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_gives_its_plans_away_at_once() {
    let fleet = TestFleet::start().await;
    let (backend, starts) = (backend(&fleet).await, Starts::new());
    let _hands = fleet.worker("hands").await;
    let first = fleet.conductor("c1").await;
    let id = backend.submit_plan(endless(&starts, "")).await.unwrap();
    until(&backend, id, running(0)).await;
    let _second = fleet.conductor("c2").await;
    first.worker.drain();
    soon("the end of the first worker", first.run).await.unwrap();
    until(
        &backend,
        id,
        |kind| matches!(kind, PlanEventKind::Conducted { worker } if worker == "c2"),
    )
    .await;
    backend.stop_plan(id, StopPlan::CancelAll).await.unwrap();
    let (_, plan) = followed(&backend, id).await;
    assert_eq!(plan.ending, Some(PlanEnding::Cancelled));
    assert_eq!((starts.of(0), starts.of(1), starts.of(2)), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_step_takes_is_sealed_and_may_be_large() {
    let fleet = TestFleet::start().await;
    let backend = backend(&fleet).await;
    let _hands = fleet.worker("hands").await;
    let _conductor = fleet.conductor("c1").await;
    let secret = r#"{"env": {"TOKEN": "hunter2"}, "steps": [
        {"name": "make", "command": "head -c 900000 /dev/zero | tr '\\0' x; echo $TOKEN"},
        {"name": "count", "command": "wc -c", "inputs": [{"from": "make", "to": {"type": "stdin"}}]},
        {"name": "check", "command": "echo $TOKEN $OF", "inputs": [{"from": "count", "to": {"type": "env", "name": "OF"}}]},
        {"name": "none", "command": "true", "inputs": [
            {"from": "make", "to": {"type": "env", "name": "V"}, "max_bytes": 10}]}]}"#;
    let id = backend.submit_plan(spec(secret)).await.unwrap();
    let (events, plan) = followed(&backend, id).await;
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains("wc -c") && !text.contains("hunter2"), "{text}");
    let ending = plan.steps[3].ending().unwrap();
    assert!(matches!(&ending, Ending::NotRun { reason: SkipReason::Input { .. } }), "{ending:?}");
    let engine = fleet.engine().await;
    let result = soon("the last step", engine.wait_for_completion(step_id(id, 2))).await.unwrap();
    assert_eq!(result.stdout, "hunter2 900008\n");
    assert!(matches!(plan.ending, Some(PlanEnding::Failed { .. })), "{:?}", plan.ending);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_that_could_not_run_are_refused_with_their_step() {
    let fleet = TestFleet::start().await;
    let backend = backend(&fleet).await;
    let steps: Vec<String> = (0..12)
        .map(|_| format!(r#"{{"command": "true", "env": {{"A": "{}"}}}}"#, "x".repeat(100_000)))
        .collect();
    let too_large = format!(r#"{{"steps": [{}]}}"#, steps.join(","));
    let cases = [
        (r#"{"steps": []}"#.to_owned(), "no commands"),
        (
            r#"{"steps": [{"command": "true"}, {"name": "b", "command": "true", "working_dir": "x"}]}"#
                .to_owned(),
            r#"step 1 ("b"): options: working_dir"#,
        ),
        (
            r#"{"steps": [{"command": "true", "options": {"retry": 3}}]}"#.to_owned(),
            "step 0: options: retry",
        ),
        (
            r#"{"steps": [{"command": "true", "options": {"requires": {"pool": "gpu"}}}]}"#.to_owned(),
            "no pool is named \"gpu\"; there are p",
        ),
        (too_large, "make several plans of it"),
    ];
    for (text, expected) in cases {
        let error = backend.submit_plan(spec(&text)).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(backend.plans().await.unwrap().is_empty());
    let execution = fleet.engine().await.execute(ExecutionRequest::shell("true")).await.unwrap();
    let error = backend.follow_plan(execution).await.err().unwrap();
    assert_eq!(error, FleetError::NoPlan(execution));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_key_of_a_plan_leaves_it_to_another() {
    let fleet = TestFleet::start().await;
    let backend = backend(&fleet).await;
    let _hands = fleet.worker("hands").await;
    let none = Arc::new(Opener::new([]).unwrap());
    let _without_key = fleet.conductor_for("c1", none, LargeOutput::default()).await;
    let id = backend.submit_plan(spec(r#"{"steps": [{"command": "true"}]}"#)).await.unwrap();
    let _with_key = fleet.conductor("c2").await;
    let (events, plan) = followed(&backend, id).await;
    assert_eq!(plan.ending, Some(PlanEnding::Completed));
    assert_eq!(conductors(&events), ["c2"]);
}

/// Objects may be full, and then output is given up.
#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_plan_are_in_the_log_however_many_they_are() {
    let fleet = TestFleet::start().await;
    let backend = backend(&fleet).await;
    let _hands = fleet.worker("hands").await;
    let large = LargeOutput { after: 1, ..LargeOutput::default() };
    let _conductor = fleet.conductor_for("c1", fleet.opener(), large).await;
    let id = backend.submit_plan(spec(r#"{"steps": [{"command": "true"}]}"#)).await.unwrap();
    let (events, _) = followed(&backend, id).await;
    assert!(events.len() > 2, "{events:?}");
    let subject = LogSubject { tenant: "t".into(), id, lane: Lane::Output };
    let part = fleet.cluster().await.read(&subject, 1, 0).await.unwrap();
    let records = part.records.iter().map(|(_, bytes)| decode::<Output>(bytes).unwrap());
    let records: Vec<Output> = records.collect();
    assert!(records.len() > 1 && records.iter().all(|it| it.object.is_none()), "{records:?}");
}
