//! Validation of rules.

use std::path::Path;

use serde_json::{Value, json};

use super::invalid;
use crate::scope::{CompiledRule, Rule};

#[test]
fn an_invalid_rule_is_reported_with_its_field() {
    assert!(invalid(json!({ "name": " ", "program": "x" })).contains("name"));
    assert!(invalid(json!({ "name": "x" })).contains("program"));
    assert!(invalid(json!({ "name": "x", "program": "x", "shell": "sh" })).contains("exactly one"));
    assert!(invalid(json!({ "name": "x", "program": "./x" })).contains("relative"));
    assert!(invalid(json!({ "name": "x", "program": "bin/x" })).contains("relative"));
    assert!(invalid(json!({ "name": "x", "shell": "sh", "args": "any" })).contains("args"));
    assert!(
        invalid(json!({ "name": "x", "program": "x", "interpreters": ["y"] }))
            .contains("interpreters")
    );
    assert!(invalid(json!({ "name": "x", "scripts": ["scripts"] })).contains("absolute"));
    let unknown = serde_json::from_value::<Rule>(json!({ "name": "x", "prog": "x" }));
    assert!(unknown.is_err());
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
        // One block is a line of package.json, which is not JSON by itself.
        if let Ok(value) = serde_json::from_str(text) {
            rules_in(&value, &mut rules);
        }
    }
    assert!(rules.len() > 8, "{} rules", rules.len());
    for rule in rules {
        let parsed: Rule =
            serde_json::from_value(rule.clone()).unwrap_or_else(|error| panic!("{error}: {rule}"));
        // A variable of Tauri stands for an absolute path.
        let resolve = |path: &Path| Ok(Path::new("/").join(path));
        assert!(CompiledRule::new(parsed, resolve).is_ok(), "{rule}");
    }
}
