//! Commands that a window can call if its capabilities allow it. Those that start something pass
//! through the [scope](crate::scope) first; all others only call the engine.

mod plans;
mod stdin;
mod subscribe;

use std::path::PathBuf;

use execution_engine::{ExecutionResult, ExecutionStatus, ExecutionSummary, Signal, Uuid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tauri::ipc::{CommandScope, GlobalScope};
use tauri::{Runtime, State};

use crate::builder::PluginState;
use crate::error::Error;
use crate::request::LaunchRequest;
use crate::scope::{AllowedLaunch, CompiledRule, LaunchCheck, RealFileSystem, ScopeRules, check};

type Result<T> = std::result::Result<T, Error>;

/// Returns the handler of all commands. `build.rs` has the same list.
pub(crate) fn handler<R: Runtime>() -> impl Fn(tauri::ipc::Invoke<R>) -> bool + Send + Sync + 'static
{
    tauri::generate_handler![
        execute,
        run,
        wait,
        cancel,
        status,
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
    own: CommandScope<CompiledRule>,
    all: GlobalScope<CompiledRule>,
    request: Value,
    options: Option<Value>,
) -> Result<Uuid> {
    let AllowedLaunch { request, options } = check_launch(&plugin, &own, &all, request, options)?;
    Ok(plugin.engine.execute_with(request, options).await?)
}

#[tauri::command]
async fn run(
    plugin: State<'_, PluginState>,
    own: CommandScope<CompiledRule>,
    all: GlobalScope<CompiledRule>,
    request: Value,
    options: Option<Value>,
) -> Result<ExecutionResult> {
    let id = execute(plugin.clone(), own, all, request, options).await?;
    Ok(plugin.engine.wait_for_completion(id).await?)
}

/// Whether a result includes the text of both streams, which may be large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutputText {
    #[default]
    Include,
    Omit,
}

impl OutputText {
    fn apply(self, mut result: ExecutionResult) -> ExecutionResult {
        if self == Self::Omit {
            result.stdout = String::new();
            result.stderr = String::new();
        }
        result
    }
}

#[tauri::command]
async fn wait(
    plugin: State<'_, PluginState>,
    id: Uuid,
    output: Option<OutputText>,
) -> Result<ExecutionResult> {
    let result = plugin.engine.wait_for_completion(id).await?;
    Ok(output.unwrap_or_default().apply(result))
}

#[tauri::command]
async fn cancel(plugin: State<'_, PluginState>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.cancel(id).await?)
}

#[tauri::command]
async fn status(plugin: State<'_, PluginState>, id: Uuid) -> Result<ExecutionStatus> {
    Ok(plugin.engine.get_status(id).await?)
}

#[tauri::command]
async fn result(
    plugin: State<'_, PluginState>,
    id: Uuid,
    output: Option<OutputText>,
) -> Result<Option<ExecutionResult>> {
    let result = plugin.engine.get_result(id).await?;
    Ok(result.map(|result| output.unwrap_or_default().apply(result)))
}

#[tauri::command]
async fn list(plugin: State<'_, PluginState>) -> Result<Vec<ExecutionSummary>> {
    Ok(plugin.engine.list_executions().await)
}

#[tauri::command]
async fn logs(plugin: State<'_, PluginState>, id: Uuid) -> Result<String> {
    Ok(plugin.engine.read_logs(id).await?)
}

#[tauri::command]
async fn log_path(plugin: State<'_, PluginState>, id: Uuid) -> Result<Option<PathBuf>> {
    Ok(plugin.engine.get_log_path(id).await?)
}

#[tauri::command]
async fn remove(plugin: State<'_, PluginState>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.remove_execution(id).await?)
}

#[tauri::command]
async fn signal(plugin: State<'_, PluginState>, id: Uuid, signal: Signal) -> Result<u32> {
    Ok(plugin.engine.signal(id, signal).await?)
}

#[tauri::command]
async fn pause(plugin: State<'_, PluginState>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.pause(id).await?)
}

#[tauri::command]
async fn resume(plugin: State<'_, PluginState>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.resume(id).await?)
}

/// Reads a request of a window and returns it if the scopes allow it.
fn check_launch(
    plugin: &PluginState,
    own: &CommandScope<CompiledRule>,
    all: &GlobalScope<CompiledRule>,
    request: Value,
    options: Option<Value>,
) -> Result<AllowedLaunch> {
    let request: LaunchRequest = read("request", request)?;
    let options = read_options(options)?;
    let launch = LaunchCheck { request, options, input_variables: Vec::new() };
    Ok(check(&rules(plugin, own, all), launch, &RealFileSystem)?)
}

/// Collects the rules that apply to a call: those of its command, of the plugin, and of the
/// builder.
fn rules(
    plugin: &PluginState,
    own: &CommandScope<CompiledRule>,
    all: &GlobalScope<CompiledRule>,
) -> ScopeRules {
    let base = &plugin.base;
    ScopeRules {
        allow: [&base.allow, own.allows(), all.allows()].into_iter().flatten().cloned().collect(),
        deny: [&base.deny, own.denies(), all.denies()].into_iter().flatten().cloned().collect(),
    }
}

/// Reads options, which may be left out.
fn read_options<T: DeserializeOwned + Default>(options: Option<Value>) -> Result<T> {
    match options {
        None | Some(Value::Null) => Ok(T::default()),
        Some(options) => read("options", options),
    }
}

/// Reads an argument. Serde's errors repeat the value that does not fit, which may be a secret, so
/// the error has only its path.
fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Error::Malformed { path: format!("{name}.{}", error.path()) })
}
