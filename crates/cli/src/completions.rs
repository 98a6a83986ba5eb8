//! Completions of shells. The script of a shell asks this program for what fits, with a variable in its
//! environment, so that ids and tags are those of the moment.

mod ids;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use execution_engine::ExecutionStatus;
use execution_engine_server::client::{Client, ClientOptions};
use execution_engine_server::{
    PathOptions, PlanQuery, PlanView, Query, ScheduleView, StateDir, Timetable,
};
use tokio::runtime::Builder;

pub(crate) use ids::Ids;
pub(crate) use words::{CommandLine, verbs};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::service::runtime;
use crate::{data, terminal_text};

/// The variable that makes this program answer a shell.
const VARIABLE: &str = "EXENG_COMPLETE";
/// Longest time that the service has to answer: the user waits at the prompt.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Number of executions that are looked at: the newest.
const LOOKED_AT: usize = 500;

/// All statuses.
pub(crate) const STATUSES: [ExecutionStatus; 7] = [
    ExecutionStatus::Pending,
    ExecutionStatus::Running,
    ExecutionStatus::Completed,
    ExecutionStatus::Failed,
    ExecutionStatus::Cancelled,
    ExecutionStatus::Timeout,
    ExecutionStatus::Lost,
];

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// Shell that reads them
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// Prints the script of a shell, and returns the code to exit with.
pub(crate) fn run(options: &CompletionsOptions) -> ExitCode {
    let printed = script(options.shell).and_then(|script| data::bytes(&script));
    printed.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

fn script(shell: Shell) -> Result<Vec<u8>, Failure> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell.name());
    let shell = shell.ok_or_else(|| Failure::new("there are no completions for this shell"))?;
    let mut script = Vec::new();
    // By its name, so that another version of the program answers for itself.
    let written = shell.write_registration(VARIABLE, "exeng", "exeng", "exeng", &mut script);
    written.map_err(Failure::new)?;
    Ok(script)
}

/// Answers a shell that asks for completions, and returns the code to exit with; `None` if none asks.
pub(crate) fn answer_shell() -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let answered = CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref());
    match answered {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(error) => Some(Failure::new(error).report()),
    }
}

/// Offers the ids of plans, newest first, each with its description.
pub(crate) fn plan_ids() -> Vec<CompletionCandidate> {
    let newest = CompletionCandidate::new("@last").help(Some("the newest".into()));
    let candidate = |plan: PlanView| {
        let description = plan.description.unwrap_or_default();
        let help = format!("{} {}", plan.status, terminal_text::one_line(&description));
        CompletionCandidate::new(plan.id.to_string()).help(Some(help.into()))
    };
    std::iter::once(newest).chain(plans().into_iter().map(candidate)).collect()
}

/// Offers the tags of the newest executions.
pub(crate) fn tags() -> Vec<CompletionCandidate> {
    let query = Query { limit: Some(LOOKED_AT), ..Query::default() };
    let executions = ask(async |client| Some(client.list(&query).await.ok()?.executions));
    let tags = executions.into_iter().flat_map(|execution| execution.tags);
    let tags: std::collections::BTreeSet<String> = tags.filter(|tag| is_plain(tag)).collect();
    tags.into_iter().map(CompletionCandidate::new).collect()
}

/// Offers the names of groups.
pub(crate) fn groups() -> Vec<CompletionCandidate> {
    let groups = ask(async |client| Some(client.groups().await.ok()?.groups));
    let names = groups.into_iter().map(|group| group.name).filter(|name| is_plain(name));
    names.map(CompletionCandidate::new).collect()
}

/// Offers the names of tokens.
pub(crate) fn tokens() -> Vec<CompletionCandidate> {
    let tokens = ask(async |client| Some(client.tokens().await.ok()?.tokens));
    tokens.into_iter().map(|token| CompletionCandidate::new(token.name)).collect()
}

/// Returns `true` for a word that shells take as it is. Others are not offered: a shell would run what is in them, and
/// the client that submits something chooses its tags.
fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_alphanumeric() || "-_./:@,+=%".contains(c)) && !word.starts_with('-')
}

/// Offers the schedules, by their names, or by their ids if they have none, each with its times and its command.
pub(crate) fn schedules() -> Vec<CompletionCandidate> {
    let candidate = |schedule: ScheduleView| {
        let command = terminal_text::one_line(&schedule.command_line);
        let help = format!("{} {command}", terminal_text::one_line(&schedule.every));
        let name = schedule.name.filter(|name| is_plain(name));
        let name = name.unwrap_or_else(|| schedule.id.to_string());
        CompletionCandidate::new(name).help(Some(help.into()))
    };
    let listed: Vec<ScheduleView> = ask(async |client| client.schedules().await.ok());
    listed.into_iter().map(candidate).collect()
}

/// Offers statuses.
pub(crate) fn statuses() -> Vec<CompletionCandidate> {
    STATUSES.iter().map(|status| CompletionCandidate::new(status.to_string())).collect()
}

/// Offers time zones.
pub(crate) fn time_zones() -> Vec<CompletionCandidate> {
    let names = ["local", "utc"].into_iter().chain(Timetable::time_zones());
    names.map(CompletionCandidate::new).collect()
}

/// Returns the newest plans of the service that the environment names.
fn plans() -> Vec<PlanView> {
    let query = PlanQuery { limit: Some(LOOKED_AT), ..PlanQuery::default() };
    ask(async |client| Some(client.plans(&query).await.ok()?.plans))
}

/// Asks the service that the environment names. Nothing if it does not run, or does not answer at once: nothing is
/// started for a completion.
fn ask<T: Default>(call: impl AsyncFnOnce(&Client) -> Option<T>) -> T {
    let Ok(runtime) = runtime(Builder::new_current_thread()) else { return T::default() };
    let asked = async {
        let places = StateDir::from_env(&PathOptions::default()).ok()?;
        places.holder()?;
        let client = Client::connect(ClientOptions::new(places)).await.ok()?;
        call(&client).await
    };
    let asked = runtime.block_on(async { tokio::time::timeout(ANSWER_LIMIT, asked).await });
    asked.ok().flatten().unwrap_or_default()
}
