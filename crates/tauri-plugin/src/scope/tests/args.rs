//! Arguments of a program.

use serde_json::json;

use super::{allow, ask, compiled, exec};
use crate::scope::{Refusal, ScopeRules};

#[test]
fn a_pattern_must_match_the_whole_argument() {
    let rules = allow(&[json!({
        "name": "log", "program": "git", "args": ["log", { "regex": "a|-n[0-9]+", "option": true }]
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
fn a_pattern_can_be_optional_or_apply_to_the_rest() {
    let rules = allow(&[json!({ "name": "ls", "program": "ls", "args": [
        { "regex": "-[la]+", "times": "optional", "option": true },
        { "regex": "[a-z/]+", "times": "rest" },
    ] })]);
    for matching in [&[][..], &["-l"], &["-l", "a", "b/c"]] {
        assert!(ask(&rules, exec("ls", matching)).is_ok(), "{matching:?}");
    }
    assert!(ask(&rules, exec("ls", &["-l", "a", "-R"])).is_err());
}

#[test]
fn an_argument_that_begins_with_a_dash_needs_option() {
    let rules = |option: bool| {
        allow(&[json!({ "name": "convert", "program": "convert", "args": [
            { "regex": r"[\w-]+\.png", "times": "rest", "option": option }
        ] })])
    };
    let refused = Err(Refusal::OptionArgument { rule: "convert".into(), number: 2 });
    for option in ["-e.png", "--exec.png"] {
        let request = exec("convert", &["a.png", option, "b.png"]);
        assert_eq!(ask(&rules(false), request.clone()), refused, "{option}");
        assert!(ask(&rules(true), request).is_ok(), "{option}");
    }
    assert!(ask(&rules(false), exec("convert", &["a-b.png"])).is_ok());
    let other = Err(Refusal::Argument { rule: "convert".into(), number: 1 });
    assert_eq!(ask(&rules(false), exec("convert", &["-"])), other, "it does not match at all");
}

#[test]
fn after_two_dashes_patterns_match_arguments_that_begin_with_one() {
    let rules = allow(&[json!({ "name": "rm", "program": "rm", "args": [
        { "regex": "[a-z-]+" }, "--", { "regex": "[a-z-]+", "times": "rest" }
    ] })]);
    assert!(ask(&rules, exec("rm", &["a", "--", "-rf", "b", "--"])).is_ok());
    assert!(ask(&rules, exec("rm", &["-rf", "--", "b"])).is_err(), "before them it does not");
    assert!(ask(&rules, exec("rm", &["--", "-rf", "b"])).is_err(), "a pattern is no `--`");
}

#[test]
fn a_fixed_argument_and_any_arguments_may_be_options() {
    let rules = allow(&[
        json!({ "name": "df", "program": "df", "args": ["-h"] }),
        json!({ "name": "make", "program": "make", "args": "any" }),
    ]);
    assert!(ask(&rules, exec("df", &["-h"])).is_ok());
    assert!(ask(&rules, exec("make", &["-j", "--", "-x"])).is_ok());
}

#[test]
fn a_pattern_matches_ascii_alone() {
    let rules = |regex: &str| {
        allow(&[json!({ "name": "x", "program": "x", "args": [{ "regex": regex }] })])
    };
    for (regex, arg) in [(r"\w+", "größe"), (r"\d", "٣"), (r"a\sb", "a\u{2003}b"), ("[^/]+", "é")]
    {
        assert!(ask(&rules(regex), exec("x", &[arg])).is_err(), "{regex} {arg}");
        assert!(ask(&rules(&format!("(?u){regex}")), exec("x", &[arg])).is_ok(), "{regex} {arg}");
    }
}

#[test]
fn a_pattern_to_deny_matches_options_and_all_of_unicode() {
    let rules = ScopeRules {
        deny: vec![compiled(json!({ "name": "no-push", "program": "git", "args": [
            "push", { "regex": ".+", "times": "rest" }
        ] }))],
        ..allow(&[json!({ "name": "git", "program": "git", "args": "any" })])
    };
    let denied = Err(Refusal::Denied { rule: "no-push".into() });
    for arg in ["-f", "--force", "größe", "a\nb"] {
        assert_eq!(ask(&rules, exec("git", &["push", arg])), denied, "{arg:?}");
    }
    assert!(ask(&rules, exec("git", &["pull", "-f"])).is_ok());
}
