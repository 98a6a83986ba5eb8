//! Validation of rules: each error names the rule and the field.

use serde_json::{Value, json};

use crate::{Executions, ExecutionsRule, Rule};

fn invalid(rule: Value) -> (Option<String>, String, String) {
    let error = Rule::read(rule).unwrap_err();
    (error.rule, error.field, error.reason)
}

#[test]
fn an_invalid_rule_is_reported_with_its_field() {
    let cases = [
        (json!({}), "program"),
        (json!({ "program": "x", "shell": "sh" }), "program"),
        (json!({ "program": "x", "sidecar": "x" }), "program"),
        (json!({ "sidecar": "binaries/.." }), "sidecar"),
        (json!({ "program": "./x" }), "program"),
        (json!({ "program": "bin/x" }), "program"),
        (json!({ "program": "" }), "program"),
        (json!({ "shell": "bin/sh" }), "shell"),
        (json!({ "shell": "sh", "args": "any" }), "args"),
        (json!({ "program": "x", "interpreters": ["y"] }), "interpreters"),
        (
            json!({ "scripts": ["/x"], "interpreters": ["sh", "venv/bin/python"] }),
            "interpreters[1]",
        ),
        (json!({ "scripts": ["/x"], "interpreters": ["./python"] }), "interpreters[0]"),
        (json!({ "scripts": ["/x"], "interpreters": [""] }), "interpreters[0]"),
        (json!({ "program": "x", "args": [{ "regex": "(" }] }), "args[0].regex"),
        (json!({ "program": "x", "args": ["a", { "regex": "a)|(b" }] }), "args[1].regex"),
        (
            json!({ "program": "x", "args": [{ "regex": "a", "times": "rest" }, "b"] }),
            "args[0].times",
        ),
        (
            json!({ "program": "x", "args": [{ "regex": "a", "times": "optional" }, "b"] }),
            "args[1]",
        ),
        (json!({ "program": "x", "args": [{ "regex": "a", "opt": true }] }), "args"),
        (json!({ "program": "x", "args": "all" }), "args"),
        (json!({ "scripts": ["scripts"] }), "scripts[0]"),
        (json!({ "program": "x", "working_dirs": ["/a", "$HOME/../b"] }), "working_dirs[1]"),
        (json!({ "program": "x", "log_dirs": ["$HOEM/logs"] }), "log_dirs[0]"),
        (json!({ "program": "x", "stdin_dirs": ["a"] }), "stdin_dirs[0]"),
        (json!({ "program": "x", "prog": "y" }), "prog"),
        (json!({ "program": "x", "leftovers": "keep" }), "leftovers"),
        (json!({ "program": "x", "max_timeout_ms": 0 }), "max_timeout_ms"),
        (json!({ "program": "x", "max_timeout_ms": -1 }), "max_timeout_ms"),
        (json!({ "program": "x", "max_attempts": 0 }), "max_attempts"),
        (json!({ "program": "x", "min_nice": -21 }), "min_nice"),
        (json!({ "program": "x", "umask": "8" }), "umask"),
        (json!({ "program": "x", "umask": "1777" }), "umask"),
        (json!({ "program": "x", "limits": { "memory": 1 } }), "limits.memory"),
    ];
    for (mut rule, field) in cases {
        assert!(rule.as_object_mut().unwrap().insert("name".into(), json!("r")).is_none());
        let (name, found, reason) = invalid(rule.clone());
        assert_eq!((name.as_deref(), found.as_str()), (Some("r"), field), "{rule}: {reason}");
    }
}

#[test]
fn a_rule_without_a_name_is_reported() {
    assert_eq!(invalid(json!({ "name": " ", "program": "x" })).1, "name");
    let (rule, field, reason) = invalid(json!({ "program": "x" }));
    assert_eq!((rule, field.as_str()), (None, "."), "{reason}");
    assert!(reason.contains("name"), "{reason}");
}

#[test]
fn the_bounds_of_a_rule_are_read() {
    let rule = Rule::read(json!({
        "name": "r", "program": "x", "max_timeout_ms": 1, "umask": "022",
        "limits": { "cpu_seconds": 2 }
    }));
    let rule = rule.unwrap();
    assert_eq!((rule.max_timeout_ms, rule.umask_bits()), (Some(1), Some(0o22)));
    assert_eq!(rule.limits.cpu_seconds, Some(2));
}

#[test]
fn rules_of_both_kinds_are_not_mixed_up() {
    let (_, field, reason) = invalid(json!({ "executions": "all" }));
    assert_eq!(field, "executions");
    assert!(reason.contains("execution-engine:read"), "{reason}");
    let misplaced = ExecutionsRule::read(json!({ "name": "df", "program": "df" })).unwrap_err();
    assert_eq!(misplaced.rule.as_deref(), Some("df"));
    assert!(misplaced.reason.contains("execution-engine:launch"), "{misplaced}");
}

#[test]
fn the_executions_of_an_entry_are_own_all_or_of_a_window() {
    let read = |text: &str| ExecutionsRule::read(json!({ "executions": text }));
    for text in ["own", "all", "window:build"] {
        let rule = read(text).unwrap();
        assert_eq!(rule.executions.to_string(), text);
        assert_eq!(serde_json::to_value(&rule).unwrap(), json!({ "executions": text }));
    }
    assert_eq!(read("window:a b").unwrap().executions, Executions::Window("a b".into()));
    for text in ["", "everything", "window:", "window", "ALL"] {
        let error = read(text).unwrap_err();
        assert_eq!(error.field, "executions", "{text}: {error}");
        assert!(error.reason.contains("window:NAME"), "{text}: {error}");
    }
    assert!(ExecutionsRule::read(json!({ "executions": "own", "windows": [] })).is_err());
}
