//! Arguments of a program.

use serde_json::json;

use super::{allow, ask, exec, invalid};

#[test]
fn a_pattern_must_match_the_whole_argument() {
    let rules = allow(&[json!({
        "name": "log", "program": "git", "args": ["log", { "regex": "a|-n[0-9]+" }]
    })]);
    for matching in ["a", "-n1", "-n25"] {
        assert!(ask(&rules, exec("git", &["log", matching])).is_ok(), "{matching}");
    }
    for other in ["", "ab", "-n1x", "x-n1", "-n1\n", "\n-n1", "-n1\n--all", "-n"] {
        assert!(ask(&rules, exec("git", &["log", other])).is_err(), "{other:?}");
    }
    assert!(ask(&rules, exec("git", &["log"])).is_err());
    assert!(ask(&rules, exec("git", &["log", "a", "a"])).is_err());
}

#[test]
fn a_pattern_cannot_escape_its_anchors() {
    let rule = |regex: &str| json!({ "name": "x", "program": "x", "args": [{ "regex": regex }] });
    assert!(invalid(rule("a)|(?:b")).contains("args"));
    assert!(invalid(rule("(")).contains("args"));
    assert!(invalid(rule("(?x)a # b")).contains("args"));
    let rules = allow(&[rule("(?m)^a$")]);
    assert!(ask(&rules, exec("x", &["a"])).is_ok());
    assert!(ask(&rules, exec("x", &["a\nb"])).is_err());
}

#[test]
fn a_pattern_can_be_optional_or_apply_to_the_rest() {
    let rules = allow(&[json!({ "name": "ls", "program": "ls", "args": [
        { "regex": "-[la]+", "times": "optional" },
        { "regex": "[a-z/]+", "times": "rest" },
    ] })]);
    for matching in [&[][..], &["-l"], &["-l", "a", "b/c"]] {
        assert!(ask(&rules, exec("ls", matching)).is_ok(), "{matching:?}");
    }
    assert!(ask(&rules, exec("ls", &["-l", "a", "-R"])).is_err());
    let misplaced = json!({ "name": "x", "program": "x", "args": [
        { "regex": "a", "times": "rest" }, "b"
    ] });
    assert!(invalid(misplaced).contains("last"));
    let hole = json!({ "name": "x", "program": "x", "args": [
        { "regex": "a", "times": "optional" }, "b"
    ] });
    assert!(invalid(hole).contains("optional"));
}
