//! `exeng run`: runs a command here and now, with the engine in this process.

use std::process::ExitCode;

use clap::Args;
use execution_engine::blocking::ExecutionEngine;
use execution_engine::{
    ExecutionConfig, ExecutionOptions, ExecutionRequest, ExecutionResult, OutputMode, StdinSource,
};

use crate::request::RequestOptions;
use crate::{exit_code, message};

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) request: RequestOptions,
}

/// Runs the command, and returns the code to exit with.
pub(crate) fn run(options: &RunOptions) -> ExitCode {
    let (request, options) = match options.request.to_request(StdinSource::Inherit) {
        Ok(request) => request,
        Err(fault) => return refuse(fault, exit_code::OURS),
    };
    match execute(request, options.output(OutputMode::Inherit)) {
        Ok(result) => ExitCode::from(exit_code::of_result(&result)),
        Err(error) => {
            let code = exit_code::of_error(&error);
            refuse(error, code)
        }
    }
}

fn execute(
    request: ExecutionRequest,
    options: ExecutionOptions,
) -> execution_engine::Result<ExecutionResult> {
    let engine = ExecutionEngine::new(config())?;
    engine.start_with(request, options)?.wait()
}

/// Returns the configuration of an engine for one command, which has no bounds but those that were
/// asked for.
fn config() -> ExecutionConfig {
    ExecutionConfig {
        default_timeout_ms: u64::MAX,
        max_timeout_ms: u64::MAX,
        stream_output: false,
        ..ExecutionConfig::default()
    }
}

fn refuse(reason: impl std::fmt::Display, code: u8) -> ExitCode {
    message::print(reason);
    ExitCode::from(code)
}
