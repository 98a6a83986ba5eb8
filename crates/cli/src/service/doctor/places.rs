//! Whether the directories can be used.

use std::os::unix::fs::FileTypeExt as _;

use execution_engine_server::StateDir;

use super::report::Problem;

/// Longest path that the address of a socket has room for on all systems.
const SOCKET_PATH: usize = 103;

/// Checks the places of a service. Those that do not exist yet are made when they are needed.
pub(super) fn check(state_dir: &StateDir) -> Vec<Problem> {
    let mut problems = Vec::new();
    if state_dir.path().exists()
        && let Err(error) = state_dir.create()
    {
        problems.push(Problem::of_service(&error));
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
