//! Commands that a window can call if its capabilities allow it. Those that start something pass
//! through the [scope](crate::scope) first; all others reach what is [visible](crate::visible) to the
//! window.

mod history;
mod output;
mod plans;
mod read;
mod stdin;
mod subscribe;

use std::path::PathBuf;
use std::sync::Arc;

use execution_engine::{ExecutionStatus, ExecutionSummary, Signal, Uuid};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tauri::ipc::{CommandScope, GlobalScope};
use tauri::{Runtime, State};

use self::output::{ResultBody, ResultOutput};
use crate::builder::PluginState;
use crate::error::Error;
use crate::owners::PageId;
use crate::request::LaunchRequest;
use crate::scope::{AllowedLaunch, LaunchCheck, LaunchEntry, ScopeRules, check};
use crate::visible::Visible;

type Result<T> = std::result::Result<T, Error>;

/// Commands whose scope has rules for what may run.
pub(crate) const LAUNCHING: &[&str] = &["execute", "run", "execute_plan"];
/// Commands whose scope says whose executions they reach.
pub(crate) const REACHING: &[&str] = &[
    "wait",
    "cancel",
    "status",
    "summary",
    "result",
    "list",
    "logs",
    "log_path",
    "remove",
    "signal",
    "pause",
    "resume",
    "wait_for_plan",
    "plan_status",
    "plan_result",
    "cancel_plan",
    "list_plans",
    "remove_plan",
    "write_stdin",
    "close_stdin",
    "read_output",
    "read_lines",
    "search_output",
    "list_history",
    "subscribe",
    "subscribe_all",
    "subscribe_plan",
];

/// Returns the handler of all commands. `build.rs` has the same list.
pub(crate) fn handler<R: Runtime>() -> impl Fn(tauri::ipc::Invoke<R>) -> bool + Send + Sync + 'static
{
    tauri::generate_handler![
        execute,
        run,
        wait,
        cancel,
        status,
        summary,
        result,
        list,
        logs,
        log_path,
        remove,
        signal,
        pause,
        resume,
        plans::execute_plan,
        plans::wait_for_plan,
        plans::plan_status,
        plans::plan_result,
        plans::cancel_plan,
        plans::list_plans,
        plans::remove_plan,
        stdin::write_stdin,
        stdin::close_stdin,
        read::read_output,
        read::read_lines,
        read::search_output,
        history::list_history,
        history::history_state,
        subscribe::subscribe,
        subscribe::subscribe_all,
        subscribe::subscribe_plan,
        subscribe::ack,
        subscribe::unsubscribe,
        subscribe::subscriptions,
    ]
}

#[tauri::command]
async fn execute(
    plugin: State<'_, PluginState>,
    page: PageId,
    own: CommandScope<LaunchEntry>,
    all: GlobalScope<LaunchEntry>,
    request: Value,
    options: Option<Value>,
) -> Result<Uuid> {
    let AllowedLaunch { request, options } = check_launch(&plugin, &own, &all, request, options)?;
    let claim = plugin.owners.claim_execution(&plugin.engine, page, request.id).await?;
    let id = plugin.engine.execute_with(request, options).await?;
    plugin.accept(claim);
    Ok(id)
}

#[tauri::command]
async fn run(
    plugin: State<'_, PluginState>,
    page: PageId,
    own: CommandScope<LaunchEntry>,
    all: GlobalScope<LaunchEntry>,
    request: Value,
    options: Option<Value>,
    output: Option<ResultOutput>,
) -> Result<ResultBody> {
    let id = execute(plugin.clone(), page, own, all, request, options).await?;
    let result = plugin.engine.wait_for_completion(id).await?;
    Ok(output.unwrap_or_default().apply(result))
}

#[tauri::command]
async fn wait(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    output: Option<ResultOutput>,
) -> Result<ResultBody> {
    visible.execution(&plugin.owners, id).await?;
    let result = plugin.engine.wait_for_completion(id).await?;
    Ok(output.unwrap_or_default().apply(result))
}

#[tauri::command]
async fn cancel(plugin: State<'_, PluginState>, visible: Visible, id: Uuid) -> Result<()> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.cancel(id).await?)
}

#[tauri::command]
async fn status(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<ExecutionStatus> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.get_status(id).await?)
}

#[tauri::command]
async fn summary(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<ExecutionSummary> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.get_summary(id).await?)
}

#[tauri::command]
async fn result(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    output: Option<ResultOutput>,
) -> Result<ResultBody> {
    visible.execution(&plugin.owners, id).await?;
    let result = plugin.engine.get_result(id).await?;
    Ok(result.map_or(ResultBody::None, |result| output.unwrap_or_default().apply(result)))
}

#[tauri::command]
async fn list(plugin: State<'_, PluginState>, visible: Visible) -> Result<Vec<ExecutionSummary>> {
    let mut all = plugin.engine.list_executions().await;
    all.retain(|execution| visible.includes(&plugin.owners, execution.id));
    Ok(all)
}

#[tauri::command]
async fn logs(plugin: State<'_, PluginState>, visible: Visible, id: Uuid) -> Result<String> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.read_logs(id).await?)
}

#[tauri::command]
async fn log_path(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<Option<PathBuf>> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.get_log_path(id).await?)
}

#[tauri::command]
async fn remove(plugin: State<'_, PluginState>, visible: Visible, id: Uuid) -> Result<()> {
    visible.execution(&plugin.owners, id).await?;
    plugin.engine.remove_execution(id).await?;
    plugin.indexes.forget(id);
    Ok(())
}

#[tauri::command]
async fn signal(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    signal: Signal,
) -> Result<u32> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.signal(id, signal).await?)
}

#[tauri::command]
async fn pause(plugin: State<'_, PluginState>, visible: Visible, id: Uuid) -> Result<()> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.pause(id).await?)
}

#[tauri::command]
async fn resume(plugin: State<'_, PluginState>, visible: Visible, id: Uuid) -> Result<()> {
    visible.execution(&plugin.owners, id).await?;
    Ok(plugin.engine.resume(id).await?)
}

/// Reads a request of a window and returns it if the scopes allow it.
fn check_launch(
    plugin: &PluginState,
    own: &CommandScope<LaunchEntry>,
    all: &GlobalScope<LaunchEntry>,
    request: Value,
    options: Option<Value>,
) -> Result<AllowedLaunch> {
    let request: LaunchRequest = read("request", request)?;
    let options = read_options(options)?;
    let launch = LaunchCheck { request, options, input_variables: Vec::new() };
    Ok(check(&rules(plugin, own, all), launch, &plugin.files)?)
}

/// Collects the rules that apply to a call: those of its command, of the plugin, and of the
/// builder.
fn rules(
    plugin: &PluginState,
    own: &CommandScope<LaunchEntry>,
    all: &GlobalScope<LaunchEntry>,
) -> ScopeRules {
    let mut rules = ScopeRules {
        allow: plugin.base.allow.clone(),
        deny: plugin.base.deny.clone(),
        default_timeout_ms: plugin.engine.config().default_timeout_ms,
        ..ScopeRules::default()
    };
    for entry in own.allows().iter().chain(all.allows()) {
        match &**entry {
            LaunchEntry::Valid(rule) => rules.allow.push(Arc::clone(rule)),
            LaunchEntry::Invalid(invalid) => rules.invalid_allow.push(invalid.clone()),
        }
    }
    for entry in own.denies().iter().chain(all.denies()) {
        match &**entry {
            LaunchEntry::Valid(rule) => rules.deny.push(Arc::clone(rule)),
            LaunchEntry::Invalid(invalid) => rules.invalid_deny.push(invalid.clone()),
        }
    }
    rules
}

/// Reads options, which may be left out.
fn read_options<T: DeserializeOwned + Default>(options: Option<Value>) -> Result<T> {
    read_or_default("options", options)
}

/// Reads an argument that may be left out.
fn read_or_default<T: DeserializeOwned + Default>(name: &str, value: Option<Value>) -> Result<T> {
    match value {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => read(name, value),
    }
}

/// Reads an argument. Serde's errors repeat the value that does not fit, which may be a secret, so
/// the error has only its path.
fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Error::Malformed { path: format!("{name}.{}", error.path()) })
}
