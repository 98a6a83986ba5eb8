//! `exeng plan run` and `exeng plan resume`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCandidates;
use execution_engine::{Command, PlanSpec, StdinSource};
use execution_engine_server::client::Client;
use execution_engine_server::{NewPlan, PlanView};
use serde_json::json;

use super::follow::{Follow, follow};
use super::junit;
use crate::cli::GlobalOptions;
use crate::completions::plan_ids;
use crate::failure::Failure;
use crate::plan_file::{self, Format};
use crate::request::inherited_umask;
use crate::service::connect;
use crate::service::submit::{key, tag};
use crate::service::submit_paths::{absolute, check_dir};
use crate::variables::{VariableOptions, environment, keep_text_names};
use crate::{data, message};

/// Options of `plan run`.
#[derive(Debug, Args)]
pub(crate) struct RunPlanOptions {
    /// File with the plan: TOML, YAML or JSON; - reads stdin
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Format of the file, if its name does not say it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// Directory of the steps that have none of their own [without: this one]
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<PathBuf>,
    #[command(flatten)]
    pub(super) variables: VariableOptions,
    /// Word to find it by; may be repeated
    #[arg(long = "tag", value_name = "WORD", value_parser = tag)]
    pub(super) tags: Vec<String>,
    /// Accept it once under this key, however often it is submitted
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(super) key: Option<String>,
    #[command(flatten)]
    pub(super) then: ThenOptions,
}

/// Options of `plan resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumePlanOptions {
    /// The plan: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCandidates::new(plan_ids))]
    pub(super) id: String,
    #[command(flatten)]
    pub(super) then: ThenOptions,
}

/// What follows when a plan runs.
#[derive(Debug, Args)]
pub(super) struct ThenOptions {
    /// Print the id and return at once; the plan goes on
    #[arg(long, conflicts_with = "junit")]
    pub(super) detach: bool,
    /// Show the output of the steps, each line with the name of its step, in place of bars
    #[arg(long, conflicts_with_all = ["detach", "json"])]
    pub(super) logs: bool,
    /// Write the result of each step to a file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Print the plan as it ended as one document of JSON; with --detach {"id": ".."}
    #[arg(long)]
    pub(super) json: bool,
}

/// Gives a plan to the service, shows how it goes, and returns the code to exit with.
pub(crate) async fn run(global: &GlobalOptions, options: &RunPlanOptions) -> Result<u8, Failure> {
    let new = options.new_plan()?;
    let follow = options.then.follow()?;
    let client = connect(global).await?;
    let submitted = client.submit_plan(&new, options.key.as_deref()).await?;
    if !submitted.created {
        message::note(format!("plan {} was submitted before under this key", submitted.plan.id));
    }
    options.then.follow_up(&client, submitted.plan, follow).await
}

/// Runs what of a plan has not completed, and returns the code to exit with.
pub(crate) async fn resume(
    global: &GlobalOptions,
    options: &ResumePlanOptions,
) -> Result<u8, Failure> {
    let follow = options.then.follow()?;
    let client = connect(global).await?;
    let plan = client.resume_plan(&options.id).await?;
    options.then.follow_up(&client, plan, follow).await
}

impl RunPlanOptions {
    /// Returns what the service is asked for: the caller's directory, environment and umask.
    fn new_plan(&self) -> Result<NewPlan, Failure> {
        let mut spec = plan_file::read(&self.file, self.format)?.spec;
        let own = spec.options.working_dir.take().unwrap_or_default();
        let cwd = absolute("--cwd", self.cwd.clone().unwrap_or_default())?;
        check_dir(&cwd)?;
        let dir = absolute("working_dir", cwd.join(own))?;
        spec.options.working_dir = Some(dir.clone());
        absolute_paths(&mut spec, &dir);
        self.add_to(&mut spec)?;
        let mut inherited_env = environment();
        keep_text_names(&mut inherited_env);
        Ok(NewPlan {
            inherited_env,
            inherited_umask: Some(inherited_umask()),
            ..NewPlan::new(spec)
        })
    }
}

impl RunPlanOptions {
    /// Adds variables and tags to a plan.
    pub(super) fn add_to(&self, spec: &mut PlanSpec) -> Result<(), Failure> {
        for (name, value) in self.variables.read()? {
            let text = |value: &execution_engine::OsText| {
                let text = value.as_os_str().to_str().map(str::to_string);
                text.ok_or_else(|| {
                    Failure::new(format!("--env: {name} is not UTF-8, which a plan cannot take"))
                })
            };
            spec.options.env.insert(text(&name)?, text(&value)?);
        }
        spec.plan.metadata.tags.extend(self.tags.iter().cloned());
        Ok(())
    }
}

/// Lets the files that steps name begin at a directory: the service has none.
fn absolute_paths(spec: &mut PlanSpec, dir: &std::path::Path) {
    for request in &mut spec.plan.commands {
        if let Some(path) = &mut request.output_log_path {
            *path = dir.join(&*path);
        }
        if let Command::Script { path, .. } | Command::ScriptWithArgs { path, .. } =
            &mut request.command
            && request.working_dir.is_none()
        {
            *path = dir.join(&*path);
        }
    }
    let own = spec.options.steps.iter_mut().filter_map(|step| step.options.as_mut());
    for options in own.chain([&mut spec.options.defaults]) {
        if let StdinSource::File { path } = &mut options.stdin {
            *path = dir.join(&*path);
        }
    }
}

impl ThenOptions {
    pub(super) fn follow(&self) -> Result<Follow<'_>, Failure> {
        let junit = self.junit.as_deref().map(junit::create).transpose()?;
        Ok(Follow { junit, json: self.json, logs: self.logs })
    }

    async fn follow_up(
        &self,
        client: &Client,
        plan: PlanView,
        what: Follow<'_>,
    ) -> Result<u8, Failure> {
        let id = plan.id;
        if self.detach {
            return match self.json {
                true => data::json(&json!({ "id": id })),
                false => data::line(&id.to_string()),
            }
            .map(|()| 0);
        }
        message::note(format!("plan {id}"));
        follow(client, plan, what).await
    }
}
