//! `exeng rerun`: submits what an execution was again.

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine_server::Rerun;

use super::connect;
use super::then::ThenOptions;
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;
use crate::variables::{VariableOptions, environment, keep_text_names};

/// Options of `rerun`.
#[derive(Debug, Args)]
pub(crate) struct RerunOptions {
    /// The execution: its id, the unique beginning of it, or @last
    #[arg(value_name = "ID", add = ArgValueCompleter::new(Ids::Ended))]
    id: String,
    #[command(flatten)]
    variables: VariableOptions,
    #[command(flatten)]
    then: ThenOptions,
}

/// Submits it again, and returns the code to exit with.
pub(crate) async fn run(global: &GlobalOptions, options: &RerunOptions) -> Result<u8, Failure> {
    let (mut env, mut inherited_env) = (options.variables.read()?, environment());
    keep_text_names(&mut env);
    keep_text_names(&mut inherited_env);
    let client = connect(global).await?;
    let rerun = Rerun { id: None, env, inherited_env };
    let accepted = client.rerun(&options.id, &rerun).await?;
    options.then.follow_up(&client, &accepted).await
}
