//! `exeng attach` of a fleet: the last lines and what follows, and input.

use std::io;

use bytes::Bytes;
use execution_engine::{Backend as _, ExecutionError, Uuid};

use super::control::copy;
use super::output::{AFTER_FAILURE, Reading, tell};
use super::{Remote, refuse};
use crate::cli::GlobalOptions;
use crate::data::Reader;
use crate::failure::Failure;
use crate::fleet::rest;
use crate::service::attach::{AttachOptions, NO_INPUT, attached};
use crate::service::logs::Printer;
use crate::service::pieces::Pieces;
use crate::{exit_code, message};

/// Shows what happens until the end or Ctrl-C, and returns the code to exit with.
pub(super) async fn attach(global: &GlobalOptions, options: &AttachOptions) -> Result<u8, Failure> {
    refuse(&[(options.json, "--json")])?;
    let remote = Remote::connect(global).await?;
    let id = remote.id(&options.id).await?;
    let shown = show(&remote, id, options);
    attached(&id.to_string(), options, shown, pass_on(&remote, id)).await
}

/// Shows the last lines, and what follows until the end.
async fn show(remote: &Remote, id: Uuid, options: &AttachOptions) -> Result<u8, Failure> {
    let mut printer = Printer::new(options.raw);
    let mut reading = Reading::new(remote, id);
    let ended = match reading.last_lines(options.tail, None, &mut printer).await? {
        Some(ended) => ended,
        None => {
            let reader = Reader::watch();
            let mut print = |_, bytes: &[u8]| printer.print(bytes);
            tokio::select! {
                biased;
                ended = reading.until_end(&mut print) => ended?,
                gone = reader.gone() => return Err(gone),
            }
        }
    };
    printer.finish()?;
    tell(&ended);
    Ok(exit_code::of_end(&ended.ending, ended.signal))
}

/// Passes on what is read here until its end, if the program reads it. What comes before its start is kept for it.
async fn pass_on(remote: &Remote, id: Uuid) -> Result<(), Failure> {
    loop {
        // Nothing is written: the answer says whether anything could be.
        match remote.backend.write_stdin(id, Bytes::new()).await {
            Ok(_) => break,
            Err(ExecutionError::StdinNotPiped(_)) => {
                message::print(NO_INPUT);
                return Ok(());
            }
            // Its output is shown all the same.
            Err(ExecutionError::AlreadyEnded { .. }) => return Ok(()),
            // That no server answers is told where the output is read.
            Err(ExecutionError::Backend { .. }) => rest(AFTER_FAILURE).await,
            Err(error) => return Err(Failure::new(error)),
        }
    }
    if let Err(failure) = copy(remote, id, Pieces::read(io::stdin())?).await {
        message::print(failure);
        return Ok(());
    }
    match remote.backend.close_stdin(id).await {
        Ok(()) | Err(ExecutionError::AlreadyEnded { .. } | ExecutionError::StdinClosed(_)) => {
            Ok(())
        }
        Err(error) => Err(Failure::new(error)),
    }
}
