//! `exeng plan ls`, `show`, `wait` and `stop` of a fleet.

use chrono::Utc;
use execution_engine_fleet::{FleetError, PlanEntry, StopPlan};

use super::{Follow, follow, id_of, output, to_the_end, view};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::elsewhere::Remote;
use crate::service::ls::colour;
use crate::service::plan::{
    LsPlanOptions, ShowPlanOptions, StopPlanOptions, WaitPlanOptions, junit, show as text,
};
use crate::service::table::{Cell, table};
use crate::service::times::ago;
use crate::terminal_text::one_line;
use crate::{data, message};

/// Lists plans, newest first.
pub(crate) async fn ls(global: &GlobalOptions, options: &LsPlanOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let mut found = remote.backend.plans().await.map_err(Failure::new)?;
    found.retain(|plan| options.status.is_empty() || options.status.contains(&plan.status));
    let has_more = found.len() > options.limit;
    found.truncate(options.limit);
    if options.json {
        found.iter().try_for_each(|plan| data::json(&view::of_entry(plan)))?;
    } else if !found.is_empty() || data::is_for_people() {
        let rows: Vec<_> = found.iter().map(row).collect();
        let head = ["ID", "STATUS", "STEPS", "AGE", "TAGS", "DESCRIPTION"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    if has_more {
        message::note("there are more; use --limit N");
    }
    Ok(0)
}

fn row(plan: &PlanEntry) -> Vec<Cell> {
    let age = plan.submitted_at.map(|at| ago(at, Utc::now()));
    vec![
        Cell::plain(&plan.id.to_string()[..8]),
        Cell { text: plan.status.to_string(), colour: colour(plan.status) },
        Cell::plain(plan.title.steps.to_string()),
        Cell::plain(age.unwrap_or_default()),
        Cell::plain(one_line(&plan.metadata.tags.join(","))),
        Cell::plain(one_line(plan.title.description.as_deref().unwrap_or_default())),
    ]
}

/// Shows a plan.
pub(crate) async fn show(global: &GlobalOptions, options: &ShowPlanOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let id = id_of(&remote, &options.id).await?;
    let plan = view::of(&remote.backend.plan(id).await.map_err(Failure::new)?)?;
    if options.json {
        data::json(&plan)?;
    } else if options.junit {
        let end_of = async |id, stream| output::end_of(&remote, id, stream).await;
        data::bytes(junit::text(&plan, end_of).await?.as_bytes())?;
    } else if options.mermaid {
        data::bytes(text::mermaid(&plan)?.as_bytes())?;
    } else {
        data::bytes(text::page(&plan).as_bytes())?;
    }
    Ok(0)
}

/// Shows how a plan goes until it has ended, and returns the code to exit with.
pub(crate) async fn wait(global: &GlobalOptions, options: &WaitPlanOptions) -> Result<u8, Failure> {
    let junit = options.junit.as_deref().map(junit::create).transpose()?;
    let remote = Remote::connect(global).await?;
    let id = id_of(&remote, &options.id).await?;
    let what = Follow { junit, json: options.json, logs: false };
    options.within_timeout(follow(&remote, id, what)).await
}

/// Stops a plan, and waits for its end. One that has ended already is as wanted.
pub(crate) async fn stop(global: &GlobalOptions, options: &StopPlanOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let id = id_of(&remote, &options.id).await?;
    let stop = if options.all { StopPlan::CancelAll } else { StopPlan::Cancel };
    match remote.backend.stop_plan(id, stop).await {
        Err(FleetError::AlreadyEnded { .. }) => {
            message::note(format!("plan {id} has already ended"));
        }
        stopped => stopped.map_err(Failure::new)?,
    }
    let plan = match options.no_wait {
        true => view::of(&remote.backend.plan(id).await.map_err(Failure::new)?)?,
        false => {
            let mut follower = remote.backend.follow_plan(id).await.map_err(Failure::new)?;
            to_the_end(&mut follower, |_| Ok(())).await?
        }
    };
    if options.json {
        data::json(&plan)?;
    }
    Ok(0)
}
