//! Plans of the service, with real steps.

use std::fs;
use std::path::Path;

use execution_engine::*;
use execution_engine_server::*;
use serde_json::{Value, json};
use test_support::{soon, until};
use uuid::Uuid;

use crate::support::*;

/// Returns a plan whose steps have a usual environment, in the directory of the home.
fn plan(home: &Home, mut spec: Value) -> NewPlan {
    spec["working_dir"] = json!(home.file(""));
    let mut spec: PlanSpec = serde_json::from_value(spec).unwrap();
    spec.options = spec.options.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    NewPlan::new(spec)
}

async fn submit(service: &Service, new: NewPlan) -> Uuid {
    let submitted = service.submit_plan(new, None, OWNER).await.unwrap();
    assert!(submitted.created);
    submitted.plan.id
}

/// Waits until a plan has ended.
async fn plan_ended(service: &Service, id: Uuid) -> PlanView {
    let mut after = 0;
    loop {
        let view = soon("a change", service.plan_changes(id, after)).await.unwrap();
        if view.ended_at.is_some() {
            return view;
        }
        assert!(view.version > after, "{view:?}");
        after = view.version;
    }
}

async fn step_is(service: &Service, id: Uuid, step: usize, status: StepStatus) {
    let mut after = 0;
    loop {
        let view = soon("a change", service.plan_changes(id, after)).await.unwrap();
        if view.steps.iter().any(|it| it.index == step && it.status == status) {
            return;
        }
        assert!(view.ended_at.is_none(), "it ended before: {view:?}");
        after = view.version;
    }
}

fn statuses(view: &PlanView) -> Vec<&'static str> {
    view.steps.iter().map(|step| step.status.as_str()).collect()
}

fn lines(path: &Path) -> Vec<String> {
    let mut all: Vec<String> =
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_string).collect();
    all.sort();
    all
}

#[tokio::test]
async fn plan_runs_to_its_end_and_shows_each_step() {
    let home = Home::new();
    let service = home.open().await;
    let new = plan(
        &home,
        json!({"description": "release", "env": {"PROFILE": "fast"}, "steps": [
            {"name": "version", "command": "printf '1.4\\n'"},
            {"name": "lint", "command": "exit 3", "allow_failure": true},
            {"name": "build", "command": ["sh", "-c", "echo $VERSION $PROFILE; pwd"], "after": ["lint"],
             "inputs": [{"from": "version", "to": {"type": "env", "name": "VERSION"}}]},
            {"name": "count", "command": "wc -c",
             "inputs": [{"from": "build", "to": {"type": "stdin"}}]},
            {"name": "rollback", "command": "true", "only_if": [{"type": "failed", "step": "build"}]}
        ]}),
    );
    let id = submit(&service, new).await;
    let view = plan_ended(&service, id).await;
    assert_eq!((view.status, &view.error), (ExecutionStatus::Completed, &None), "{view:?}");
    assert_eq!(statuses(&view), ["completed", "failed", "completed", "completed", "skipped"]);
    assert!(view.steps[1].failure_allowed && view.steps[4].error.is_some());
    let counts = view.counts;
    assert_eq!((counts.total, counts.completed, counts.failed, counts.skipped), (5, 3, 1, 1));
    assert_eq!((counts.allowed_failures, counts.over()), (1, 5));

    let build = view.steps[2].execution.unwrap();
    let expected = format!("1.4 fast\n{}\n", home.file("").canonicalize().unwrap().display());
    assert_eq!(output(&service, build, None).await, expected.as_bytes());
    let counted = output(&service, view.steps[3].execution.unwrap(), None).await;
    assert_eq!(String::from_utf8_lossy(&counted).trim(), expected.len().to_string());
    let execution = service.get(build).await.unwrap();
    assert_eq!((execution.plan, execution.step), (Some(id), Some(2)));
    let of_plan = Query { plan: Some(id), ..Query::default() };
    assert_eq!(service.list(of_plan).await.unwrap().executions.len(), 4);

    // The same from the store, by the next service.
    service.close().await;
    let service = home.open().await;
    let again = service.plan(service.resolve_plan("@last").await.unwrap()).await.unwrap();
    assert_eq!((again.steps, again.ending), (view.steps, Some(PlanEnding::Completed)));
    assert_eq!(again.description.as_deref(), Some("release"));
    let error = service.resume_plan(id, ResumePlan::default()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AlreadyEnded, "{error}");
    service.remove_plan(id).await.unwrap();
    assert_eq!(service.plan(id).await.unwrap_err().code, ErrorCode::UnknownPlan);
    service.get(build).await.unwrap();
}

#[tokio::test]
async fn resumed_plan_runs_only_what_has_not_completed() {
    let home = Home::new();
    let service = home.open().await;
    let log = home.file("log");
    let new = plan(
        &home,
        json!({"steps": [
            {"name": "fetch", "command": "until test -e go; do sleep 0.01; done; echo fetch >> log"},
            {"name": "build", "command": "echo build >> log; cat ready", "after": ["fetch"]},
            {"name": "ship", "command": "echo ship $TOKEN >> log", "after": ["build"], "env": {"TOKEN": "t"}},
            {"name": "clean", "command": "echo clean >> log", "after": ["ship"], "always": true}
        ]}),
    );
    let id = submit(&service, new).await;
    let early = service.resume_plan(id, ResumePlan::default()).await.unwrap_err();
    assert_eq!(early.code, ErrorCode::NotEnded, "{early}");
    fs::write(home.file("go"), "").unwrap();
    let first = plan_ended(&service, id).await;
    assert_eq!(first.status, ExecutionStatus::Failed);
    assert_eq!(statuses(&first), ["completed", "failed", "skipped", "completed"]);
    assert!(first.error.as_ref().unwrap().contains("\"build\""), "{first:?}");

    fs::write(home.file("ready"), "").unwrap();
    service.close().await;
    let service = home.open().await;
    let resume = ResumePlan { after_round: Some(first.round) };
    service.resume_plan(id, resume).await.unwrap();
    let second = plan_ended(&service, id).await;
    assert_eq!((second.status, second.round), (ExecutionStatus::Completed, first.round + 1));
    assert_eq!(statuses(&second), ["completed"; 4]);
    let kept: Vec<bool> = second.steps.iter().map(|step| step.kept).collect();
    assert_eq!(kept, [true, false, false, false], "the cleanup comes behind what ran again");
    assert_eq!(second.steps[0].execution, first.steps[0].execution);
    assert_eq!(lines(&log), ["build", "build", "clean", "clean", "fetch", "ship t"]);
}

#[tokio::test]
async fn cancel_stops_all_but_the_cleanup_and_the_deadline_does_so_too() {
    let home = Home::new();
    let service = home.open().await;
    let steps = |cleanup: &str| {
        json!([
            {"name": "long", "command": "exec sleep 1000"},
            {"name": "next", "command": "true", "after": ["long"]},
            {"name": "clean", "command": cleanup, "after": ["next"], "always": true}
        ])
    };
    let id = submit(&service, plan(&home, json!({"steps": steps("true")}))).await;
    step_is(&service, id, 0, StepStatus::Running).await;
    let stopping = service.cancel_plan(id, CancelPlan::default()).await.unwrap();
    assert!(stopping.stopping || stopping.ended_at.is_some(), "{stopping:?}");
    let view = plan_ended(&service, id).await;
    assert_eq!(view.status, ExecutionStatus::Cancelled);
    assert_eq!(statuses(&view), ["cancelled", "skipped", "completed"]);
    let again = service.cancel_plan(id, CancelPlan::default()).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::AlreadyEnded);

    let id = submit(&service, plan(&home, json!({"steps": steps("exec sleep 1000")}))).await;
    step_is(&service, id, 0, StepStatus::Running).await;
    service.cancel_plan(id, CancelPlan::default()).await.unwrap();
    step_is(&service, id, 2, StepStatus::Running).await;
    service.cancel_plan(id, CancelPlan { all: true }).await.unwrap();
    assert_eq!(statuses(&plan_ended(&service, id).await), ["cancelled", "skipped", "cancelled"]);

    let late = json!({"deadline_ms": 300, "steps": steps("true")});
    let id = submit(&service, plan(&home, late)).await;
    let view = plan_ended(&service, id).await;
    assert_eq!(view.ending, Some(PlanEnding::DeadlineReached { deadline_ms: 300 }));
    // On a machine that is busy enough the first has not been submitted by then.
    assert!(["cancelled", "skipped"].contains(&statuses(&view)[0]), "{view:?}");
    assert_eq!(statuses(&view)[1..], ["skipped", "completed"]);
}

#[tokio::test]
async fn limits_policies_and_bad_inputs_are_as_in_the_engine() {
    let home = Home::new().max_running(4);
    let service = home.open().await;
    let steps: Vec<Value> =
        (0..6).map(|_| json!({"command": "mkdir busy && sleep 0.01 && rmdir busy"})).collect();
    let id = submit(&service, plan(&home, json!({"max_concurrency": 1, "steps": steps}))).await;
    let view = plan_ended(&service, id).await;
    assert_eq!(view.status, ExecutionStatus::Completed, "one at a time: {view:?}");

    let policy = json!({"failure_policy": "cancel_at_first_error", "steps": [
        {"name": "long", "command": "exec sleep 1000"},
        {"name": "waits", "command": "until test -d started; do sleep 0.01; done; exit 4"},
        {"name": "mark", "command": "mkdir started"}
    ]});
    let id = submit(&service, plan(&home, policy)).await;
    let view = plan_ended(&service, id).await;
    assert_eq!(statuses(&view), ["cancelled", "failed", "completed"]);
    assert!(matches!(view.ending, Some(PlanEnding::Failed { ref step }) if step.index == 1));

    let bad = json!({"steps": [
        {"name": "nul", "command": "printf 'a\\000b'"},
        {"name": "takes", "command": "true", "inputs": [
            {"from": "nul", "to": {"type": "env", "name": "X"}}]},
        {"name": "missing", "command": ["/no/such/program"]}
    ]});
    let id = submit(&service, plan(&home, bad)).await;
    let view = plan_ended(&service, id).await;
    assert_eq!(statuses(&view), ["completed", "failed", "failed"]);
    assert!(view.steps[1].error.as_ref().unwrap().contains("NUL byte"), "{view:?}");
    assert!(view.steps[2].error.as_ref().unwrap().contains("/no/such/program"), "{view:?}");
}

#[tokio::test]
async fn failure_takes_steps_out_of_the_queue_that_have_not_started() {
    let home = Home::new().max_running(2);
    let service = home.open().await;
    let mut steps =
        vec![json!({"name": "bad", "command": "until test -e go; do sleep 0.01; done; exit 3"})];
    steps.extend(
        (0..100)
            .map(|_| json!({"command": "until test -e go; do sleep 0.01; done; echo ran >> log"})),
    );
    steps.push(
        json!({"name": "clean", "command": "echo clean >> log", "always": true, "after": ["bad"]}),
    );
    let new = plan(&home, json!({"failure_policy": "stop_at_first_error", "steps": steps}));
    let id = submit(&service, new).await;
    step_is(&service, id, 0, StepStatus::Running).await;
    step_is(&service, id, 100, StepStatus::Queued).await;
    fs::write(home.file("go"), "").unwrap();
    let view = plan_ended(&service, id).await;
    assert!(matches!(view.ending, Some(PlanEnding::Failed { ref step }) if step.index == 0));
    let ran = lines(&home.file("log")).into_iter().filter(|line| line == "ran").count();
    // What had a slot goes on, and some may have got one before the failure was known.
    assert_eq!(view.counts.completed, ran + 1, "{view:?}");
    assert!(view.counts.skipped > 50, "{:?}", view.counts);
    assert_eq!(view.counts.skipped + view.counts.completed + 1, 102, "{:?}", view.counts);
    let Some(Ending::NotRun { reason: SkipReason::PlanStopped { step } }) = &view.steps[100].ending
    else {
        panic!("{:?}", view.steps[100]);
    };
    assert_eq!(step.index, 0);
}

#[tokio::test]
async fn no_step_starts_once_a_cancel_has_returned() {
    let home = Home::new();
    let service = home.open().await;
    let steps: Vec<Value> = (0..2_000).map(|_| json!({"command": "echo ran >> log"})).collect();
    let id = submit(&service, plan(&home, json!({"steps": steps}))).await;
    step_is(&service, id, 0, StepStatus::Completed).await;
    service.cancel_plan(id, CancelPlan::default()).await.unwrap();
    let of_plan = Query { plan: Some(id), limit: Some(1000), ..Query::default() };
    let accepted = service.list(of_plan.clone()).await.unwrap();
    let view = plan_ended(&service, id).await;
    assert_eq!(view.status, ExecutionStatus::Cancelled);
    let later = service.list(of_plan).await.unwrap();
    assert_eq!(later.executions.len(), accepted.executions.len());
    assert_eq!(later.next.is_some(), accepted.next.is_some());
    assert!(view.counts.skipped > 0, "{:?}", view.counts);
}

#[tokio::test]
async fn step_takes_what_the_last_attempt_has_written() {
    let home = Home::new();
    let service = home.open().await;
    let new = plan(
        &home,
        json!({"steps": [
            {"name": "version", "options": {"retry": {"attempts": 3, "initial_delay_ms": 1}},
             "command": "if mkdir first; then echo half; exit 1; fi; echo 1.4; echo no >&2"},
            {"name": "use", "command": "echo $VERSION; cat", "inputs": [
                {"from": "version", "to": {"type": "env", "name": "VERSION"}},
                {"from": "version", "to": {"type": "stdin"}}]},
            {"name": "long", "command": "yes | head -c 3000000"},
            {"name": "refuses", "command": "true", "inputs": [
                {"from": "long", "to": {"type": "stdin"}}]}
        ]}),
    );
    let id = submit(&service, new).await;
    let view = plan_ended(&service, id).await;
    assert_eq!(statuses(&view), ["completed", "completed", "completed", "failed"], "{view:?}");
    assert_eq!(view.steps[0].attempts, 2);
    let used = output(&service, view.steps[1].execution.unwrap(), None).await;
    assert_eq!(String::from_utf8_lossy(&used), "1.4\n1.4\n");
    let why = view.steps[3].error.as_ref().unwrap();
    assert!(why.contains("3000000 bytes, and the limit is 1048576"), "{why}");
}

#[tokio::test]
async fn resume_right_at_the_end_of_a_round_is_followed_and_stopped() {
    let home = Home::new();
    let service = home.open().await;
    let new = plan(
        &home,
        json!({"steps": [
        {"name": "fails", "command": "mkdir first && exit 1; exec sleep 1000"}]}),
    );
    let id = submit(&service, new).await;
    // As soon as the end can be read, which is before those who follow it are told.
    while soon("the end", service.plan(id)).await.unwrap().ended_at.is_none() {
        tokio::task::yield_now().await;
    }
    service.resume_plan(id, ResumePlan::default()).await.unwrap();
    step_is(&service, id, 0, StepStatus::Running).await;
    let listed = service.list_plans(PlanQuery::default()).await.unwrap();
    assert_eq!((listed.plans[0].round, listed.plans[0].counts.running), (2, 1));
    service.cancel_plan(id, CancelPlan::default()).await.unwrap();
    assert_eq!(statuses(&plan_ended(&service, id).await), ["cancelled"]);
    let listed = service.list_plans(PlanQuery::default()).await.unwrap();
    assert_eq!((listed.plans[0].counts.failed, listed.plans[0].counts.total), (1, 1));
}

#[tokio::test]
async fn plan_that_cannot_be_read_waits_for_its_key_and_is_not_begun_again() {
    let home = Home::new();
    let service = home.open().await;
    let new = plan(
        &home,
        json!({"steps": [
        {"name": "one", "command": "echo one >> log; until test -e go; do sleep 0.01; done"},
        {"name": "two", "command": "echo two >> log", "after": ["one"]}]}),
    );
    let id = submit(&service, new).await;
    until("the first step runs", || home.file("log").exists()).await;
    service.close().await;
    let (key, kept) = (home.state().join("key"), home.file("kept-key"));
    fs::rename(&key, &kept).unwrap();

    let service = home.open().await;
    fs::write(home.file("go"), "").unwrap();
    let mut view = service.plan(id).await.unwrap();
    while view.error.is_none() || view.steps[0].execution.is_none() {
        view = soon("a change", service.plan_changes(id, 0)).await.unwrap();
    }
    ended(&service, view.steps[0].execution.unwrap()).await;
    assert_eq!((view.status, view.ended_at), (ExecutionStatus::Running, None));
    assert!(view.error.unwrap().contains("key"), "it says why");
    service.close().await;

    fs::rename(&kept, &key).unwrap();
    let service = home.open().await;
    let view = plan_ended(&service, id).await;
    assert_eq!(view.status, ExecutionStatus::Completed, "{view:?}");
    assert_eq!(lines(&home.file("log")), ["one", "two"]);
}

#[tokio::test]
async fn same_key_is_the_same_plan_and_what_is_wrong_is_named() {
    let home = Home::new();
    let service = home.open().await;
    let new = |line: &str| plan(&home, json!({"steps": [{"command": line}]}));
    let first = service.submit_plan(new("true"), Some("k"), OWNER).await.unwrap();
    let again = service.submit_plan(new("true"), Some("k"), OWNER).await.unwrap();
    assert_eq!((again.plan.id, again.created), (first.plan.id, false));
    let other = service.submit_plan(new("false"), Some("k"), OWNER).await.unwrap_err();
    assert_eq!((other.code, other.field.as_deref()), (ErrorCode::KeyReused, Some("key")));

    let bad = plan(
        &home,
        json!({"steps": [
        {"name": "a", "command": "true", "after": ["b"]},
        {"name": "b", "command": "true", "after": ["a"]}]}),
    );
    let error = service.submit_plan(bad, None, OWNER).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.detail.contains("\"a\"") && error.detail.contains("\"b\""), "{error}");
    let page = service.list_plans(PlanQuery::default()).await.unwrap();
    assert_eq!(page.plans.len(), 1, "a plan that is refused leaves nothing");
}

#[tokio::test]
async fn values_are_sealed_and_erased_when_the_plan_has_completed() {
    let home = Home::new();
    let service = home.open().await;
    let mut new = plan(
        &home,
        json!({"env": {"SHARED": "hidden-value-1"}, "steps": [
            {"name": "wait", "command": "until test -e go; do sleep 0.01; done"},
            {"name": "use", "command": "printf %s $SHARED$OWN$INHERITED | wc -c > length",
             "env": {"OWN": "hidden-value-2"}, "after": ["wait"]}
        ]}),
    );
    let value = "hidden-value-3".to_string();
    new.inherited_env.insert("INHERITED".to_string().into(), value.into());
    let id = submit(&service, new).await;
    step_is(&service, id, 0, StepStatus::Running).await;
    let holds = |bytes: &[u8]| bytes.windows(13).any(|part| part == b"hidden-value-");
    let is_kept_in = || {
        let of = |(path, bytes): (_, Vec<u8>)| holds(&bytes).then_some(path);
        home.contents().into_iter().filter_map(of).collect::<Vec<_>>()
    };
    assert!(!holds(&serde_json::to_vec(&service.plan(id).await.unwrap()).unwrap()));
    assert_eq!(is_kept_in(), Vec::<PathBuf>::new());
    fs::write(home.file("go"), "").unwrap();
    assert_eq!(plan_ended(&service, id).await.status, ExecutionStatus::Completed);
    service.close().await;
    assert_eq!(fs::read_to_string(home.file("length")).unwrap().trim(), "42");
    assert_eq!(is_kept_in(), Vec::<PathBuf>::new());
}

/// Points of the service that the plan below passes.
const POINTS: [&str; 10] = [
    "plan_before_step",
    "plan_before_step:3",
    "accept_applied:2",
    "accept_committed:3",
    "plan_after_step:2",
    "ended_committed:2",
    "end_step_unstarted_applied",
    "end_step_unstarted_committed",
    "plan_before_end",
    "end_plan_committed",
];

#[tokio::test]
async fn death_at_any_step_of_a_plan_loses_nothing_and_runs_nothing_twice() {
    for point in POINTS {
        let home = Home::new();
        let service = home.open().await;
        let log = home.file("log");
        let first = "echo first >> log; until test -e go; do sleep 0.01; done";
        let new = plan(
            &home,
            json!({"steps": [
                {"name": "first", "command": first},
                {"name": "left", "command": "echo left >> log; printf 'a\\000b'", "after": ["first"]},
                {"name": "right", "command": "echo right >> log; exit 5", "after": ["first"]},
                {"name": "bad", "command": "true", "inputs": [
                    {"from": "left", "to": {"type": "env", "name": "X"}}]},
                {"name": "mend", "command": "echo mend >> log", "only_if": [
                    {"type": "exit_code", "step": "right", "codes": [5]}]},
                {"name": "never", "command": "echo never >> log", "after": ["right"]},
                {"name": "clean", "command": "echo clean >> log", "after": ["never", "bad"], "always": true}
            ]}),
        );
        // Points of the first step are passed by the service that the plan is submitted to.
        let of_the_first = point == "plan_before_step";
        let id = match of_the_first {
            true => {
                service.close().await;
                let mut remote = Remote::start(&home, Some(point));
                remote.send_plan(&new);
                until(&format!("it dies at {point}"), || remote.has_ended()).await;
                new.spec.plan.id
            }
            false => {
                let id = submit(&service, new).await;
                until("the first step runs", || log.exists()).await;
                service.close().await;
                let mut remote = Remote::start(&home, Some(point));
                fs::write(home.file("go"), "").unwrap();
                until(&format!("it dies at {point}"), || remote.has_ended()).await;
                id
            }
        };
        fs::write(home.file("go"), "").unwrap();
        let service = home.open().await;
        let view = plan_ended(&service, id).await;
        assert_eq!(view.status, ExecutionStatus::Failed, "{point}: {view:?}");
        assert_eq!(
            statuses(&view),
            ["completed", "completed", "failed", "failed", "completed", "skipped", "completed"],
            "{point}: {view:?}"
        );
        assert_eq!(lines(&log), ["clean", "first", "left", "mend", "right"], "{point}");
        let Some(PlanEnding::Failed { step }) = view.ending else { panic!("{view:?}") };
        assert!(step.index == 2 || step.index == 3, "{step}");
        service.close().await;
    }
}
