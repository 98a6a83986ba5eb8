//! Programs, shells, and the choice of the rule.

use execution_engine::Command;
use serde_json::json;

use super::{allow, ask, compiled, exec};
use crate::scope::{Refusal, ScopeRules};

#[test]
fn an_empty_scope_allows_nothing() {
    assert_eq!(ask(&ScopeRules::default(), exec("true", &[])), Err(Refusal::NoRules));
}

#[test]
fn a_program_needs_a_rule_that_names_it() {
    let rules = allow(&[json!({ "name": "disk", "program": "df" })]);
    assert!(ask(&rules, exec("df", &[])).is_ok());
    let refused = ask(&rules, exec("rm", &[])).unwrap_err();
    assert_eq!(refused, Refusal::NoRule { field: "command.program", needed: "program" });
    assert_eq!(
        ask(&rules, exec("df", &["-h"])),
        Err(Refusal::Argument { rule: "disk".into(), number: 1 }),
        "a rule without args allows none"
    );
}

#[test]
fn a_refusal_names_the_closest_rule() {
    let rules = allow(&[
        json!({ "name": "disk", "program": "df" }),
        json!({ "name": "log", "program": "git", "args": ["log", { "regex": "-n[0-9]+", "option": true }] }),
    ]);
    assert_eq!(
        ask(&rules, exec("git", &["log", "--all"])),
        Err(Refusal::Argument { rule: "log".into(), number: 2 })
    );
}

#[test]
fn a_request_can_take_its_program_from_a_named_rule() {
    let rules = allow(&[
        json!({ "name": "up", "program": "uptime", "args": ["-p"] }),
        json!({ "name": "log", "program": "git", "args": ["log", { "regex": "-n[0-9]+", "option": true }] }),
        json!({ "name": "any", "program": "*", "args": "any" }),
    ]);
    let up = ask(&rules, json!({ "rule": "up" })).unwrap();
    assert_eq!(up.command, Command::Exec { program: "uptime".into(), args: vec!["-p".into()] });
    let log = ask(&rules, json!({ "rule": "log", "args": ["log", "-n3"] })).unwrap();
    assert_eq!(log.command.to_string(), "git log -n3");
    assert_eq!(
        ask(&rules, json!({ "rule": "log" })),
        Err(Refusal::ArgsMissing { rule: "log".into() })
    );
    assert_eq!(
        ask(&rules, json!({ "rule": "any", "args": [] })),
        Err(Refusal::CommandMissing { rule: "any".into() })
    );
    let unknown = ask(&rules, json!({ "rule": "nope" })).unwrap_err();
    assert_eq!(unknown, Refusal::UnknownRule { known: "`up`, `log`, `any`".into() });
    assert_eq!(ask(&rules, json!({})), Err(Refusal::NothingAsked));
}

#[test]
fn a_request_that_names_a_rule_is_checked_against_that_rule_only() {
    let rules = allow(&[
        json!({ "name": "disk", "program": "df" }),
        json!({ "name": "any", "program": "*", "args": "any" }),
    ]);
    let mut request = exec("rm", &[]);
    assert!(ask(&rules, request.clone()).is_ok());
    request["rule"] = json!("disk");
    assert!(ask(&rules, request).is_err());
}

#[test]
fn a_shell_line_must_name_its_rule() {
    let rules = allow(&[json!({ "name": "sh", "shell": "/bin/sh" })]);
    let line = json!({ "type": "shell", "command": "ls | wc -l", "shell": "/bin/sh" });
    assert_eq!(ask(&rules, json!({ "command": line })), Err(Refusal::ShellUnnamed));
    assert!(ask(&rules, json!({ "rule": "sh", "command": line })).is_ok());
    let bash = json!({ "type": "shell", "command": "ls", "shell": "/bin/bash" });
    assert!(ask(&rules, json!({ "rule": "sh", "command": bash })).is_err());
    let any = allow(&[json!({ "name": "any", "program": "*", "args": "any" })]);
    assert!(
        ask(&any, json!({ "rule": "any", "command": line })).is_err(),
        "a rule for any program does not allow shell lines"
    );
}

#[test]
fn an_aws_command_is_checked_as_the_program_aws() {
    let rules = allow(&[json!({ "name": "buckets", "program": "aws", "args": [
        "s3api", "list-buckets", "--output", "json"
    ] })]);
    let aws = |operation: &str, profile: Option<&str>| {
        json!({ "command": {
            "type": "aws_cli", "service": "s3api", "operation": operation, "profile": profile
        } })
    };
    assert!(ask(&rules, aws("list-buckets", None)).is_ok());
    assert!(ask(&rules, aws("delete-bucket", None)).is_err());
    assert!(ask(&rules, aws("list-buckets", Some("admin"))).is_err());
}

#[test]
fn all_arguments_of_an_aws_command_are_checked() {
    let aws = Command::AwsCli {
        service: "s3api".into(),
        operation: "list-buckets".into(),
        args: vec!["--max-items".into(), "3".into()],
        profile: Some("p".into()),
        region: Some("r".into()),
    };
    let argv = aws.argv();
    let allows = |args: &[String]| {
        let rules = allow(&[json!({ "name": "aws", "program": argv[0], "args": args })]);
        ask(&rules, json!({ "command": aws })).is_ok()
    };
    assert!(allows(&argv[1..]), "a rule with exactly the arguments that run");
    for missing in 1..argv.len() {
        let mut fewer = argv[1..].to_vec();
        fewer.remove(missing - 1);
        assert!(!allows(&fewer), "without argument {missing}");
    }
}

#[test]
fn a_deny_rule_wins_over_all_allow_rules() {
    let mut rules = allow(&[
        json!({ "name": "any", "program": "*", "args": "any" }),
        json!({ "name": "sh", "shell": "*" }),
    ]);
    rules.deny = vec![
        compiled(json!({ "name": "no-rm", "program": "rm" })),
        compiled(json!({ "name": "no-push", "program": "git", "args": [
            "push", { "regex": ".*", "times": "rest" }
        ] })),
        compiled(json!({ "name": "no-bash", "shell": "/bin/bash" })),
    ];
    let denied = |rule: &str| Err(Refusal::Denied { rule: rule.into() });
    assert_eq!(ask(&rules, exec("rm", &["-r", "x"])), denied("no-rm"));
    assert_eq!(ask(&rules, exec("git", &["push", "-f"])), denied("no-push"));
    assert!(ask(&rules, exec("git", &["pull"])).is_ok());
    let line = |shell| json!({ "rule": "sh", "command": { "type": "shell", "command": "ls", "shell": shell } });
    assert_eq!(ask(&rules, line("/bin/bash")), denied("no-bash"));
    assert!(ask(&rules, line("/bin/sh")).is_ok());
}
