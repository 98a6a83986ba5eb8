//! `exeng plan wait`, `stop` and `rm`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use execution_engine_server::{CancelPlan, ErrorCode};

use super::follow::{Follow, follow};
use super::junit;
use crate::cli::GlobalOptions;
use crate::completions::plan_ids;
use crate::failure::Failure;
use crate::service::connect;
use crate::{data, duration, exit_code, message};

/// Options of `plan wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitPlanOptions {
    /// The plan: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCandidates::new(plan_ids))]
    pub(super) id: String,
    /// Wait no longer than this, and exit with 124 then
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    #[arg(allow_hyphen_values = true)]
    pub(super) timeout: Option<Duration>,
    /// Write the result of each step to a file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Print the plan as it ended as one document of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `plan stop`.
#[derive(Debug, Args)]
pub(crate) struct StopPlanOptions {
    /// The plan: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCandidates::new(plan_ids))]
    pub(super) id: String,
    /// Stop the steps that always run, too
    #[arg(long)]
    pub(super) all: bool,
    /// Do not wait until it has ended
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Print the plan as it is then as one document of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `plan rm`.
#[derive(Debug, Args)]
pub(crate) struct RmPlanOptions {
    /// Plans: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(plan_ids))]
    pub(super) ids: Vec<String>,
    /// Remove nothing, and say what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Shows how a plan goes until it has ended, and returns the code to exit with.
pub(crate) async fn wait(global: &GlobalOptions, options: &WaitPlanOptions) -> Result<u8, Failure> {
    let junit = options.junit.as_deref().map(junit::create).transpose()?;
    let client = connect(global).await?;
    let plan = client.plan(&options.id).await?;
    let what = Follow { junit, json: options.json, logs: false };
    options.within_timeout(follow(&client, plan, what)).await
}

impl WaitPlanOptions {
    /// Waits for the end of a plan, no longer than is asked for, and returns the code to exit with.
    pub(super) async fn within_timeout(
        &self,
        followed: impl Future<Output = Result<u8, Failure>>,
    ) -> Result<u8, Failure> {
        let Some(time) = self.timeout else { return followed.await };
        tokio::time::timeout(time, followed).await.unwrap_or_else(|_| {
            message::print("the plan has not ended in this time; it goes on");
            Ok(exit_code::TIMEOUT)
        })
    }
}

/// Stops a plan, and waits for its end. One that has ended already is as wanted.
pub(crate) async fn stop(global: &GlobalOptions, options: &StopPlanOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let mut plan = match client.cancel_plan(&options.id, CancelPlan { all: options.all }).await {
        Err(error) if error.code() == Some(ErrorCode::AlreadyEnded.as_str()) => {
            let plan = client.plan(&options.id).await?;
            message::note(format!("plan {} has already ended", plan.id));
            plan
        }
        plan => plan?,
    };
    if !options.no_wait {
        let mut version = 0;
        while plan.ended_at.is_none() {
            plan = client.plan_changes(plan.id, version).await?;
            version = plan.version;
        }
    }
    if options.json {
        data::json(&plan)?;
    }
    Ok(0)
}

/// Removes plans that have ended.
pub(crate) async fn remove(global: &GlobalOptions, options: &RmPlanOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    // All names before the first removal: what is the newest changes.
    let mut plans = Vec::new();
    for name in &options.ids {
        plans.push(client.plan(name).await?);
    }
    let mut code = 0;
    for plan in plans {
        let id = plan.id;
        if options.dry_run {
            match plan.ended_at {
                Some(_) => data::line(&id.to_string())?,
                None => {
                    message::print(format!("plan {id} has not ended; stop it first"));
                    code = exit_code::OURS;
                }
            }
        } else if let Err(error) = client.remove_plan(&id.to_string()).await {
            message::print(error);
            code = exit_code::OURS;
        }
    }
    Ok(code)
}
