//! Capabilities as Tauri applies them: which commands a window may call, and what its scope allows.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tauri::ipc::{CallbackFn, InvokeBody};
use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder};
use tauri::webview::InvokeRequest;
use tauri::{App, Manager, WebviewUrl, WebviewWindow, WebviewWindowBuilder};
use tauri_plugin_execution_engine::execution_engine::{
    ExecutionOptions, ExecutionRequest, StdinSource, Uuid,
};
use tauri_plugin_execution_engine::{ExecutionEngineExt, StoreHistory};

fn app() -> App<MockRuntime> {
    execution_desktop::app(mock_builder(), execution_desktop::plugin())
        .build(execution_desktop::context())
        .unwrap()
}

/// An app that keeps its history in this directory.
fn app_with_history(dir: &Path) -> App<MockRuntime> {
    let history = Arc::new(StoreHistory::open(dir).unwrap());
    let plugin = execution_desktop::plugin().history_with(move |_| Ok(history));
    execution_desktop::app(mock_builder(), plugin).build(execution_desktop::context()).unwrap()
}

/// Creates a window with these permissions.
fn window(app: &App<MockRuntime>, label: &str, permissions: Value) -> WebviewWindow<MockRuntime> {
    let capability = json!({ "identifier": label, "windows": [label], "permissions": permissions });
    app.add_capability(capability.to_string()).unwrap();
    WebviewWindowBuilder::new(app, label, WebviewUrl::default()).build().unwrap()
}

/// Calls a command of the plugin like a page.
fn call(window: &WebviewWindow<MockRuntime>, command: &str, args: Value) -> Result<Value, Value> {
    call_with(window, command, args, &[])
}

fn call_with(
    window: &WebviewWindow<MockRuntime>,
    command: &str,
    args: Value,
    headers: &[(&'static str, &str)],
) -> Result<Value, Value> {
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let request = InvokeRequest {
        cmd: format!("plugin:execution-engine|{command}"),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: "tauri://localhost".parse().unwrap(),
        body: InvokeBody::Json(args),
        headers: headers.collect(),
        invoke_key: INVOKE_KEY.to_string(),
    };
    get_ipc_response(window, request).map(|body| body.deserialize().unwrap())
}

fn exec(program: &str) -> Value {
    json!({ "request": { "command": { "type": "exec", "program": program } } })
}

#[test]
fn a_window_without_capabilities_can_call_nothing() {
    let app = app();
    let window = window(&app, "bare", json!([]));
    for command in ["list", "execute", "subscribe", "cancel"] {
        let denied = call(&window, command, json!({})).unwrap_err();
        assert!(denied.to_string().contains("not allowed"), "{command}: {denied}");
    }
}

#[test]
fn the_default_set_only_reads() {
    let app = app();
    let window = window(&app, "reader", json!(["execution-engine:default"]));
    let changing = [
        "execute",
        "run",
        "cancel",
        "signal",
        "pause",
        "resume",
        "write_stdin",
        "close_stdin",
        "remove",
        "execute_plan",
        "cancel_plan",
        "remove_plan",
    ];
    for command in changing {
        let denied = call(&window, command, json!({})).unwrap_err();
        assert!(denied.to_string().contains("not allowed"), "{command}: {denied}");
    }
    assert_eq!(call(&window, "list", json!({})), Ok(json!([])));
    let unknown = json!({ "id": "00000000-0000-0000-0000-000000000000" });
    for command in ["status", "summary", "result", "wait", "logs", "log_path"] {
        let error = call(&window, command, unknown.clone()).unwrap_err();
        assert_eq!(error["code"], "not_found", "{command} is allowed and answers");
    }
    for command in ["plan_status", "plan_result", "wait_for_plan"] {
        let error = call(&window, command, unknown.clone()).unwrap_err();
        assert_eq!(error["code"], "plan_not_found", "{command} is allowed and answers");
    }
    assert_eq!(call(&window, "list_plans", json!({})), Ok(json!([])));
    assert_eq!(call(&window, "subscriptions", json!({})), Ok(json!(0)));
    assert_eq!(call(&window, "list_history", json!({})).unwrap_err()["code"], "no_history");
    assert_eq!(call(&window, "history_state", json!({})).unwrap()["kept"], json!(false));
}

#[test]
fn a_window_lists_what_it_has_run_and_what_its_scope_adds() {
    let dir = tempfile::tempdir().unwrap();
    let app = app_with_history(dir.path());
    let launch = json!([
        "execution-engine:default",
        "execution-engine:allow-remove",
        { "identifier": "execution-engine:launch", "allow": [{ "name": "true", "program": "true" }] },
    ]);
    let monitor = json!([
        { "identifier": "execution-engine:allow-list-history", "allow": [{ "executions": "all" }] },
    ]);
    let main = window(&app, "one", launch.clone());
    let other = window(&app, "two", launch);
    let monitor = window(&app, "monitor", monitor);
    let ids: Vec<Value> = [&main, &other]
        .map(|window| call(window, "run", exec("true")).unwrap()["id"].clone())
        .into();
    let private = json!({ "request": {
        "command": { "type": "exec", "program": "true" }, "metadata": { "tags": ["private"] }
    } });
    call(&main, "run", private).unwrap();
    let listed = |window: &WebviewWindow<MockRuntime>| -> Vec<Value> {
        let page = call(window, "list_history", json!({ "query": { "limit": 1 } })).unwrap();
        let mut entries = page["entries"].as_array().unwrap().clone();
        if !page["next"].is_null() {
            let query = json!({ "query": { "cursor": page["next"] } });
            let rest = call(window, "list_history", query).unwrap();
            entries.extend(rest["entries"].as_array().unwrap().clone());
        }
        entries.iter().map(|entry| entry["summary"]["id"].clone()).collect()
    };
    assert_eq!(listed(&main), ids[..1]);
    assert_eq!(listed(&other), ids[1..]);
    assert_eq!(listed(&monitor), [ids[1].clone(), ids[0].clone()]);
    assert_eq!(call(&main, "history_state", json!({})).unwrap()["kept"], json!(true));
    call(&main, "remove", json!({ "id": ids[1] })).unwrap_err();
    call(&main, "remove", json!({ "id": ids[0] })).unwrap();
    assert_eq!(listed(&monitor), ids[1..]);
}

#[test]
fn a_launch_permission_without_rules_runs_nothing() {
    let app = app();
    let window = window(&app, "unscoped", json!(["execution-engine:allow-run"]));
    let refused = call(&window, "run", exec("true")).unwrap_err();
    assert_eq!(refused["code"], "refused");
    assert!(refused["message"].as_str().unwrap().contains("has no rules"), "{refused}");
}

#[test]
fn a_scope_allows_what_its_rules_name() {
    let app = app();
    let scope = json!([{
        "identifier": "execution-engine:allow-run",
        "allow": [{ "name": "greet", "program": "echo", "args": [{ "regex": "[a-z]+" }] }]
    }]);
    let window = window(&app, "scoped", scope);
    let greet =
        |args: Value| call(&window, "run", json!({ "request": { "rule": "greet", "args": args } }));
    let result = greet(json!(["hello"])).unwrap();
    assert_eq!((&result["stdout"], &result["success"]), (&json!("hello\n"), &json!(true)));
    assert_eq!(greet(json!(["Hello!"])).unwrap_err()["code"], "refused");
    assert_eq!(call(&window, "run", exec("ls")).unwrap_err()["code"], "refused");
}

#[test]
fn a_scope_applies_to_its_own_window_only() {
    let app = app();
    let scope = json!([{
        "identifier": "execution-engine:allow-run", "allow": [{ "name": "ok", "program": "true" }]
    }]);
    let first = window(&app, "first", scope);
    let second = window(&app, "second", json!(["execution-engine:allow-run"]));
    assert!(call(&first, "run", exec("true")).is_ok());
    assert_eq!(call(&second, "run", exec("true")).unwrap_err()["code"], "refused");
}

#[test]
fn the_global_scope_applies_to_all_launch_commands() {
    let app = app();
    let everywhere = json!([
        "execution-engine:allow-run",
        { "identifier": "execution-engine:scope", "allow": [{ "name": "ok", "program": "true" }] }
    ]);
    let window = window(&app, "everywhere", everywhere);
    assert_eq!(call(&window, "run", exec("true")).unwrap()["status"], "completed");
}

#[test]
fn a_plan_runs_if_each_of_its_commands_is_allowed() {
    let app = app();
    let launch = json!([
        "execution-engine:default",
        {
            "identifier": "execution-engine:launch",
            "allow": [{ "name": "say", "program": "echo", "args": "any" }]
        }
    ]);
    let window = window(&app, "planner", launch);
    let plan = |programs: [&str; 2]| {
        let commands = programs.map(|program| {
            json!({ "command": { "type": "exec", "program": program, "args": ["hello"] } })
        });
        json!({ "plan": {
            "strategy": { "type": "serial", "stop_on_error": true }, "commands": commands
        } })
    };
    let id = call(&window, "execute_plan", plan(["echo", "echo"])).unwrap();
    let result = call(&window, "wait_for_plan", json!({ "id": id })).unwrap();
    assert_eq!(result["status"], "completed");
    assert_eq!(result["results"][1]["stdout"], "hello\n");
    let short = call(&window, "plan_result", json!({ "id": id, "output": "omit" })).unwrap();
    assert_eq!(short["results"][1]["stdout"], "");

    let refused = call(&window, "execute_plan", plan(["echo", "ls"])).unwrap_err();
    assert_eq!(refused["code"], "refused");
    assert!(refused["message"].as_str().unwrap().starts_with("commands[1]: "), "{refused}");
    assert_eq!(call(&window, "list_plans", json!({})).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn variables_of_tauri_are_resolved_in_rules() {
    let app = app();
    let scope = json!([{
        "identifier": "execution-engine:allow-run",
        "allow": [{ "name": "where", "program": "pwd", "working_dirs": ["$TEMP"] }]
    }]);
    let window = window(&app, "variables", scope);
    let at = |dir: &Path| {
        let request = json!({ "rule": "where", "working_dir": dir });
        call(&window, "run", json!({ "request": request }))
    };
    let temp = app.path().temp_dir().unwrap().canonicalize().unwrap();
    let printed = at(&temp).unwrap()["stdout"].as_str().unwrap().trim().to_string();
    assert_eq!(Path::new(&printed), temp);
    assert_eq!(at(Path::new("/")).unwrap_err()["code"], "refused");
}

/// A program of one rule may write to the directory above that of another one.
#[test]
fn a_directory_of_a_rule_that_is_replaced_by_a_link_allows_nothing_else() {
    let app = app();
    let dir = app.path().temp_dir().unwrap().canonicalize().unwrap();
    let dir = dir.join(format!("scope-{}", Uuid::new_v4()));
    let (allowed, outside) = (dir.join("allowed"), dir.join("outside"));
    std::fs::create_dir_all(&allowed).unwrap();
    std::fs::create_dir(&outside).unwrap();
    let scope = json!([{
        "identifier": "execution-engine:allow-run",
        "allow": [
            { "name": "where", "program": "pwd", "working_dirs": [allowed] },
            { "name": "later", "program": "pwd", "working_dirs": [dir.join("later")] }
        ]
    }]);
    let window = window(&app, "replaced", scope);
    let run = |rule: &str, path: &Path| {
        let request = json!({ "rule": rule, "working_dir": path });
        call(&window, "run", json!({ "request": request }))
    };
    assert_eq!(run("where", &allowed).unwrap()["success"], true);
    std::fs::rename(&allowed, dir.join("old")).unwrap();
    for link in ["allowed", "later"] {
        std::os::unix::fs::symlink(&outside, dir.join(link)).unwrap();
    }
    for (rule, name) in [("where", "allowed"), ("later", "later")] {
        for path in [&dir.join(name), &outside] {
            assert_eq!(run(rule, path).unwrap_err()["code"], "refused", "{rule} {path:?}");
        }
    }
    // A directory that is made later is as good as one that was there.
    std::fs::remove_file(dir.join("later")).unwrap();
    std::fs::create_dir(dir.join("later")).unwrap();
    assert_eq!(run("later", &dir.join("later")).unwrap()["success"], true);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_malformed_request_is_reported_without_its_values() {
    let app = app();
    let window = window(&app, "malformed", json!(["execution-engine:allow-run"]));
    let malformed =
        json!({ "request": { "command": { "type": "exec", "program": "ls" }, "env": "hunter2" } });
    let error = call(&window, "run", malformed).unwrap_err();
    assert_eq!(error["code"], "malformed");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("request.env") && !message.contains("hunter2"), "{message}");
}

/// Starts a program that waits for input, as the app's own code does.
fn start_of_app(app: &App<MockRuntime>) -> Uuid {
    let request = ExecutionRequest::program("cat").description("from Rust");
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let engine = app.execution_engine();
    tauri::async_runtime::block_on(engine.execute_with(request, options)).unwrap()
}

#[test]
fn rust_code_of_the_app_uses_the_same_engine() {
    let app = app();
    let all = json!([
        { "identifier": "execution-engine:read", "allow": [{ "executions": "all" }] }
    ]);
    let window = window(&app, "shared", all);
    let engine = app.execution_engine();
    let run = engine.run(ExecutionRequest::program("true").description("from Rust"));
    let result = tauri::async_runtime::block_on(run).unwrap();
    let list = call(&window, "list", json!({})).unwrap();
    assert_eq!(list[0]["id"], json!(result.id));
    assert_eq!(list[0]["metadata"]["description"], "from Rust");
}

/// Returns all commands of the plugin, as its build script lists them.
fn commands() -> Vec<&'static str> {
    let build = include_str!("../../../../crates/tauri-plugin/build.rs");
    let list = build.split("COMMANDS: &[&str] = &[").nth(1).unwrap().split("];").next().unwrap();
    list.split('"').skip(1).step_by(2).collect()
}

#[test]
fn no_command_reaches_what_belongs_to_the_app() {
    // These start something, or are about the subscriptions of the page alone, or the app as a whole.
    let others = [
        "execute",
        "run",
        "execute_plan",
        "ack",
        "unsubscribe",
        "subscriptions",
        "subscribe_all",
        "history_state",
    ];
    let dir = tempfile::tempdir().unwrap();
    let app = app_with_history(dir.path());
    let commands = commands();
    let allowed =
        commands.iter().map(|name| format!("execution-engine:allow-{}", name.replace('_', "-")));
    let window = window(&app, "curious", allowed.collect());
    let (target, unknown) = (start_of_app(&app), Uuid::new_v4());
    let args = |id: Uuid| {
        json!({
            "id": id, "signal": "user1", "format": "lines", "filter": "everything",
            "channel": "__CHANNEL__:1", "output": "omit", "query": {}
        })
    };
    let mut asked = 0;
    for command in commands.iter().filter(|command| !others.contains(command)) {
        let ask = |id: Uuid| {
            let headers = [("execution-id", id.to_string())];
            call_with(
                &window,
                command,
                args(id),
                &headers.each_ref().map(|(k, v)| (*k, v.as_str())),
            )
        };
        let answer = ask(target);
        if *command == "list_history" {
            assert_eq!(answer, Ok(json!({ "entries": [], "next": null })));
            continue;
        }
        if command.starts_with("list") {
            assert_eq!(answer, Ok(json!([])), "{command}");
            continue;
        }
        let text = |answer: Result<Value, Value>| {
            let error = answer.expect_err(command);
            assert!(
                error["code"].as_str().is_some_and(|code| code.ends_with("not_found")),
                "{command}: {error}"
            );
            error.to_string()
        };
        assert_eq!(
            text(answer),
            text(ask(unknown)).replace(&unknown.to_string(), &target.to_string())
        );
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
    app.give_execution(target, "curious");
    assert_eq!(call(&window, "status", args(target)), Ok(json!("running")));
    assert_eq!(call(&window, "cancel", args(target)), Ok(Value::Null));
}

#[test]
fn an_invalid_entry_of_a_capability_disables_itself_alone() {
    let app = app();
    let scope = json!([{
        "identifier": "execution-engine:allow-run",
        "allow": [{ "name": "bad", "program": "./true" }, { "name": "ok", "program": "true" }]
    }]);
    let window = window(&app, "broken", scope);
    assert_eq!(call(&window, "run", exec("true")).unwrap()["success"], true);
    let refused = call(&window, "run", json!({ "request": { "rule": "bad" } })).unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("rule `bad`: program"), "{refused}");
}
