//! `exeng keeper`: the process that the service starts for its programs. Not for people.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use execution_engine_keeper::{Durability, KeeperOptions, run as run_keeper};
use execution_engine_process::{Containment, take_over_control_group};

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
    /// Take over the control group of this name, which the service manager has made for it
    #[arg(long, value_name = "NAME")]
    delegated: Option<String>,
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
    keeper.control_group = options.delegated.as_deref().and_then(delegated_group);
    match run_keeper(keeper) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::new(error).report(),
    }
}

/// Takes over the control group of this name. `None` where that cannot be: programs are contained all
/// the same, without limits of a whole tree.
fn delegated_group(name: &str) -> Option<PathBuf> {
    let group = take_over_control_group(name, "keeper").and_then(|group| {
        Containment::below(group.clone()).map_err(io::Error::other)?;
        Ok(group)
    });
    group.inspect_err(|error| tracing::warn!(%error, "the control group is not delegated")).ok()
}
