//! Commands about plans.

use execution_engine::{ExecutionStatus, PlanExecutionResult, PlanSpec, PlanSummary, Uuid};
use serde_json::Value;
use tauri::State;
use tauri::ipc::{CommandScope, GlobalScope};

use super::output::OutputText;
use super::{Result, read, read_options, rules};
use crate::builder::PluginState;
use crate::owners::PageId;
use crate::scope::{AllowedPlan, LaunchEntry, check_plan};
use crate::visible::Visible;

#[tauri::command]
pub(super) async fn execute_plan(
    plugin: State<'_, PluginState>,
    page: PageId,
    own: CommandScope<LaunchEntry>,
    all: GlobalScope<LaunchEntry>,
    plan: Value,
    options: Option<Value>,
) -> Result<Uuid> {
    let (plan, options) = (read("plan", plan)?, read_options(options)?);
    let AllowedPlan { plan, options } =
        check_plan(&rules(&plugin, &own, &all), plan, options, &plugin.files)?;
    let claim = plugin.owners.claim_plan(&plugin.engine, page, &plan).await?;
    let id = plugin.engine.execute_plan(PlanSpec::new(plan, options)).await?;
    plugin.accept(claim);
    Ok(id)
}

#[tauri::command]
pub(super) async fn wait_for_plan(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    output: Option<OutputText>,
) -> Result<PlanExecutionResult> {
    visible.plan(&plugin.owners, id).await?;
    let result = plugin.engine.wait_for_plan(id).await?;
    Ok(output.unwrap_or_default().apply_to_plan(result))
}

#[tauri::command]
pub(super) async fn plan_status(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<ExecutionStatus> {
    visible.plan(&plugin.owners, id).await?;
    Ok(plugin.engine.get_plan_status(id).await?)
}

#[tauri::command]
pub(super) async fn plan_result(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
    output: Option<OutputText>,
) -> Result<Option<PlanExecutionResult>> {
    visible.plan(&plugin.owners, id).await?;
    let result = plugin.engine.get_plan_result(id).await?;
    Ok(result.map(|result| output.unwrap_or_default().apply_to_plan(result)))
}

#[tauri::command]
pub(super) async fn cancel_plan(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<()> {
    visible.plan(&plugin.owners, id).await?;
    Ok(plugin.engine.cancel_plan(id).await?)
}

#[tauri::command]
pub(super) async fn list_plans(
    plugin: State<'_, PluginState>,
    visible: Visible,
) -> Result<Vec<PlanSummary>> {
    let mut all = plugin.engine.list_plans().await;
    all.retain(|plan| visible.includes(&plugin.owners, plan.id));
    Ok(all)
}

#[tauri::command]
pub(super) async fn remove_plan(
    plugin: State<'_, PluginState>,
    visible: Visible,
    id: Uuid,
) -> Result<()> {
    visible.plan(&plugin.owners, id).await?;
    plugin.engine.remove_plan(id).await?;
    Ok(())
}
