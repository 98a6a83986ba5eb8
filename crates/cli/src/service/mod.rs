//! Verbs of the service. Each has a file; this one has what they share.

pub(crate) mod attach;
pub(crate) mod doctor;
mod each;
#[cfg(feature = "fleet")]
pub(crate) mod elsewhere;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod input;
pub(crate) mod keeper;
pub(crate) mod keepers;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod manage;
pub(crate) mod pause;
pub(crate) mod pieces;
pub(crate) mod pin;
pub(crate) mod plan;
pub(crate) mod rerun;
pub(crate) mod rm;
pub(crate) mod schedule;
mod selection;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod signal;
pub(crate) mod stop;
pub(crate) mod submit;
mod submit_paths;
pub(crate) mod table;
mod then;
mod times;
pub(crate) mod token;
pub(crate) mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use execution_engine_server::client::{Client, ClientOptions, ServiceProgram};
use execution_engine_server::{LockHolder, PathOptions, StateDir};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::cli::GlobalOptions;
use crate::failure::{Failure, is_of_descriptors};
use crate::message;

/// Returns the places that the command line and the environment name.
pub(crate) fn places(global: &GlobalOptions) -> Result<StateDir, Failure> {
    let options = PathOptions {
        state_dir: global.state_dir.clone(),
        socket: global.socket.clone(),
        config: global.config.clone(),
    };
    Ok(StateDir::from_env(&options)?)
}

/// Time without an answer of the service after which the user is told.
const SILENCE_LIMIT: Duration = Duration::from_secs(3);
/// Longest time that a service that listens has to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Connects to the service, and starts it if it does not run and may be started. When this returns, it
/// has answered: one that is stopped listens, too.
pub(crate) async fn connect(global: &GlobalOptions) -> Result<Client, Failure> {
    let places = places(global)?;
    let options = ClientOptions::new(places.clone());
    let options = if global.no_start { options } else { options.start(program()?) };
    let connected = async {
        let client = Client::connect(options).await?;
        match timeout(ANSWER_LIMIT, client.ping()).await {
            Ok(answer) => answer.map(|()| client).map_err(Failure::from),
            Err(_) => Err(silent(&places)),
        }
    };
    tokio::pin!(connected);
    match timeout(SILENCE_LIMIT, &mut connected).await {
        Ok(connected) => connected,
        Err(_) => {
            if let Some(holder) = places.holder() {
                message::note(format!("waiting for the service (process {})..", holder.pid));
            }
            connected.await
        }
    }
}

fn silent(places: &StateDir) -> Failure {
    let seconds = ANSWER_LIMIT.as_secs();
    let text = match places.holder() {
        Some(LockHolder { pid, .. }) => format!(
            "the service (process {pid}) does not answer for {seconds} s; if it is stopped, let it go on: kill -CONT {pid}; \
             else end it: kill {pid}. Programs go on, and the next verb starts it again"
        ),
        None => format!("the service does not answer for {seconds} s; see exeng doctor"),
    };
    Failure::new(text)
}

/// Makes a runtime.
///
/// # Errors
/// What the system refuses, and the fix.
pub(crate) fn runtime(mut builder: Builder) -> Result<Runtime, Failure> {
    // The first runtime of a process panics where there is no room for its descriptors.
    let made =
        execution_engine_process::check_reactor().and_then(|()| builder.enable_all().build());
    made.map_err(|error| match is_of_descriptors(&error) {
        true => Failure::of_descriptors(&error),
        false => Failure::new(format!("exeng cannot wait for anything here: {error}")),
    })
}

/// Runs a verb of the service to its end, and returns the code to exit with.
pub(crate) fn block_on(verb: impl Future<Output = Result<u8, Failure>>) -> ExitCode {
    let ended = runtime(Builder::new_current_thread()).and_then(|runtime| runtime.block_on(verb));
    ended.map_or_else(Failure::report, ExitCode::from)
}

/// Returns how the service is started in the background.
fn program() -> Result<ServiceProgram, Failure> {
    pass_nothing_on();
    let args = ["serve", "--background"].map(Into::into).to_vec();
    Ok(ServiceProgram { program: this_program()?, args })
}

/// Lets what this process starts inherit no descriptor of the caller's, such as the lock of a script:
/// it would hold it as long as it lives.
pub(crate) fn pass_nothing_on() {
    if let Err(error) = execution_engine_process::close_descriptors_on_exec() {
        tracing::warn!(%error, "the descriptors of the caller cannot be listed, and are passed on");
    }
}

/// Returns the path of this program. If its file was replaced since, the system still has it.
pub(crate) fn this_program() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe();
    let path = path.map_err(|error| Failure::new(format!("this program is not found: {error}")))?;
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !path.exists() && running.exists() { running } else { path })
}
