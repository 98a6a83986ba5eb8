//! `exeng plan logs`: the output of the steps of a plan.

use std::collections::HashSet;

use clap::Args;
use clap_complete::ArgValueCandidates;
use execution_engine::Uuid;
use execution_engine_server::client::Client;
use execution_engine_server::{PlanView, StepView};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Mutex;

use super::report::name_of;
use crate::cli::GlobalOptions;
use crate::completions::plan_ids;
use crate::data::Reader;
use crate::failure::Failure;
use crate::service::connect;
use crate::service::logs::many::{Marked, Wanted, marks_of, print_marked};
use crate::terminal_text::one_line;

/// Options of `plan logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsPlanOptions {
    /// The plan: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCandidates::new(plan_ids))]
    pub(super) id: String,
    /// Go on until the plan has ended, with the steps that start until then
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Begin with the last N lines of each step
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) tail: Option<u64>,
    /// Only of this step; may be repeated
    #[arg(long = "step", value_name = "NAME")]
    pub(super) steps: Vec<String>,
}

/// Prints the output of the steps, each line with the name of its step.
pub(crate) async fn logs(global: &GlobalOptions, options: &LogsPlanOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let plan = client.plan(&options.id).await?;
    let names: Vec<String> = plan.steps.iter().map(name_of).collect();
    if let Some(unknown) = options.steps.iter().find(|name| !names.contains(name)) {
        return Err(Failure::new(format!(
            "--step: plan {} has no step {unknown}; it has {}",
            plan.id,
            names.join(", ")
        )));
    }
    let wanted = Wanted { stream: None, tail: options.tail, follow: options.follow };
    let is_wanted =
        |step: &StepView| options.steps.is_empty() || options.steps.contains(&name_of(step));
    let reader = Reader::watch();
    tokio::select! {
        biased;
        printed = print(&client, plan, wanted, is_wanted) => printed.map(|_| 0),
        gone = reader.gone() => Err(gone),
    }
}

/// Prints the output of steps, and returns the plan as it is then: at its end if it is followed.
pub(super) async fn print(
    client: &Client,
    mut plan: PlanView,
    wanted: Wanted,
    is_wanted: impl Fn(&StepView) -> bool,
) -> Result<PlanView, Failure> {
    let names: Vec<String> =
        plan.steps.iter().map(|step| one_line(&name_of(step)).into_owned()).collect();
    let marks = marks_of(&names);
    let stdout = Mutex::new(());
    let print_step = async |index: usize, id: Uuid| {
        let marked = Marked::new(marks[index].clone(), &stdout);
        print_marked(client, &id.to_string(), wanted, marked).await
    };
    if !wanted.follow {
        for step in plan.steps.iter().filter(|step| is_wanted(step)) {
            if let Some(id) = step.execution {
                print_step(step.index, id).await?;
            }
        }
        return Ok(plan);
    }
    let mut begun = HashSet::new();
    let mut printing = FuturesUnordered::new();
    loop {
        for step in plan.steps.iter().filter(|step| is_wanted(step)) {
            let Some(id) = step.execution.filter(|id| begun.insert(*id)) else { continue };
            printing.push(print_step(step.index, id));
        }
        if plan.ended_at.is_some() {
            while let Some(printed) = printing.next().await {
                printed?;
            }
            return Ok(plan);
        }
        let changed = client.plan_changes(plan.id, plan.version);
        tokio::pin!(changed);
        plan = loop {
            tokio::select! {
                changed = &mut changed => break changed?,
                Some(printed) = printing.next() => printed?,
            }
        };
    }
}
