//! `exeng stop`, `signal`, `pause`, `resume` and `input` of a fleet.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use execution_engine::{Backend as _, ExecutionError, Uuid};
use serde_json::json;

use super::{Remote, look, output, refuse};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::input::InputOptions;
use crate::service::pause::PauseOptions;
use crate::service::pieces::Pieces;
use crate::service::signal::SignalOptions;
use crate::service::stop::StopOptions;
use crate::{data, message};

/// Stops executions and waits for their ends.
pub(super) async fn stop(global: &GlobalOptions, options: &StopOptions) -> Result<u8, Failure> {
    let selection = &options.selection;
    let conditions = !selection.which.conditions.is_empty();
    refuse(&[(conditions, "selecting what to stop by conditions")])?;
    selection.check()?;
    let remote = Remote::connect(global).await?;
    if selection.dry_run {
        return would_stop(&remote, options).await;
    }
    let stop = async |id: Uuid| {
        let stopped = match options.firm {
            true => remote.engine.cancel_within(id, Duration::ZERO).await,
            false => remote.engine.cancel(id).await,
        };
        match stopped {
            Err(ExecutionError::AlreadyEnded { .. }) => {
                message::note(format!("{id} has already ended"));
            }
            stopped => stopped.map_err(Failure::new)?,
        }
        if !options.no_wait {
            output::result(&remote, id).await?;
        }
        Ok(json!({"id": id}))
    };
    let (stopped, code) = remote.each(&selection.which.ids, stop).await;
    told(options.json, &stopped, code)
}

/// Lists what would be stopped.
async fn would_stop(remote: &Remote, options: &StopOptions) -> Result<u8, Failure> {
    let look = async |id: Uuid| look::known(remote, id).await;
    let (mut found, code) = remote.each(&options.selection.which.ids, look).await;
    found.retain(|execution| {
        let has_ended = execution.status.is_terminal();
        if has_ended {
            message::note(format!("{} has already ended", execution.id));
        }
        !has_ended
    });
    match options.json {
        true => data::json(&found.iter().map(look::view).collect::<Vec<_>>())?,
        false => look::print_table(&found)?,
    }
    Ok(code)
}

fn told(json: bool, done: &[serde_json::Value], code: u8) -> Result<u8, Failure> {
    if json {
        data::json(&done)?;
    }
    Ok(code)
}

/// Sends a signal to executions that run.
pub(super) async fn signal(global: &GlobalOptions, options: &SignalOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let send = async |id: Uuid| {
        let processes = remote.engine.signal(id, options.signal).await.map_err(Failure::new)?;
        Ok(json!({"id": id, "processes": processes}))
    };
    let (sent, code) = remote.each(&options.ids, send).await;
    told(options.json, &sent, code)
}

/// Freezes executions, or lets them go on.
pub(super) async fn set_paused(
    global: &GlobalOptions,
    options: &PauseOptions,
    paused: bool,
) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let set = async |id: Uuid| {
        let set = match paused {
            true => remote.engine.pause(id).await,
            false => remote.engine.resume(id).await,
        };
        set.map_err(Failure::new)?;
        Ok(json!({"id": id, "paused": paused}))
    };
    let (set, code) = remote.each(&options.ids, set).await;
    told(options.json, &set, code)
}

/// Writes to the input of an execution.
pub(super) async fn input(global: &GlobalOptions, options: &InputOptions) -> Result<u8, Failure> {
    let file = options.file.as_ref().map(|path| {
        let failed =
            |error| Failure::new(format!("--file: {}: {error}; check the path", path.display()));
        File::open(path).map_err(failed)
    });
    let file = file.transpose()?;
    let remote = Remote::connect(global).await?;
    let id = remote.id(&options.id).await?;
    let mut written = 0;
    if let Some(text) = &options.text {
        let newline = if options.no_newline { "" } else { "\n" };
        written = write(&remote, id, format!("{text}{newline}").into_bytes()).await?;
    } else if let Some(file) = file {
        written = copy(&remote, id, Pieces::read(file)?).await?;
    } else if !(options.eof && io::stdin().is_terminal()) {
        written = copy(&remote, id, Pieces::read(io::stdin())?).await?;
    }
    if options.eof {
        remote.backend.close_stdin(id).await.map_err(Failure::new)?;
    }
    if options.json {
        data::json(&json!({"id": id, "written": written}))?;
    }
    Ok(0)
}

async fn write(remote: &Remote, id: Uuid, bytes: Vec<u8>) -> Result<u64, Failure> {
    let length = bytes.len() as u64;
    remote.backend.write_stdin(id, bytes.into()).await.map_err(Failure::new)?;
    Ok(length)
}

/// Writes all pieces, and returns their length.
pub(super) async fn copy(remote: &Remote, id: Uuid, mut from: Pieces) -> Result<u64, Failure> {
    let failed = |error| Failure::new(format!("what is to be written cannot be read: {error}"));
    let mut written = 0;
    while let Some(piece) = from.next().await.map_err(failed)? {
        written += write(remote, id, piece).await?;
    }
    Ok(written)
}
