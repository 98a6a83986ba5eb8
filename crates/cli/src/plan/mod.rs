//! `exeng plan`: many commands as one piece of work. `run` and the verbs of `service::plan` need the service or a fleet;
//! those that only read a file do not.

mod check;
mod order;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::plan_file::{self, Format};
use crate::service::{block_on, plan};
use crate::{data, examples};

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanOptions {
    #[command(subcommand)]
    verb: PlanVerb,
}

/// What to do with a plan.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// Give a plan to the service, or with --on to a fleet, and show how it goes to its end; it goes on whatever happens here
    #[command(after_help = examples::PLAN_RUN)]
    Run(Box<plan::RunPlanOptions>),
    /// List plans of the service, newest first
    #[command(visible_alias = "list", after_help = examples::PLAN_LS)]
    Ls(plan::LsPlanOptions),
    /// Show everything about a plan and its steps
    #[command(after_help = examples::PLAN_SHOW)]
    Show(plan::ShowPlanOptions),
    /// Print the output of the steps of a plan, each line with the name of its step
    #[command(after_help = examples::PLAN_LOGS)]
    Logs(plan::LogsPlanOptions),
    /// Show how a plan goes to its end, and exit with the code of the step that failed first
    #[command(after_help = examples::PLAN_WAIT)]
    Wait(plan::WaitPlanOptions),
    /// Stop a plan: its steps that run are stopped and no other starts, but for those that always run
    #[command(after_help = examples::PLAN_STOP)]
    Stop(plan::StopPlanOptions),
    /// Run what of a plan has not completed, as it was submitted: its file is not read again
    #[command(after_help = examples::PLAN_RESUME)]
    Resume(plan::ResumePlanOptions),
    /// Remove plans that have ended; the executions of their steps stay
    #[command(after_help = examples::PLAN_RM)]
    Rm(plan::RmPlanOptions),
    /// Say what plans would run, or what is wrong with them, line by line
    #[command(after_help = examples::PLAN_CHECK)]
    Check(check::CheckOptions),
    /// Draw a plan as text for Mermaid
    #[command(after_help = examples::PLAN_GRAPH)]
    Graph(GraphOptions),
    /// Print the JSON Schema of plan files
    #[command(after_help = examples::PLAN_SCHEMA)]
    Schema,
}

/// Options of `plan graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphOptions {
    /// File with the plan; - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the file, if its name does not say it
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// Does it, and returns the code to exit with.
pub(crate) fn run(global: &GlobalOptions, options: &PlanOptions) -> ExitCode {
    let done = match &options.verb {
        PlanVerb::Run(options) => return block_on(plan::run(global, options)),
        PlanVerb::Ls(options) => return block_on(plan::ls(global, options)),
        PlanVerb::Show(options) => return block_on(plan::show(global, options)),
        PlanVerb::Logs(options) => return block_on(plan::logs(global, options)),
        PlanVerb::Wait(options) => return block_on(plan::wait(global, options)),
        PlanVerb::Stop(options) => return block_on(plan::stop(global, options)),
        PlanVerb::Resume(options) => return block_on(plan::resume(global, options)),
        PlanVerb::Rm(options) => return block_on(plan::remove(global, options)),
        PlanVerb::Check(options) => return check::run(options),
        PlanVerb::Graph(options) => graph(options),
        PlanVerb::Schema => schema(),
    };
    done.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

#[cfg(feature = "fleet")]
impl PlanOptions {
    /// Does it with the fleet that is named. `None` if it is about a file alone.
    pub(crate) fn elsewhere(&self, global: &GlobalOptions) -> Option<ExitCode> {
        use plan::elsewhere;
        Some(match &self.verb {
            PlanVerb::Run(options) => block_on(elsewhere::run(global, options)),
            PlanVerb::Ls(options) => block_on(elsewhere::ls(global, options)),
            PlanVerb::Show(options) => block_on(elsewhere::show(global, options)),
            PlanVerb::Logs(options) => block_on(elsewhere::logs(global, options)),
            PlanVerb::Wait(options) => block_on(elsewhere::wait(global, options)),
            PlanVerb::Stop(options) => block_on(elsewhere::stop(global, options)),
            PlanVerb::Resume(_) => Failure::new(
                "plan resume: a fleet resumes no plan; submit the plan again, or run it in the service of one machine",
            )
            .report(),
            PlanVerb::Rm(_) => Failure::new(
                "plan rm: a fleet removes nothing; the records of a plan pass with their age",
            )
            .report(),
            PlanVerb::Check(_) | PlanVerb::Graph(_) | PlanVerb::Schema => return None,
        })
    }
}

fn graph(options: &GraphOptions) -> Result<(), Failure> {
    let plan = plan_file::read(&options.file, options.format)?;
    data::bytes(execution_engine_mermaid::diagram(&plan.spec).as_bytes())
}

fn schema() -> Result<(), Failure> {
    data::line(&serde_json::to_string_pretty(&plan_file::schema()).map_err(Failure::new)?)
}
