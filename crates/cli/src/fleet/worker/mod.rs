//! `exeng worker`: runs executions of a fleet on this machine.
//!
//! The process that the user starts is the lease keeper (`keeper`). It starts the worker proper (`proper`), the same
//! program again, and ends it with all that it runs when its lease is over, also if the worker stands still.

mod keeper;
mod machine;
mod proper;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use execution_engine_fleet::{LargeOutput, LeaseSettings, OnSlow, WorkerTimes, check_name};
use tokio::runtime::Builder;

use super::servers::{Access, chosen};
use crate::cli::GlobalOptions;
use crate::duration;
use crate::failure::Failure;
use crate::service::submit::label;
use crate::service::{pass_nothing_on, runtime};

/// Options of `worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerOptions {
    /// Run executions of this tenant alone; may be repeated [without: of all tenants of its pools]
    #[arg(long = "tenant", value_name = "NAME")]
    tenants: Vec<String>,
    /// Run executions of this pool alone; may be repeated [without: of all pools whose labels it has]
    #[arg(long = "pool", value_name = "NAME")]
    pools: Vec<String>,
    /// Run this many executions at a time [without: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    slots: Option<u32>,
    /// Conduct this many plans at a time, beside the executions; 0 for none
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    plans: u32,
    /// Say this of the worker, for pools that require it; may be repeated. It has os, arch and host by itself
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// File with its keys, as `exeng fleet init --keys` writes it
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// What its name begins with; the rest is new for each process [without: the name of this host]
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    name: Option<String>,
    /// What becomes of output beyond 8 MiB that the servers take too slowly: the program waits, or it goes on after
    /// 10 s and what is missing is told
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnSlowName::Pace)]
    on_slow: OnSlowName,
    #[command(flatten)]
    access: Access,
    /// Times of the lease, for tests: how often it is renewed, how long it lasts, how long the servers keep it
    #[arg(long, value_name = "EVERY,LEASE,TTL", value_parser = lease, hide = true)]
    lease: Option<LeaseSettings>,
    /// Be the worker proper of this name; for `worker`
    #[arg(long, value_name = "NAME", hide = true)]
    kept_as: Option<String>,
    /// The keeper holds a control group with all that it runs; for `worker`
    #[arg(long, hide = true)]
    is_exclusive: bool,
}

/// Values of `--on-slow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnSlowName {
    Pace,
    Miss,
}

/// Longest prefix of a name: the rest is a dash and 16 digits.
const LONGEST_PREFIX: usize = execution_engine_fleet::MAX_NAME_BYTES - 17;

fn prefix(text: &str) -> Result<String, String> {
    check_name("the name", text).map_err(|error| error.to_string())?;
    match text.len() {
        ..=LONGEST_PREFIX => Ok(text.to_owned()),
        bytes => Err(format!("has {bytes} bytes, and {LONGEST_PREFIX} are allowed")),
    }
}

/// How long it takes to kill all that a worker runs.
const KILL_TIME: Duration = Duration::from_millis(200);

fn lease(text: &str) -> Result<LeaseSettings, String> {
    let times = text.split(',').map(duration::parse_positive).collect::<Result<Vec<_>, _>>()?;
    let [every, lease, ttl] = times[..] else {
        return Err("write three times, as 2s,10s,15s".to_owned());
    };
    let settings = LeaseSettings { every, lease, ttl };
    settings.check(KILL_TIME).map(|()| settings).map_err(|error| error.to_string())
}

impl WorkerOptions {
    fn lease(&self) -> LeaseSettings {
        self.lease.unwrap_or_default()
    }

    fn large_output(&self) -> LargeOutput {
        let on_slow = match self.on_slow {
            OnSlowName::Pace => OnSlow::Pace,
            OnSlowName::Miss => OnSlow::Miss,
        };
        LargeOutput { on_slow, ..LargeOutput::default() }
    }

    /// Returns the times of a worker in a fleet that keeps its records so long.
    fn times(&self, log_age: Duration) -> WorkerTimes {
        let usual = WorkerTimes::default();
        let times = WorkerTimes { lease: self.lease(), hold_every: log_age / 4, ..usual };
        match self.lease {
            // So often that with a short lease, too, an election of the servers is no break in the looks for the dead.
            Some(lease) => {
                WorkerTimes { sweep_every: lease.every, sweep_ttl: lease.every * 4, ..times }
            }
            None => times,
        }
    }
}

/// Runs a worker, or the process that watches over it.
pub(crate) fn run(global: &GlobalOptions, options: &WorkerOptions) -> ExitCode {
    crate::tracing_to_stderr();
    pass_nothing_on();
    let ended = match &options.kept_as {
        Some(name) => runtime(Builder::new_multi_thread())
            .and_then(|runtime| runtime.block_on(proper::run(global, options, name))),
        None => chosen(global, &options.access)
            .map(drop)
            .and_then(|()| runtime(Builder::new_current_thread())?.block_on(keeper::run(options))),
    };
    ended.map_or_else(Failure::report, ExitCode::from)
}
