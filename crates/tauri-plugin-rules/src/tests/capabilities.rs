//! Check of the capability files of an app.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::invalid_entries;

fn capability(permissions: Value) -> String {
    json!({ "identifier": "main", "windows": ["main"], "permissions": permissions }).to_string()
}

fn reports(dir: &Path) -> Vec<String> {
    let entries = invalid_entries(dir.join("capabilities"));
    entries.iter().map(|entry| entry.to_string().replace(dir.to_str().unwrap(), "")).collect()
}

/// Creates the directories of an app with these files.
fn app(files: &[(&str, String)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn each_invalid_entry_is_named_with_file_rule_and_field() {
    let launch = json!([
        "core:default",
        {
            "identifier": "execution-engine:launch",
            "allow": [
                { "name": "ok", "program": "df" },
                { "name": "log", "program": "git", "args": ["log", { "regex": "(" }] }
            ],
            "deny": [{ "name": "no-su", "program": "bin/su" }]
        }
    ]);
    let toml = "identifier = \"other\"\n[[permissions]]\nidentifier = \"execution-engine:control\"\n\
                allow = [{ executions = \"everything\" }]\n";
    let app = app(&[
        ("capabilities/main.json", capability(launch)),
        ("capabilities/windows/other.toml", toml.to_string()),
    ]);
    let reports = reports(app.path());
    assert_eq!(reports.len(), 3, "{reports:#?}");
    let starts = [
        "/capabilities/main.json: execution-engine:launch: allow[1]: rule `log`: args[1].regex: ",
        "/capabilities/main.json: execution-engine:launch: deny[0]: rule `no-su`: program: ",
        "/capabilities/windows/other.toml: execution-engine:control: allow[0]: a rule without a name: executions: ",
    ];
    for (report, start) in reports.iter().zip(starts) {
        assert!(report.starts_with(start), "{report}");
    }
}

#[test]
fn entries_of_both_kinds_belong_to_their_permissions() {
    let misplaced = json!([
        { "identifier": "execution-engine:read", "allow": [{ "name": "df", "program": "df" }] },
        { "identifier": "execution-engine:allow-run", "allow": [{ "executions": "all" }] },
        { "identifier": "execution-engine:scope", "allow": [{ "executions": "all" }] },
        { "identifier": "execution-engine:read", "allow": [{ "executions": "all" }] },
        { "identifier": "execution-engine:allow-run", "allow": [{ "name": "df", "program": "df" }] },
        { "identifier": "fs:scope", "allow": [{ "path": "/" }] },
    ]);
    let app = app(&[("capabilities/main.json", capability(misplaced))]);
    let reports = reports(app.path());
    assert_eq!(reports.len(), 3, "{reports:#?}");
}

#[test]
fn capabilities_in_the_configuration_are_checked() {
    let inline = serde_json::from_str::<Value>(&capability(json!([
        { "identifier": "execution-engine:allow-run", "allow": [{ "name": "x" }] }
    ])));
    let config = json!({ "app": { "security": { "capabilities": ["main", inline.unwrap()] } } });
    let app = app(&[("tauri.conf.json", config.to_string())]);
    let reports = reports(app.path());
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert!(
        reports[0].starts_with("/tauri.conf.json: execution-engine:allow-run: allow[0]: rule `x`")
    );
}

#[test]
fn an_app_without_capabilities_and_files_of_others_are_no_error() {
    let files = [
        ("capabilities/broken.json", "{".to_string()),
        ("capabilities/notes.md", "(".to_string()),
        (
            "capabilities/schemas/x.json",
            capability(json!([
                { "identifier": "execution-engine:launch", "allow": [{}] }
            ])),
        ),
    ];
    assert_eq!(reports(app(&files).path()), [""; 0]);
    assert_eq!(reports(app(&[]).path()), [""; 0]);
}

/// Directory of the capability files for the process that stands in for a build script.
const CAPABILITIES: &str = "TEST_CAPABILITIES";

#[test]
fn a_build_with_an_invalid_rule_fails() {
    if let Some(dir) = std::env::var_os(CAPABILITIES) {
        return crate::check_capabilities(dir);
    }
    let build = |rule: Value| {
        let permissions = json!([{ "identifier": "execution-engine:launch", "allow": [rule] }]);
        let app = app(&[("capabilities/main.json", capability(permissions))]);
        let test = "tests::capabilities::a_build_with_an_invalid_rule_fails";
        #[expect(clippy::disallowed_methods, reason = "the build script is a process of its own")]
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(CAPABILITIES, app.path().join("capabilities"))
            .output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_built, told) = build(json!({ "name": "df", "program": "df" }));
    assert!(
        is_built && told.contains("cargo::rerun-if-changed=") && !told.contains("cargo::error")
    );
    let (is_built, told) = build(json!({ "name": "df", "program": "bin/df" }));
    let error = told.lines().find(|line| line.starts_with("cargo::error=")).expect(&told);
    assert!(!is_built && error.contains("allow[0]: rule `df`: program: "), "{error}");
}
