//! Whether the directories can be used.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use execution_engine_server::StateDir;
use execution_engine_store::Store;

use super::report::Problem;

/// Longest path that the address of a socket has room for on all systems.
const SOCKET_PATH: usize = 103;

/// Room without which the service does not start.
const LEAST_ROOM: u64 = 1 << 20;

/// Checks the files of the store, which no service has open.
pub(super) fn check_store(state_dir: &StateDir) -> Option<Problem> {
    // A user who cannot look into the directory is told so already.
    state_dir.path().symlink_metadata().ok()?;
    let error = Store::check(state_dir.path()).err()?.to_string();
    // Its errors say what to do behind the first semicolon.
    let (what, fix) = error.split_once("; ").unwrap_or((&error, "correct that"));
    Some(Problem::error(format!("the store cannot be opened: {what}"), fix))
}

/// Looks whether the file system of a directory has room.
fn room(dir: &Path) -> Option<Problem> {
    let found = rustix::fs::statvfs(dir).ok()?;
    let left = found.f_bavail.saturating_mul(found.f_frsize);
    (left < LEAST_ROOM).then(|| {
        let what = format!("the file system of {} is full ({left} bytes left)", dir.display());
        Problem::error(what, "make room on it")
    })
}

/// Checks whether a directory could be made that is not there, by making one in its place and removing it.
fn check_missing(path: &Path) -> Option<Problem> {
    let there = path.ancestors().find(|ancestor| ancestor.exists())?;
    let probe = there.join(format!(".exeng-doctor-{}", std::process::id()));
    let made = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
    let error = made.err()?;
    let what = format!("{} cannot be made in {}: {error}", path.display(), there.display());
    Some(Problem::error(what, "set EXENG_STATE_DIR to a directory that you can write to"))
}

/// Checks the places of a service. Those that do not exist yet are made when they are needed.
pub(super) fn check(state_dir: &StateDir) -> Vec<Problem> {
    let mut problems = Vec::new();
    match state_dir.path().symlink_metadata() {
        Ok(_) => match state_dir.create() {
            Ok(()) => problems.extend(room(state_dir.path())),
            Err(error) => problems.push(Problem::of_service(&error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            problems.extend(check_missing(state_dir.path()));
        }
        Err(error) => {
            let what = format!("{} cannot be looked into: {error}", state_dir.path().display());
            problems.push(Problem::error(what, "set EXENG_STATE_DIR to a directory of yours"));
        }
    }
    let socket = state_dir.socket();
    if socket.as_os_str().len() > SOCKET_PATH && !cfg!(target_os = "linux") {
        let what = format!("the path of the socket is too long: {}", socket.display());
        problems
            .push(Problem::error(what, "choose a shorter one: EXENG_SOCKET or EXENG_STATE_DIR"));
    }
    if socket.symlink_metadata().is_ok_and(|found| !found.file_type().is_socket()) {
        let what = format!("a file is in the place of the socket: {}", socket.display());
        problems.push(Problem::error(what, "move it away, or choose another one: EXENG_SOCKET"));
    }
    problems
}
