//! Windows with different capabilities: what one can do to another and to the app, and what gets past
//! the rules of its scope.

#[path = "../support/mod.rs"]
mod support;

mod ownership;
mod rules;

use serde_json::{Value, json};
use support::App;

/// Id that was never given.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// The app with its windows, of which the test drives one.
struct Windows(App);

impl Windows {
    async fn open() -> Self {
        let app = App::launch("windows-app").await;
        app.element("#ready").await;
        Self(app)
    }

    /// Runs the body of an async function in a window: `{ "value": .. }` or `{ "error": .. }`.
    async fn run(&self, window: &str, body: &str, args: Value) -> Value {
        let run = "return await window.runIn(args[0], args[1], args[2])";
        self.0.async_js(run, &[json!(window), json!(body), args]).await
    }

    /// Calls a command of the plugin in a window.
    async fn call(&self, window: &str, command: &str, args: Value) -> Result<Value, Value> {
        let body = "return plugin(args.command, args.args)";
        let answer = self.run(window, body, json!({ "command": command, "args": args })).await;
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["value"].clone()),
        }
    }

    /// Starts a program that waits for input.
    async fn start_cat(&self, window: &str) -> String {
        let args =
            json!({ "request": { "rule": "cat" }, "options": { "stdin": { "type": "piped" } } });
        id(&self.call(window, "execute", args).await.unwrap())
    }

    async fn start_of_app(&self) -> String {
        let answer = self.run("main", "return invoke('start')", json!(null)).await;
        id(&answer["value"])
    }

    /// Calls each command about an execution in a window. Returns those that did not answer like for
    /// an id that was never given.
    async fn reached(&self, window: &str, execution: &str) -> Vec<String> {
        self.differing(window, EXECUTION_COMMANDS, execution).await
    }

    async fn differing(&self, window: &str, commands: &str, target: &str) -> Vec<String> {
        let answers = |of: String| async move {
            self.run(window, commands, json!(of)).await["value"].as_array().unwrap().clone()
        };
        let (known, unknown) = (answers(target.to_string()).await, answers(UNKNOWN.into()).await);
        assert!(known.len() > 5, "{known:?}");
        let told = |answer: &Value| answer.to_string().replace(target, UNKNOWN);
        for answer in &unknown {
            assert!(answer["error"]["code"].as_str().unwrap().ends_with("not_found"), "{answer}");
        }
        let pairs = known.iter().zip(&unknown);
        pairs
            .filter(|(known, unknown)| told(known) != told(unknown))
            .map(|(known, _)| known.to_string())
            .collect()
    }
}

/// Commands about an execution, those that change nothing first.
const EXECUTION_COMMANDS: &str = "
    const id = args, channel = () => new Channel();
    const bytes = (text) => Array.from(new TextEncoder().encode(text));
    const calls = [
        ['status', { id }], ['result', { id }], ['logs', { id }], ['log_path', { id }],
        ['subscribe', { id, format: 'lines', channel: channel() }],
        ['subscribe', { id, format: 'chunks', channel: channel() }],
        ['write_stdin', new Uint8Array(bytes('injected')), { headers: { 'execution-id': id } }],
        ['pause', { id }], ['resume', { id }], ['signal', { id, signal: 'user1' }],
        ['close_stdin', { id }], ['cancel', { id }], ['wait', { id }], ['remove', { id }],
    ];
    const answers = [];
    for (const [command, values, options] of calls) {
        let answer;
        try { answer = { value: await plugin(command, values, options) ?? null }; }
        catch (error) { answer = { error: { code: error.code, message: error.message } }; }
        answers.push({ command, ...answer });
    }
    return answers;";

const PLAN_COMMANDS: &str = "
    const id = args;
    const calls = [
        ['plan_status', { id }], ['plan_result', { id }],
        ['subscribe_plan', { id, filter: 'everything', channel: new Channel() }],
        ['cancel_plan', { id }], ['cancel_plan', { id }], ['wait_for_plan', { id }], ['remove_plan', { id }],
    ];
    const answers = [];
    for (const [command, values] of calls) {
        let answer;
        try { answer = { value: await plugin(command, values) ?? null }; }
        catch (error) { answer = { error: { code: error.code, message: error.message } }; }
        answers.push({ command, ...answer });
    }
    return answers;";

fn id(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("an id: {value}")).to_string()
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| id(&one["id"])).collect()
}

fn code(answer: &Result<Value, Value>) -> &str {
    answer.as_ref().map_or_else(|error| error["code"].as_str().unwrap_or("none"), |_| "ok")
}
