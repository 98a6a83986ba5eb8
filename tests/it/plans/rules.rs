//! `PlanRules` decides as the engine does.

use super::*;

/// Plans that run one step at a time, so that both see the same order.
const PLANS: [&str; 7] = [
    r#"{"strategy": {"type": "serial", "stop_on_error": true}, "steps": [
        {"command": "true"}, {"command": "exit 3"}, {"command": "true"},
        {"command": "true", "always": true}]}"#,
    r#"{"strategy": {"type": "serial", "stop_on_error": false}, "steps": [
        {"command": "true"}, {"command": "exit 3"}, {"command": "true"}]}"#,
    r#"{"steps": [
        {"name": "a", "command": "exit 1"}, {"name": "b", "command": "true", "after": ["a"]},
        {"name": "c", "command": "true"}, {"name": "d", "command": "true", "after": ["b", "c"]}]}"#,
    r#"{"failure_policy": "cancel_at_first_error", "steps": [
        {"name": "a", "command": "true"}, {"name": "b", "command": "exit 1", "after": ["a"]},
        {"name": "c", "command": "true", "after": ["b"], "only_if": [{"type": "failed", "step": "b"}]},
        {"name": "d", "command": "true", "after": ["c"]}]}"#,
    r#"{"steps": [
        {"name": "lint", "command": "exit 1", "allow_failure": true},
        {"name": "build", "command": "true", "after": ["lint"]},
        {"name": "other", "command": "true", "only_if": [{"type": "exit_code", "step": "lint", "codes": [2]}]},
        {"name": "join", "command": "true", "after": ["other"]},
        {"name": "end", "command": "true", "after": ["other"], "only_if": [{"type": "none_failed"}]}]}"#,
    r#"{"steps": [
        {"name": "list", "command": "printf 'a\\nb\\n'", "options": {"priority": -1}},
        {"name": "first", "command": "true", "options": {"priority": 5}},
        {"name": "sort", "command": "cat; test \"$WORDS\" = 'a\nb'", "after": ["first"], "inputs": [
            {"from": "list", "to": {"type": "stdin"}},
            {"from": "list", "to": {"type": "env", "name": "WORDS"}}]}]}"#,
    r#"{"steps": [
        {"name": "zero", "command": "printf 'a\\0b'"},
        {"name": "takes", "command": "true", "inputs": [{"from": "zero", "to": {"type": "env", "name": "X"}}]},
        {"name": "last", "command": "true", "after": ["takes"]}]}"#,
];

#[tokio::test]
async fn rules_without_an_engine_decide_as_the_engine_does() {
    let engine = engine();
    for text in PLANS {
        let mut spec: PlanSpec = serde_json::from_str(text).unwrap();
        spec.options.max_concurrency = Some(1);
        let plan = run_plan(&engine, spec.clone().with_new_ids()).await;
        let mut rules = PlanRules::new(spec).unwrap();
        let mut endings: Vec<Option<Ending>> = vec![None; plan.results.len()];
        while let Some(step) = rules.next_step() {
            assert_eq!(rules.next_step(), None, "one at a time");
            let output = |from: usize| {
                let text = &plan.results[from].stdout;
                Ok((text.clone().into(), text.len() as u64))
            };
            let ending = match rules.prepare(step, output) {
                Ok(_) => plan.results[step].ending.clone(),
                Err(reason) => Ending::NotRun { reason },
            };
            let change = rules.ended(step, &ending);
            endings[step] = Some(ending);
            for (step, reason) in change.skipped {
                assert_eq!(endings[step].replace(Ending::NotRun { reason }), None);
            }
        }
        assert_eq!(rules.ending(), Some(plan.ending), "{text}");
        for (step, result) in plan.results.iter().enumerate() {
            assert_eq!(endings[step].as_ref(), Some(&result.ending), "step {step} of {text}");
            assert_eq!(rules.report(step), plan.steps[step]);
        }
    }
}

#[test]
fn prepared_step_has_what_the_plan_shares_and_what_it_takes() {
    let mut spec: PlanSpec = serde_json::from_str(PLANS[5]).unwrap();
    spec.options.working_dir = Some("/srv".into());
    let rules = PlanRules::new(spec).unwrap();
    assert_eq!(rules.takes_from(2).collect::<Vec<_>>(), [(0, 1 << 20), (0, 64 << 10)]);
    let (request, options) = rules.prepare(2, |from| Ok((format!("{from}\n").into(), 2))).unwrap();
    assert_eq!(request.working_dir, Some(PathBuf::from("/srv")));
    assert_eq!(request.env["WORDS"], "0");
    assert_eq!(options.stdin, StdinSource::bytes(&b"0\n"[..]));
    let reason = rules.prepare(2, |_| Err("it was removed".to_string())).unwrap_err();
    let expected = SkipReason::Input { from: rules.step(0), reason: "it was removed".to_string() };
    assert_eq!(reason, expected);
}

#[test]
fn cancel_counts_only_if_it_stops_something() {
    let spec = || serde_json::from_str::<PlanSpec>(PLANS[0]).unwrap();
    let exited = |code| Ending::Exited { code };

    // The last step ends by itself although it was to be stopped.
    let one: PlanSpec = serde_json::from_str(r#"{"steps": [{"command": "true"}]}"#).unwrap();
    let mut rules = PlanRules::new(one).unwrap();
    rules.next_step();
    assert_eq!(rules.cancel().unwrap().stopped, [0]);
    rules.ended(0, &exited(0));
    assert_eq!(rules.ending(), Some(PlanEnding::Completed));
    assert_eq!(rules.cancel(), None);

    let mut rules = PlanRules::new(spec()).unwrap();
    assert_eq!(rules.next_step(), Some(0));
    let change = rules.cancel().unwrap();
    assert_eq!(change.stopped, [0]);
    let skipped: Vec<usize> = change.skipped.iter().map(|(step, _)| *step).collect();
    assert_eq!(skipped, [1, 2]);
    rules.ended(0, &Ending::Cancelled);
    assert_eq!(rules.next_step(), Some(3), "it always runs");
    assert_eq!(rules.stopped_because(0), Some(SkipReason::PlanCancelled));
    assert_eq!((rules.stopped_because(3), rules.cancel()), (None, None), "it is a cleanup");
    assert_eq!(rules.cancel_all().unwrap().stopped, [3]);
    rules.ended(3, &Ending::Cancelled);
    assert_eq!(rules.ending(), Some(PlanEnding::Cancelled));

    // Nothing runs, and all that was handed out is not started any more.
    let two: PlanSpec =
        serde_json::from_str(r#"{"steps": [{"command": "true"}, {"command": "true"}]}"#).unwrap();
    let mut rules = PlanRules::new(two).unwrap();
    while rules.next_step().is_some() {}
    assert_eq!(rules.cancel().unwrap().stopped, [0, 1]);
    rules.ended(0, &Ending::NotRun { reason: SkipReason::PlanCancelled });
    rules.ended(1, &exited(0));
    assert_eq!(rules.ending(), Some(PlanEnding::Cancelled));

    let mut late = spec();
    late.options.deadline_ms = Some(5);
    let mut rules = PlanRules::new(late).unwrap();
    rules.next_step();
    let change = rules.deadline_reached().unwrap();
    assert_eq!(change.skipped[0], (1, SkipReason::PlanDeadline));
    rules.ended(0, &Ending::PlanDeadline { deadline_ms: 5 });
    rules.next_step();
    rules.ended(3, &exited(0));
    assert_eq!(rules.ending(), Some(PlanEnding::DeadlineReached { deadline_ms: 5 }));
}

#[test]
fn resumed_plan_runs_what_did_not_complete_and_the_cleanup_behind_it() {
    let text = r#"{"steps": [
        {"name": "build", "command": "true"},
        {"name": "lint", "command": "true", "allow_failure": true},
        {"name": "test", "command": "true", "after": ["build"]},
        {"name": "ship", "command": "true", "after": ["test"]},
        {"name": "clean", "command": "true", "after": ["ship"], "always": true},
        {"name": "docs", "command": "true", "after": ["build"], "always": true},
        {"name": "lost", "command": "true", "allow_failure": true}]}"#;
    let rules = PlanRules::new(serde_json::from_str(text).unwrap()).unwrap();
    let exited = |code| Some(Ending::Exited { code });
    let not_run = Some(Ending::NotRun { reason: SkipReason::PlanCancelled });
    let endings =
        [exited(0), exited(1), exited(1), not_run, exited(0), exited(0), Some(Ending::Cancelled)];
    assert_eq!(rules.to_resume(&endings), [false, false, true, true, true, false, true]);
    assert_eq!(rules.to_resume(&[]), [true; 7]);
}

#[test]
fn failure_withdraws_what_was_handed_out_and_has_not_started() {
    let spec: PlanSpec = serde_json::from_str(
        r#"{"failure_policy": "stop_at_first_error", "steps": [
            {"command": "false"}, {"command": "true"}, {"command": "true", "always": true},
            {"command": "true", "after": [1]}]}"#,
    )
    .unwrap();
    let mut rules = PlanRules::new(spec).unwrap();
    let handed_out: Vec<usize> = std::iter::from_fn(|| rules.next_step()).collect();
    assert_eq!(handed_out, [0, 1, 2]);
    let change = rules.ended(0, &Ending::Exited { code: 1 });
    assert_eq!((change.withdrawn, change.stopped), (vec![1], vec![]));
    assert_eq!(change.skipped[0].0, 3);
    let reason = rules.stopped_because(1).unwrap();
    assert!(matches!(reason, SkipReason::PlanStopped { .. }));
    assert_eq!(rules.ended(1, &Ending::NotRun { reason }), PlanChange::default());
    let again = rules.ended(1, &Ending::Exited { code: 0 });
    assert_eq!(again, PlanChange::default(), "it has ended already");
    assert_eq!(rules.ended(99, &Ending::Cancelled), PlanChange::default(), "there is none");
    rules.ended(2, &Ending::Exited { code: 0 });
    assert!(matches!(rules.ending(), Some(PlanEnding::Failed { step }) if step.index == 0));
}
