//! Commands about plans.

use execution_engine::{ExecutionStatus, PlanExecutionResult, PlanSummary, Uuid};
use serde_json::Value;
use tauri::State;
use tauri::ipc::{CommandScope, GlobalScope};

use super::{OutputText, Result, read, read_options, rules};
use crate::builder::PluginState;
use crate::scope::{AllowedPlan, CompiledRule, RealFileSystem, check_plan};

#[tauri::command]
pub(super) async fn execute_plan(
    plugin: State<'_, PluginState>,
    own: CommandScope<CompiledRule>,
    all: GlobalScope<CompiledRule>,
    plan: Value,
    options: Option<Value>,
) -> Result<Uuid> {
    let (plan, options) = (read("plan", plan)?, read_options(options)?);
    let AllowedPlan { plan, options } =
        check_plan(&rules(&plugin, &own, &all), plan, options, &RealFileSystem)?;
    Ok(plugin.engine.execute_plan_with(plan, options).await?)
}

#[tauri::command]
pub(super) async fn wait_for_plan(
    plugin: State<'_, PluginState>,
    id: Uuid,
    output: Option<OutputText>,
) -> Result<PlanExecutionResult> {
    Ok(with_text(output, plugin.engine.wait_for_plan(id).await?))
}

#[tauri::command]
pub(super) async fn plan_status(
    plugin: State<'_, PluginState>,
    id: Uuid,
) -> Result<ExecutionStatus> {
    Ok(plugin.engine.get_plan_status(id).await?)
}

#[tauri::command]
pub(super) async fn plan_result(
    plugin: State<'_, PluginState>,
    id: Uuid,
    output: Option<OutputText>,
) -> Result<Option<PlanExecutionResult>> {
    let result = plugin.engine.get_plan_result(id).await?;
    Ok(result.map(|result| with_text(output, result)))
}

#[tauri::command]
pub(super) async fn cancel_plan(plugin: State<'_, PluginState>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.cancel_plan(id).await?)
}

#[tauri::command]
pub(super) async fn list_plans(plugin: State<'_, PluginState>) -> Result<Vec<PlanSummary>> {
    Ok(plugin.engine.list_plans().await)
}

#[tauri::command]
pub(super) async fn remove_plan(plugin: State<'_, PluginState>, id: Uuid) -> Result<()> {
    Ok(plugin.engine.remove_plan(id).await?)
}

fn with_text(output: Option<OutputText>, mut result: PlanExecutionResult) -> PlanExecutionResult {
    let text = output.unwrap_or_default();
    result.results = result.results.into_iter().map(|result| text.apply(result)).collect();
    result
}
