//! What a request may ask for beside its command. docs/tauri.md has a decision on each field.

use std::collections::{BTreeMap, BTreeSet};

use execution_engine::{ExecutionOptions, Limits, PlanOptions, RetryPolicy, StepOptions};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, ask_with, exec};
use crate::request::{LaunchRequest, PlanRequest};
use crate::scope::{AllowedLaunch, Refusal};

/// Returns the names of all fields of a type, which serde lists in its error about an unknown one.
fn fields<T: DeserializeOwned>(prefix: &str, base: Value) -> Vec<String> {
    let mut unknown = base;
    unknown["?"] = json!(0);
    let error =
        serde_json::from_value::<T>(unknown).err().expect("it has unknown fields").to_string();
    let names: Vec<_> = error.split('`').skip(3).step_by(2).collect();
    assert!(!names.is_empty(), "{error}");
    names.iter().map(|name| format!("{prefix}{name}")).collect()
}

/// Returns the decisions of the documentation: the first word behind each field.
fn decisions() -> BTreeMap<String, String> {
    let page = include_str!("../../../../../docs/tauri.md");
    let section = page.split("## What a request may ask for\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let mut decisions = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let decision = cells[1].split([' ', ':', ',']).next().unwrap();
        assert!(["free", "bounded", "checked", "refused"].contains(&decision), "{row}");
        for field in cells[0].split('`').skip(1).step_by(2) {
            let before = decisions.insert(field.to_string(), decision.to_string());
            assert_eq!(before, None, "{field}");
        }
    }
    decisions
}

#[test]
fn the_documentation_has_a_decision_on_each_field() {
    let plan = json!({ "strategy": { "type": "parallel" }, "commands": [] });
    let all = [
        fields::<LaunchRequest>("", json!({})),
        fields::<ExecutionOptions>("options.", json!({})),
        fields::<Limits>("options.limits.", json!({})),
        fields::<RetryPolicy>("options.retry.", json!({})),
        fields::<PlanRequest>("plan.", plan),
        fields::<PlanOptions>("plan.options.", json!({})),
        fields::<StepOptions>("plan.options.steps.", json!({})),
    ];
    let parts = ["options.limits", "options.retry", "plan.options.steps"];
    let all: BTreeSet<_> =
        all.into_iter().flatten().filter(|field| !parts.contains(&field.as_str())).collect();
    assert_eq!(decisions().into_keys().collect::<BTreeSet<_>>(), all);
}

fn ask(rule: Value, request: &Value, options: Value) -> Result<AllowedLaunch, Refusal> {
    let mut named = json!({ "name": "a", "program": "a" });
    named.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
    let options = serde_json::from_value(options).unwrap();
    let mut full = exec("a", &[]);
    full.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
    ask_with(&allow(&[named]), full, options, &FakeFileSystem::with(&["/logs/old", "/in/file"]))
}

/// For each bounded field: options that need a rule, those that need none, and the rule.
fn bounded() -> Vec<(&'static str, Value, Value, Value)> {
    let mut all = vec![
        ("options.stop_grace_ms", json!(60_001), json!(60_000), json!({ "max_wait_ms": 60_001 })),
        ("options.leftovers_wait_ms", json!(60_001), json!(1), json!({ "max_wait_ms": 60_001 })),
        ("options.leftovers", json!("leave"), json!("stop"), json!({ "leftovers": "leave" })),
        ("options.priority", json!(1), json!(-5), json!({ "max_priority": 1 })),
        ("options.group", json!("g"), json!(null), json!({ "groups": ["h", "g"] })),
        (
            "options.stdin",
            json!({ "type": "file", "path": "/in/file" }),
            json!({ "type": "piped" }),
            json!({ "stdin_dirs": ["/in"] }),
        ),
        (
            "options.retry.attempts",
            json!({ "attempts": 4 }),
            json!({ "attempts": 3 }),
            json!({ "max_attempts": 4 }),
        ),
        ("options.max_attempts", json!(4), json!(3), json!({ "max_attempts": 4 })),
        (
            "options.retry.max_delay_ms",
            json!({ "max_delay_ms": 60_001 }),
            json!({ "max_delay_ms": 60_000 }),
            json!({ "max_wait_ms": 60_001 }),
        ),
        (
            "options.limits.nice",
            json!({ "nice": -1 }),
            json!({ "nice": 0 }),
            json!({ "min_nice": -1 }),
        ),
        (
            "options.limits.umask",
            json!({ "umask": 0o22 }),
            json!({ "umask": 0o77 }),
            json!({ "umask": "022" }),
        ),
        (
            "options.limits.core_bytes",
            json!({ "core_bytes": 1 }),
            json!({ "core_bytes": 0 }),
            json!({ "limits": { "core_bytes": 1 } }),
        ),
    ];
    for name in [
        "cpu_seconds",
        "address_space_bytes",
        "open_files",
        "file_size_bytes",
        "processes",
        "tree_memory_bytes",
        "tree_processes",
    ] {
        let field: &'static str = format!("options.limits.{name}").leak();
        all.push((field, json!({ name: 6 }), json!({ name: 5 }), json!({ "limits": { name: 6 } })));
    }
    all
}

fn options(field: &str, value: Value) -> Value {
    let name = field.strip_prefix("options.").unwrap().split('.').next().unwrap();
    json!({ name: value })
}

#[test]
fn each_bounded_option_needs_its_rule() {
    let documented: BTreeSet<_> = decisions()
        .into_iter()
        .filter(|(field, decision)| field.starts_with("options.") && decision == "bounded")
        .map(|(field, _)| field)
        .collect();
    let tested = bounded().into_iter().map(|(field, ..)| field.to_string()).collect();
    assert_eq!(documented, tested);
    for (field, beyond, within, rule) in bounded() {
        // A rule that sets the other limits low, but for those whose default is none.
        let bare = match field.strip_prefix("options.limits.") {
            Some("nice" | "umask" | "core_bytes") | None => json!({}),
            Some(name) => json!({ "limits": { name: 5 } }),
        };
        let refused = ask(bare.clone(), &json!({}), options(field, beyond.clone())).unwrap_err();
        assert!(refused.to_string().starts_with(field), "{field}: {refused}");
        assert!(ask(bare, &json!({}), options(field, within)).is_ok(), "{field}");
        assert!(ask(rule, &json!({}), options(field, beyond)).is_ok(), "{field}");
    }
}

#[test]
fn no_rule_allows_a_refused_option() {
    let samples = [
        ("options.user", json!({ "uid": 0, "gid": 0, "groups": [] })),
        ("options.output", json!("inherit")),
        ("options.requires", json!({ "pool": "p" })),
        ("options.inputs", json!([{ "path": "in", "digest": format!("{}/0", "00".repeat(32)) }])),
        ("options.collect", json!(["out/*"])),
    ];
    let documented: BTreeSet<_> =
        decisions().into_iter().filter(|(_, decision)| decision == "refused").collect();
    let tested: BTreeSet<_> =
        samples.iter().map(|(field, _)| (field.to_string(), "refused".to_string())).collect();
    assert_eq!(documented, tested);
    let open = json!({ "env": ["*"], "leftovers": "leave", "min_nice": -20, "umask": "000" });
    for (field, value) in samples {
        let refused = ask(open.clone(), &json!({}), options(field, value)).unwrap_err();
        assert!(matches!(&refused, Refusal::Option { .. }), "{field}: {refused}");
    }
    let stderr = ask(open, &json!({}), json!({ "output": "inherit_stderr" })).unwrap_err();
    assert!(matches!(stderr, Refusal::Option { field: "options.output", .. }));
}

#[test]
fn a_timeout_is_bounded_also_when_none_is_asked_for() {
    let timeout = |rule: Value, asked: Value, default_timeout_ms: u64| {
        let mut rule = rule;
        rule["name"] = json!("a");
        rule["program"] = json!("a");
        let mut rules = allow(&[rule]);
        rules.default_timeout_ms = default_timeout_ms;
        let mut request = exec("a", &[]);
        request["timeout_ms"] = asked;
        super::ask(&rules, request).map(|request| request.timeout_ms)
    };
    let bound = || json!({ "max_timeout_ms": 1000 });
    assert_eq!(timeout(bound(), json!(1000), 300_000), Ok(Some(1000)));
    assert_eq!(timeout(bound(), json!(null), 300_000), Ok(Some(1000)));
    assert_eq!(
        timeout(bound(), json!(null), 500),
        Ok(Some(500)),
        "the engine's default is shorter"
    );
    let refused = Refusal::Bound { field: "timeout_ms", bound: "max_timeout_ms", rule: "a".into() };
    for longer in [1001, u64::MAX] {
        assert_eq!(timeout(bound(), json!(longer), 500), Err(refused.clone()), "{longer}");
    }
    assert_eq!(timeout(json!({}), json!(null), 500), Ok(None), "the engine decides");
    assert_eq!(timeout(json!({}), json!(u64::MAX), 500), Ok(Some(u64::MAX)), "the engine decides");
}

#[test]
fn the_limits_of_a_rule_apply_when_none_are_asked_for() {
    let rule = json!({ "limits": { "cpu_seconds": 60, "tree_processes": 5 } });
    let limits =
        ask(rule, &json!({}), json!({ "limits": { "cpu_seconds": 2 } })).unwrap().options.limits;
    assert_eq!((limits.cpu_seconds, limits.tree_processes), (Some(2), Some(5)));
    assert_eq!((limits.open_files, limits.umask, limits.nice), (None, None, None));
}
