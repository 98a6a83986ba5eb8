//! The floor: the least that the system requires for the same work. `posix_spawn`, pipes, epoll,
//! `waitid`; no containment, no timeout, no limit, no observers.

mod event_loop;
mod read_loop;
mod spawn;

pub use event_loop::{run_many, run_on_all_cores};
pub use read_loop::{Keep, PIPE_SIZES, read_all};

use crate::child::Cmd;
use spawn::Image;

/// Runs a command and returns its output.
pub fn output(cmd: &Cmd) -> Vec<u8> {
    let mut kept = Vec::new();
    run_many(cmd, 1, 1, |stdout| kept = stdout);
    kept
}
