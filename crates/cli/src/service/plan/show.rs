//! `exeng plan show`: one plan with its steps.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use execution_engine::PlanSpec;
use execution_engine_mermaid::{StepEnd, diagram_with};
use execution_engine_server::PlanView;

use super::{junit, report};
use crate::cli::GlobalOptions;
use crate::completions::plan_ids;
use crate::failure::Failure;
use crate::option_names::of_command_line;
use crate::service::connect;
use crate::service::times::{local, short};
use crate::{data, terminal_text};

/// Options of `plan show`.
#[derive(Debug, Args)]
pub(crate) struct ShowPlanOptions {
    /// The plan: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCandidates::new(plan_ids))]
    pub(super) id: String,
    /// Print it as one document of JSON
    #[arg(long, conflicts_with_all = ["junit", "mermaid"])]
    pub(super) json: bool,
    /// Print the results of its steps as JUnit XML
    #[arg(long, conflicts_with = "mermaid")]
    pub(super) junit: bool,
    /// Draw it with the results of its steps, as text for Mermaid
    #[arg(long)]
    pub(super) mermaid: bool,
}

/// Shows the plan.
pub(crate) async fn show(global: &GlobalOptions, options: &ShowPlanOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let plan = client.plan(&options.id).await?;
    if options.json {
        data::json(&plan)?;
    } else if options.junit {
        let end_of = async |id, stream| junit::end_of(&client, id, stream).await;
        data::bytes(junit::text(&plan, end_of).await?.as_bytes())?;
    } else if options.mermaid {
        data::bytes(mermaid(&plan)?.as_bytes())?;
    } else {
        data::bytes(page(&plan).as_bytes())?;
    }
    Ok(0)
}

pub(super) fn page(plan: &PlanView) -> String {
    let status = match plan.stopping {
        true => format!("{}, stopping", plan.status),
        false => plan.status.to_string(),
    };
    let lines = [
        ("id", Some(plan.id.to_string())),
        ("description", plan.description.clone()),
        ("status", Some(status)),
        ("ending", plan.error.as_deref().map(of_command_line)),
        ("steps", Some(report::counts(&plan.counts))),
        ("round", Some(plan.round.to_string()).filter(|_| plan.round > 1)),
        ("accepted", Some(local(plan.created_at))),
        ("ended", plan.ended_at.map(local)),
        ("took", Some(short(plan.duration_ms))),
        ("tags", Some(plan.tags.join(", ")).filter(|tags| !tags.is_empty())),
    ];
    let known = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let head: String = known
        .map(|(name, value)| format!("{name:<12} {}\n", terminal_text::one_line(&value)))
        .collect();
    format!("{head}\n{}", report::steps_table(plan))
}

/// Draws a plan as it stands.
pub(super) fn mermaid(plan: &PlanView) -> Result<String, Failure> {
    let spec = plan.spec.clone().unwrap_or_default();
    let spec: PlanSpec = serde_json::from_value(spec).map_err(|error| {
        Failure::new(format!("plan {} cannot be drawn: {error}; update exeng", plan.id))
    })?;
    Ok(diagram_with(&spec, |index| {
        let step = plan.steps.get(index)?;
        let duration = Duration::from_millis(step.duration_ms.unwrap_or_default());
        let failure_allowed = step.failure_allowed;
        Some(StepEnd { ending: step.ending.as_ref()?, duration, failure_allowed })
    }))
}
