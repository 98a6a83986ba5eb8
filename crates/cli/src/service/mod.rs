//! Verbs of the service. Each has a file; this one has what they share.

pub(crate) mod doctor;
pub(crate) mod keeper;
pub(crate) mod keepers;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod stop;
pub(crate) mod submit;
mod submit_paths;
mod table;
mod terminal_text;
mod times;
pub(crate) mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use execution_engine_server::client::{Client, ClientOptions, ServiceProgram};
use execution_engine_server::{PathOptions, StateDir};

use crate::cli::GlobalOptions;
use crate::failure::Failure;

/// Returns the places that the command line and the environment name.
pub(crate) fn places(global: &GlobalOptions) -> Result<StateDir, Failure> {
    let options = PathOptions {
        state_dir: global.state_dir.clone(),
        socket: global.socket.clone(),
        config: global.config.clone(),
    };
    Ok(StateDir::from_env(&options)?)
}

/// Connects to the service, and starts it if it does not run and may be started.
pub(crate) async fn connect(global: &GlobalOptions) -> Result<Client, Failure> {
    let options = ClientOptions::new(places(global)?);
    let options = if global.no_start { options } else { options.start(program()?) };
    Ok(Client::connect(options).await?)
}

/// Runs a verb of the service to its end, and returns the code to exit with.
pub(crate) fn block_on(verb: impl Future<Output = Result<u8, Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(Failure::new).and_then(|runtime| runtime.block_on(verb));
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
fn pass_nothing_on() {
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
