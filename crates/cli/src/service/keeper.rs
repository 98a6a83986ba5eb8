//! `exeng keeper`: the process that the service starts for its programs. Not for people.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use execution_engine_keeper::{Durability, KeeperOptions, run as run_keeper};

use crate::duration;
use crate::failure::Failure;

/// Options of `keeper`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Its directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// What output survives
    #[arg(long, value_enum, default_value_t)]
    durability: Survives,
    /// How long it stays with nothing to do and without a service
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    idle_exit: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Survives {
    #[default]
    Process,
    Power,
}

/// Runs a keeper to its end.
pub(crate) fn run(options: &Options) -> ExitCode {
    crate::fault::in_keeper();
    let mut keeper = KeeperOptions::new(&options.dir);
    keeper.durability = match options.durability {
        Survives::Process => Durability::Process,
        Survives::Power => Durability::Power,
    };
    if let Some(time) = options.idle_exit {
        keeper.idle_exit = time;
    }
    crate::tracing_to_stderr();
    match run_keeper(keeper) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::new(error).report(),
    }
}
