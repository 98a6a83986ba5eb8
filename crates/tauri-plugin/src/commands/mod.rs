//! The commands that windows may be allowed to call.

mod plans;
mod stdin;
mod watch;

use std::path::PathBuf;

use execution_engine::{ExecutionResult, ExecutionStatus, ExecutionSummary, Signal, Uuid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tauri::ipc::{CommandScope, GlobalScope};
use tauri::{Runtime, State};

use crate::builder::Plugin;
use crate::error::Error;
use crate::request::LaunchRequest;
use crate::scope::{Allowed, Ask, Compiled, Disk, Rules, check};

type Result<T> = std::result::Result<T, Error>;

/// All of them, for the plugin. The build script has the same list.
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
        watch::subscribe,
        watch::subscribe_all,
        watch::subscribe_plan,
        watch::confirm,
        watch::unsubscribe,
        watch::subscriptions,
    ]
}

#[tauri::command]
async fn execute(
    plugin: State<'_, Plugin>,
    own: CommandScope<Compiled>,
    all: GlobalScope<Compiled>,
    request: Value,
    options: Option<Value>,
) -> Result<Uuid> {
    let Allowed { request, options } = allowed(&plugin, &own, &all, request, options)?;
    Ok(plugin.engine.execute_with(request, options).await?)
}

#[tauri::command]
async fn run(
    plugin: State<'_, Plugin>,
    own: CommandScope<Compiled>,
    all: GlobalScope<Compiled>,
    request: Value,
    options: Option<Value>,
) -> Result<ExecutionResult> {
    let id = execute(plugin.clone(), own, all, request, options).await?;
    Ok(plugin.engine.wait_for_completion(id).await?)
}

/// Whether the text of both streams comes with a result. It may be large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Texts {
    #[default]
    Include,
    Omit,
}

impl Texts {
    fn of(self, mut result: ExecutionResult) -> ExecutionResult {
        if self == Self::Omit {
            result.stdout = String::new();
            result.stderr = String::new();
        }
        result
    }
}

#[tauri::command]
async fn wait(
    plugin: State<'_, Plugin>,
    id: Uuid,
    output: Option<Texts>,
) -> Result<ExecutionResult> {
    let result = plugin.engine.wait_for_completion(id).await?;
    Ok(output.unwrap_or_default().of(result))
}

#[tauri::command]
async fn cancel(plugin: State<'_, Plugin>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.cancel(id).await?)
}

#[tauri::command]
async fn status(plugin: State<'_, Plugin>, id: Uuid) -> Result<ExecutionStatus> {
    Ok(plugin.engine.get_status(id).await?)
}

#[tauri::command]
async fn result(
    plugin: State<'_, Plugin>,
    id: Uuid,
    output: Option<Texts>,
) -> Result<Option<ExecutionResult>> {
    let result = plugin.engine.get_result(id).await?;
    Ok(result.map(|result| output.unwrap_or_default().of(result)))
}

#[tauri::command]
async fn list(plugin: State<'_, Plugin>) -> Result<Vec<ExecutionSummary>> {
    Ok(plugin.engine.list_executions().await)
}

#[tauri::command]
async fn logs(plugin: State<'_, Plugin>, id: Uuid) -> Result<String> {
    Ok(plugin.engine.read_logs(id).await?)
}

#[tauri::command]
async fn log_path(plugin: State<'_, Plugin>, id: Uuid) -> Result<Option<PathBuf>> {
    Ok(plugin.engine.get_log_path(id).await?)
}

#[tauri::command]
async fn remove(plugin: State<'_, Plugin>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.remove_execution(id).await?)
}

#[tauri::command]
async fn signal(plugin: State<'_, Plugin>, id: Uuid, signal: Signal) -> Result<u32> {
    Ok(plugin.engine.signal(id, signal).await?)
}

#[tauri::command]
async fn pause(plugin: State<'_, Plugin>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.pause(id).await?)
}

#[tauri::command]
async fn resume(plugin: State<'_, Plugin>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.resume(id).await?)
}

/// What a window wants to run, if the scopes allow it.
fn allowed(
    plugin: &Plugin,
    own: &CommandScope<Compiled>,
    all: &GlobalScope<Compiled>,
    request: Value,
    options: Option<Value>,
) -> Result<Allowed> {
    let request: LaunchRequest = read("request", request)?;
    let options = read_options(options)?;
    let ask = Ask { request, options, handed: Vec::new() };
    Ok(check(&rules(plugin, own, all), ask, &Disk)?)
}

/// All rules that apply to a call.
fn rules(plugin: &Plugin, own: &CommandScope<Compiled>, all: &GlobalScope<Compiled>) -> Rules {
    let base = &plugin.base;
    Rules {
        allow: [&base.allow, own.allows(), all.allows()].into_iter().flatten().cloned().collect(),
        deny: [&base.deny, own.denies(), all.denies()].into_iter().flatten().cloned().collect(),
    }
}

/// Options may be left out.
fn read_options<T: DeserializeOwned + Default>(options: Option<Value>) -> Result<T> {
    match options {
        None | Some(Value::Null) => Ok(T::default()),
        Some(options) => read("options", options),
    }
}

/// Reads an argument. The errors of serde repeat the value that does not fit, which may be a
/// secret, so only its place is told.
fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Error::Malformed { place: format!("{name}.{}", error.path()) })
}
