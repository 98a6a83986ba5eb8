//! Validation of rules.

use std::path::Path;

use serde_json::{Value, json};

use super::{allow, ask, exec, sidecars};
use crate::scope::{CompiledRule, Refusal, Rule};

#[test]
fn an_invalid_rule_disables_itself_alone() {
    let mut rules = allow(&[json!({ "name": "df", "program": "df" })]);
    let invalid =
        Rule::read(json!({ "name": "log", "program": "git", "args": [{ "regex": "(" }] }));
    rules.invalid_allow.push(invalid.unwrap_err());
    assert!(ask(&rules, exec("df", &[])).is_ok());
    assert!(ask(&rules, json!({ "rule": "df" })).is_ok());
    let refused = ask(&rules, json!({ "rule": "log", "args": ["a"] })).unwrap_err().to_string();
    assert!(refused.contains("rule `log`: args[0].regex"), "{refused}");
    let other = ask(&rules, exec("git", &["a"])).unwrap_err();
    assert!(matches!(other, Refusal::NoRule { .. }), "{other}");
}

#[test]
fn an_invalid_rule_to_deny_closes_the_scope() {
    let mut rules = allow(&[json!({ "name": "any", "program": "*", "args": "any" })]);
    rules
        .invalid_deny
        .push(Rule::read(json!({ "name": "no-su", "program": "bin/su" })).unwrap_err());
    for request in [exec("df", &[]), json!({ "rule": "any" })] {
        let refused = ask(&rules, request).unwrap_err().to_string();
        assert!(refused.contains("rule `no-su`: program"), "{refused}");
    }
}

/// Collects the rules at any depth of a value.
fn rules_in(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) if fields.contains_key("name") => found.push(value.clone()),
        Value::Object(fields) => fields.values().for_each(|field| rules_in(field, found)),
        Value::Array(list) => list.iter().for_each(|entry| rules_in(entry, found)),
        _ => {}
    }
}

#[test]
fn the_rules_in_the_docs_are_valid() {
    let docs = [
        include_str!("../../../README.md"),
        include_str!("../../../../../docs/tauri.md"),
        concat!(
            "```json\n",
            include_str!("../../../../../apps/desktop/src-tauri/capabilities/main.json"),
            "```"
        ),
    ];
    let mut rules = Vec::new();
    for block in docs.iter().flat_map(|page| page.split("```json\n").skip(1)) {
        let text = block.split("```").next().unwrap();
        let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        rules_in(&value, &mut rules);
    }
    assert!(rules.len() > 8, "{} rules", rules.len());
    for rule in rules {
        let parsed: Rule =
            serde_json::from_value(rule.clone()).unwrap_or_else(|error| panic!("{error}: {rule}"));
        // A variable of Tauri stands for an absolute path.
        let resolve = |path: &Path| Ok(Path::new("/").join(path));
        assert!(CompiledRule::new(parsed, &sidecars(), resolve).is_ok(), "{rule}");
    }
}
