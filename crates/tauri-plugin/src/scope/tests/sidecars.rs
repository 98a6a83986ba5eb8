//! Sidecars: where they are found, and what is refused.

use std::path::Path;
use std::sync::Arc;

use execution_engine::Command;
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, ask_in, compiled};
use crate::scope::sidecar::{Sidecar, Sidecars};
use crate::scope::{CompiledRule, Refusal, Rule, ScopeRules};

fn ffmpeg() -> ScopeRules {
    allow(&[
        json!({ "name": "version", "sidecar": "binaries/ffmpeg", "args": ["-version"] }),
        json!({ "name": "convert", "sidecar": "binaries/ffmpeg", "args": ["-i", { "regex": "[a-z]+" }] }),
        json!({ "name": "tool", "sidecar": "tool" }),
        json!({ "name": "undeclared", "sidecar": "binaries/other" }),
    ])
}

fn bundle() -> FakeFileSystem {
    FakeFileSystem::with(&["/opt/app/bin/ffmpeg", "/opt/app/bin/other"])
}

fn program(path: &str, args: &[&str]) -> Command {
    let args = args.iter().map(|arg| (*arg).to_string()).collect();
    Command::Exec { program: path.into(), args }
}

#[test]
fn a_sidecar_is_beside_the_executable_of_the_app() {
    let ask = |request: Value| ask_in(&ffmpeg(), request, &bundle()).map(|allowed| allowed.command);
    let version = program("/opt/app/bin/ffmpeg", &["-version"]);
    assert_eq!(ask(json!({ "rule": "version" })).as_ref(), Ok(&version));
    assert_eq!(ask(json!({ "sidecar": "binaries/ffmpeg", "args": ["-version"] })), Ok(version));
    assert_eq!(
        ask(json!({ "sidecar": "binaries/ffmpeg", "args": ["-i", "film"] })),
        Ok(program("/opt/app/bin/ffmpeg", &["-i", "film"])),
        "the second rule of the same sidecar"
    );
    let refused =
        ask(json!({ "rule": "version", "sidecar": "binaries/ffmpeg", "args": ["-i", "a"] }));
    assert!(matches!(refused, Err(Refusal::Argument { .. })), "{refused:?}");
}

#[test]
fn only_a_rule_for_a_sidecar_allows_it_by_its_name() {
    let ask = |rules: &ScopeRules, request| ask_in(rules, request, &bundle());
    let any = allow(&[json!({ "name": "any", "program": "*", "args": "any" })]);
    let no_rule = Err(Refusal::NoRule { field: "sidecar", needed: "sidecar" });
    assert_eq!(ask(&any, json!({ "sidecar": "binaries/ffmpeg" })), no_rule);
    assert_eq!(ask(&ffmpeg(), json!({ "sidecar": "ffmpeg" })), no_rule);
    let both = json!({ "sidecar": "tool", "command": { "type": "exec", "program": "ls" } });
    assert_eq!(ask(&ffmpeg(), both), Err(Refusal::NothingAsked));
    let elsewhere = json!({ "command": { "type": "exec", "program": "/opt/app/other/ffmpeg" } });
    assert!(ask(&ffmpeg(), elsewhere).is_err());
}

#[test]
fn a_sidecar_that_is_missing_is_reported_with_the_place_and_the_remedy() {
    let ask = |name: &str| ask_in(&ffmpeg(), json!({ "rule": name }), &bundle()).unwrap_err();
    let missing = ask("tool").to_string();
    for part in ["rule `tool`", "/opt/app/bin/tool", "src-tauri/tool-", "build the app again"] {
        assert!(missing.contains(part), "{missing}");
    }
    let undeclared = ask("undeclared").to_string();
    for part in ["`binaries/other`", "rule `undeclared`", "externalBin"] {
        assert!(undeclared.contains(part), "{undeclared}");
    }
}

#[test]
fn a_deny_rule_can_name_a_sidecar() {
    let mut rules = ffmpeg();
    rules.deny = vec![compiled(json!({
        "name": "no-convert", "sidecar": "binaries/ffmpeg", "args": ["-i", { "regex": ".*" }]
    }))];
    let ask = |args: &[&str]| {
        ask_in(&rules, json!({ "sidecar": "binaries/ffmpeg", "args": args }), &bundle())
    };
    assert!(ask(&["-version"]).is_ok());
    assert_eq!(ask(&["-i", "film"]), Err(Refusal::Denied { rule: "no-convert".into() }));
}

#[test]
fn a_deny_rule_for_a_sidecar_whose_file_is_not_known_denies_everything() {
    let rule = json!({ "name": "no-ffmpeg", "sidecar": "binaries/ffmpeg" });
    let rule = Rule::read(rule).unwrap();
    let nowhere = Sidecars::new(None, vec!["binaries/ffmpeg".to_string()]);
    let rule = CompiledRule::new(rule, &nowhere, |path| Ok(path.to_path_buf())).unwrap();
    let rules = ScopeRules {
        deny: vec![Arc::new(rule)],
        ..allow(&[json!({ "name": "any", "program": "*" })])
    };
    let request = json!({ "command": { "type": "exec", "program": "/opt/app/bin/ffmpeg" } });
    let denied = Err(Refusal::Denied { rule: "no-ffmpeg".into() });
    assert_eq!(ask_in(&rules, request, &bundle()), denied);
}

#[test]
fn the_path_of_a_sidecar_that_is_not_declared_is_refused() {
    let ask = |program: &str| {
        let request = json!({ "command": { "type": "exec", "program": program } });
        ask_in(&ffmpeg(), request, &bundle())
    };
    assert!(ask("/opt/app/bin/tool").is_ok());
    let refused = ask("/opt/app/bin/other").unwrap_err();
    assert!(matches!(refused, Refusal::SidecarUndeclared { .. }), "{refused}");
}

#[test]
fn names_with_and_without_exe_mean_the_same_and_tests_look_one_directory_up() {
    let declared = vec!["binaries/ffmpeg".to_string()];
    let in_test = Sidecars::new(Some(Path::new("/target/debug/deps/app-1")), declared);
    for name in ["binaries/ffmpeg", "binaries/ffmpeg.exe"] {
        let sidecar = Sidecar::new(name, &in_test);
        let file = if cfg!(windows) { "/target/debug/ffmpeg.exe" } else { "/target/debug/ffmpeg" };
        assert!(sidecar.is(file), "{sidecar:?}");
    }
    let dotted = Sidecar::new("binaries/tool-1.2", &in_test);
    let file = if cfg!(windows) { "/target/debug/tool-1.2.exe" } else { "/target/debug/tool-1.2" };
    assert!(dotted.is(file), "a dot is a part of the name");
}
