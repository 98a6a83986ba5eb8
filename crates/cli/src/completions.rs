//! Completions of shells. The script of a shell asks this program for what fits, with a variable in its
//! environment, so that ids and tags are those of the moment.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use execution_engine_server::client::{Client, ClientOptions};
use execution_engine_server::{ExecutionView, PathOptions, Query, StateDir};
use tokio::runtime::Builder;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::service::runtime;
use crate::{data, terminal_text};

/// The variable that makes this program answer a shell.
const VARIABLE: &str = "EXENG_COMPLETE";
/// Longest time that the service has to answer: somebody waits with the hand on the keyboard.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Number of executions that are offered: the newest.
const OFFERED: usize = 100;

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

/// Offers the ids of executions, newest first, each with its command.
pub(crate) fn ids() -> Vec<CompletionCandidate> {
    let newest = CompletionCandidate::new("@last").help(Some("the newest".into()));
    let candidate = |execution: ExecutionView| {
        let command = terminal_text::one_line(&execution.command_line);
        let help = format!("{} {command}", execution.status);
        CompletionCandidate::new(execution.id.to_string()).help(Some(help.into()))
    };
    std::iter::once(newest).chain(executions().into_iter().map(candidate)).collect()
}

/// Offers the tags of those executions.
pub(crate) fn tags() -> Vec<CompletionCandidate> {
    let tags = executions().into_iter().flat_map(|execution| execution.tags);
    let tags: std::collections::BTreeSet<String> = tags.collect();
    tags.into_iter().map(CompletionCandidate::new).collect()
}

/// Returns the newest executions of the service that the environment names. None if it does not run, or
/// does not answer at once: nothing is started for a completion.
fn executions() -> Vec<ExecutionView> {
    let Ok(runtime) = runtime(Builder::new_current_thread()) else { return Vec::new() };
    let listed = async {
        let places = StateDir::from_env(&PathOptions::default()).ok()?;
        places.holder()?;
        let client = Client::connect(ClientOptions::new(places)).await.ok()?;
        let query = Query { limit: Some(OFFERED), ..Query::default() };
        Some(client.list(&query).await.ok()?.executions)
    };
    let listed = runtime.block_on(async { tokio::time::timeout(ANSWER_LIMIT, listed).await });
    listed.ok().flatten().unwrap_or_default()
}
