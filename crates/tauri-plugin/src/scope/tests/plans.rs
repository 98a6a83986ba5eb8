//! Plans: every step, with what the plan adds to it.

use execution_engine::Links;
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, compiled, exec};
use crate::scope::{AllowedPlan, Refusal, RefusedStep, ScopeRules, check_plan};

fn ask_plan(
    rules: &ScopeRules,
    plan: Value,
    options: Value,
    files: &FakeFileSystem,
) -> Result<AllowedPlan, RefusedStep> {
    let plan = serde_json::from_value(plan).unwrap();
    check_plan(rules, plan, serde_json::from_value(options).unwrap(), files)
}

fn plan(commands: &[Value]) -> Value {
    json!({ "strategy": { "type": "parallel" }, "commands": commands })
}

#[test]
fn each_step_of_a_plan_must_be_allowed() {
    let rules = allow(&[json!({ "name": "build", "program": "make", "args": "any" })]);
    let allowed = ask_plan(
        &rules,
        plan(&[exec("make", &["a"]), json!({ "rule": "build", "args": ["b"] })]),
        json!({}),
        &FakeFileSystem::default(),
    )
    .unwrap();
    let commands: Vec<_> =
        allowed.plan.commands.iter().map(|step| step.command.to_string()).collect();
    assert_eq!(commands, ["make a", "make b"]);
    let refused = ask_plan(
        &rules,
        plan(&[exec("make", &[]), exec("rm", &[])]),
        json!({}),
        &FakeFileSystem::default(),
    )
    .unwrap_err();
    assert_eq!(refused.index, 1);
}

#[test]
fn shared_settings_of_a_plan_are_checked_for_each_step() {
    let files = FakeFileSystem::with(&["/work/sub", "/etc"]);
    let rules = allow(&[json!({
        "name": "build", "program": "make", "working_dirs": ["/work"], "env": ["MODE"]
    })]);
    let step = || plan(&[exec("make", &[])]);
    let with = |options: Value| ask_plan(&rules, step(), options, &files);
    let allowed = with(json!({ "env": { "MODE": "fast" }, "working_dir": "/work" })).unwrap();
    let command = &allowed.plan.commands[0];
    assert_eq!(
        (command.env["MODE"].as_str(), &command.working_dir),
        ("fast", &Some("/work".into()))
    );
    assert!(
        allowed.options.env.is_empty() && allowed.options.working_dir.is_none(),
        "the shared settings are now part of the step"
    );

    let refused = |options: Value| with(options).unwrap_err().refusal;
    assert!(matches!(refused(json!({ "env": { "PATH": "/x" } })), Refusal::Variable { .. }));
    assert!(matches!(refused(json!({ "working_dir": "/etc" })), Refusal::Outside { .. }));
    let leave = json!({ "leftovers": "leave" });
    assert!(matches!(refused(json!({ "defaults": leave })), Refusal::Leftovers { .. }));
    assert!(matches!(
        refused(json!({ "steps": [{ "options": leave }] })),
        Refusal::Leftovers { .. }
    ));

    let mut own = exec("make", &[]);
    own["working_dir"] = json!("sub");
    let allowed = ask_plan(&rules, plan(&[own.clone()]), json!({ "working_dir": "/work" }), &files);
    assert_eq!(allowed.unwrap().plan.commands[0].working_dir, Some("/work/sub".into()));
    own["working_dir"] = json!("../etc");
    let outside = ask_plan(&rules, plan(&[own]), json!({ "working_dir": "/work" }), &files);
    assert!(matches!(outside.unwrap_err().refusal, Refusal::Outside { .. }));
}

#[test]
fn an_input_of_a_step_sets_listed_variables_only() {
    let rules = allow(&[json!({ "name": "a", "program": "a", "env": ["VERSION"] })]);
    let hand = |to: Value| {
        let options = json!({ "steps": [{}, { "inputs": [{ "from": 0, "to": to }] }] });
        ask_plan(
            &rules,
            plan(&[exec("a", &[]), exec("a", &[])]),
            options,
            &FakeFileSystem::default(),
        )
    };
    assert!(hand(json!({ "type": "env", "name": "VERSION" })).is_ok());
    assert!(hand(json!({ "type": "stdin" })).is_ok());
    let refused = hand(json!({ "type": "env", "name": "LD_PRELOAD" })).unwrap_err();
    assert_eq!(refused.index, 1);
    assert!(matches!(refused.refusal, Refusal::Variable { .. }));
}

#[test]
fn an_input_of_a_step_sets_no_path_where_a_rule_denies() {
    let rules = |deny: &[Value]| ScopeRules {
        deny: deny.iter().cloned().map(compiled).collect(),
        ..allow(&[json!({ "name": "a", "program": "a", "env": ["*"] })])
    };
    let hand = |rules: &ScopeRules, name: &str| {
        let to = json!({ "type": "env", "name": name });
        let options = json!({ "steps": [{}, { "inputs": [{ "from": 0, "to": to }] }] });
        let steps = plan(&[exec("a", &[]), exec("a", &[])]);
        ask_plan(rules, steps, options, &FakeFileSystem::default())
    };
    let no_su = rules(&[json!({ "name": "no-su", "program": "su" })]);
    let refused = hand(&no_su, "PATH").unwrap_err();
    assert_eq!(refused, RefusedStep { index: 1, refusal: Refusal::InputPath });
    assert!(hand(&no_su, "VERSION").is_ok());
    assert!(hand(&rules(&[]), "PATH").is_ok(), "nothing is denied");
}

#[test]
fn each_step_follows_no_links_whatever_is_asked_for() {
    let rules = allow(&[json!({ "name": "a", "program": "a" })]);
    let follow = || json!({ "links": "follow" });
    for options in [
        json!({}),
        json!({ "defaults": follow() }),
        json!({ "steps": [{ "options": follow() }, {}], "defaults": follow() }),
    ] {
        let steps = plan(&[exec("a", &[]), exec("a", &[])]);
        let allowed = ask_plan(&rules, steps, options, &FakeFileSystem::default()).unwrap();
        for step in 0..2 {
            assert_eq!(allowed.options.effective_options(step).links, Links::Refuse);
        }
    }
}
