//! `exeng doctor`: what the host offers, and what is wrong, each with its fix. Starts nothing.

mod host;
mod places;
mod report;

use std::time::Duration;

use clap::Args;
use execution_engine_server::client::{Client, ClientError, ClientOptions};
use execution_engine_server::{Config, NetworkListener, ServiceStatus, StateDir};

use super::keepers::living;
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, exit_code};
use report::{Problem, Report, ServiceReport, StoreReport};

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// Print one document of JSON
    #[arg(long)]
    json: bool,
}

/// Longest time that the service has to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Looks at everything. Returns 125 if something keeps the service from working.
pub(crate) async fn run(global: &GlobalOptions, options: &DoctorOptions) -> Result<u8, Failure> {
    let report = examine(global).await?;
    if options.json {
        data::json(&report)?;
    } else {
        data::bytes(report.page().as_bytes())?;
    }
    let is_broken = report.problems.iter().any(|problem| problem.is_error);
    Ok(if is_broken { exit_code::OURS } else { 0 })
}

async fn examine(global: &GlobalOptions) -> Result<Report, Failure> {
    let state_dir = super::places(global)?;
    let mut problems = places::check(&state_dir);
    let config = Config::load(state_dir.config());
    if let Err(error) = config.and_then(|config| NetworkListener::check(&config.http)) {
        problems.push(Problem::of_service(&error));
    }
    if names_config(global) && !state_dir.config().exists() {
        let file = state_dir.config().display();
        let what = format!(
            "the configuration {file} is named and does not exist, so all settings are the defaults"
        );
        problems.push(Problem::warning(what, "create it, or name another one: EXENG_CONFIG"));
    }
    let (service, store) = service(&state_dir, &mut problems).await;
    let keepers = match living(global).await {
        Ok(keepers) => keepers,
        // A user who cannot look into the state directory is told so already.
        Err(_) if problems.iter().any(|problem| problem.is_error) => Vec::new(),
        Err(failure) => {
            let what = failure.to_string();
            let fix =
                "remove what cannot be read from the directory keepers of the state directory";
            problems.push(Problem::error(what, fix));
            Vec::new()
        }
    };
    let containment = host::containment(&mut problems);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        service,
        keepers,
        store,
        containment,
        limits: host::limits(&mut problems),
        state_dir: state_dir.path().to_path_buf(),
        socket: state_dir.socket().to_path_buf(),
        config: state_dir.config().to_path_buf(),
        problems,
    })
}

/// Returns `true` if the user has named a configuration file.
fn names_config(global: &GlobalOptions) -> bool {
    let variable = || std::env::var_os("EXENG_CONFIG").is_some_and(|name| !name.is_empty());
    global.config.is_some() || variable()
}

/// Asks the service, if it runs, how it and its store are.
async fn service(
    state_dir: &StateDir,
    problems: &mut Vec<Problem>,
) -> (ServiceReport, StoreReport) {
    let store = StoreReport::of_files(state_dir.path());
    let Some(holder) = state_dir.holder() else {
        problems.extend(places::check_store(state_dir));
        return (ServiceReport::default(), store);
    };
    let service = ServiceReport::of_holder(&holder);
    let asked = tokio::time::timeout(ANSWER_LIMIT, async {
        Client::connect(ClientOptions::new(state_dir.clone())).await?.status().await
    });
    let status = match asked.await {
        Ok(Err(ClientError::Elsewhere { socket, fix, .. })) => {
            let what = format!("the service listens on another socket: {}", socket.display());
            problems.push(Problem::error(what, &fix));
            return (service, store);
        }
        Ok(status) => status.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
    };
    match status {
        Ok(status) => {
            problems.extend(told_by(&status));
            (service.answered(&status), store.answered(&status.store))
        }
        Err(error) => {
            let pid = holder.pid;
            let what =
                format!("process {pid} holds the state directory and does not answer: {error}");
            let fix = format!("end it: kill {pid}; programs go on, and nothing is lost");
            problems.push(Problem::error(what, &fix));
            (service, store)
        }
    }
}

/// Returns what a service that answers says is wrong with it.
fn told_by(status: &ServiceStatus) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(reason) = status.store.reason.as_ref().filter(|_| !status.store.writable) {
        let what = format!("the store cannot be written, so new work is refused: {reason}");
        problems.push(Problem::error(what, "make room; the service recovers by itself"));
    }
    if let Some(reason) = &status.start_error {
        let what = format!("what waits cannot be started: {reason}");
        problems.push(Problem::error(what, "correct that; it is tried again every 10 seconds"));
    }
    if status.version != env!("CARGO_PKG_VERSION") {
        let what = format!(
            "the service is version {}, and this is {}",
            status.version,
            env!("CARGO_PKG_VERSION")
        );
        let fix = "end it (kill -TERM its process); the next verb starts this version, and programs go on";
        problems.push(Problem::warning(what, fix));
    }
    problems
}
