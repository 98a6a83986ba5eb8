//! Starting the program: at once on the caller's thread, and again on the driver where the system
//! says "not now".

use std::path::Path;
use std::time::Duration;

use execution_engine_process::{Containment, Launch, SpawnError, SpawnStage, Spawned};
use rustix::io::Errno;

use super::active::ActiveExecution;
use crate::types::Ending;

/// Pauses between attempts, some half a second in all. ETXTBSY lasts until another thread's child
/// has closed the file it inherited for writing; EAGAIN until a process of this user has gone.
const PAUSES_MS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// How the first attempt went.
pub(super) enum LaunchOutcome {
    Running(Box<Spawned>),
    Retry(Box<Launch>, SpawnError),
    Failed(Ending),
}

pub(super) fn first_attempt(containment: &Containment, launch: Launch) -> LaunchOutcome {
    match containment.spawn(&launch) {
        Ok(spawned) => LaunchOutcome::Running(Box::new(spawned)),
        Err(error) if error.is_transient() => LaunchOutcome::Retry(Box::new(launch), error),
        Err(error) => LaunchOutcome::Failed(failure(&error, &launch)),
    }
}

/// Tries again until it works, cannot work, or the execution has been stopped meanwhile.
pub(super) async fn retry(
    containment: &Containment,
    launch: &Launch,
    mut error: SpawnError,
    live: &ActiveExecution,
) -> Result<Box<Spawned>, Ending> {
    for pause in PAUSES_MS {
        tokio::select! {
            () = live.stopped() => break,
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
        }
        match containment.spawn(launch) {
            Ok(spawned) => return Ok(Box::new(spawned)),
            Err(again) if again.is_transient() => error = again,
            Err(last) => return Err(failure(&last, launch)),
        }
    }
    Err(failure(&error, launch))
}

fn failure(error: &SpawnError, launch: &Launch) -> Ending {
    let os_error = error.source.raw_os_error();
    let hint = os_error.and_then(|errno| hint(&error.stage, Errno::from_raw_os_error(errno)));
    let reason = match hint {
        // It was there when the request was checked.
        Some(_) if error.stage == SpawnStage::Exec && !is_there(launch) => {
            format!("{error}; {} is not there any more", launch.program.display())
        }
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    Ending::SpawnFailed { reason, os_error }
}

fn is_there(launch: &Launch) -> bool {
    let base = launch.working_dir.as_deref().unwrap_or(Path::new(""));
    base.join(&launch.program).exists()
}

/// What to do about it, where the system's own words do not say.
fn hint(stage: &SpawnStage, errno: Errno) -> Option<&'static str> {
    Some(match (stage, errno) {
        (SpawnStage::Exec, Errno::NOEXEC) => {
            "it is no program for this machine, or a script without a #! line: name an interpreter"
        }
        (SpawnStage::Exec, Errno::NOENT) => "the interpreter that its #! line names may be missing",
        (SpawnStage::Exec, Errno::TOOBIG) => {
            "the arguments and the environment are too long together: pass data in a file"
        }
        (SpawnStage::Pipe, Errno::NOENT) => {
            "this host has no /dev/null, which a program without input reads"
        }
        (SpawnStage::Exec, Errno::TXTBSY) => "the program file is still being written",
        (_, Errno::AGAIN) => "the limit of processes is reached: raise it or run fewer at a time",
        (_, Errno::MFILE | Errno::NFILE) => {
            "the limit of open files is reached: raise it or run fewer at a time"
        }
        _ => return None,
    })
}
