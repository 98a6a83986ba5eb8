//! One child, read in a loop as in C.

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::Image;
use crate::child::Cmd;

/// Pipe sizes to choose the fastest from.
pub const PIPE_SIZES: [usize; 3] = [64 * 1024, 256 * 1024, 1024 * 1024];

/// What to do with the output.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    First(usize),
    /// Keeps nothing; counts lines.
    Lines,
}

/// Reads the output of `cmd` through a pipe of this size. Returns the bytes kept, or the lines seen.
pub fn read_all(cmd: &Cmd, pipe_size: usize, keep: Keep) -> usize {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    fcntl_setpipe_size(&read, pipe_size).expect("a pipe of that size");
    let pid = Image::new(cmd).start(write, std::io::stderr());
    let mut buffer = vec![0; pipe_size];
    let (mut kept, mut lines) = (Vec::new(), 0);
    loop {
        let chunk = match rustix::io::read(&read, &mut *buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(Errno::INTR) => continue,
            Err(error) => panic!("the pipe cannot be read: {error}"),
        };
        match keep {
            Keep::First(limit) => {
                kept.extend_from_slice(&chunk[..chunk.len().min(limit - kept.len())]);
            }
            Keep::Lines => lines += memchr::memchr_iter(b'\n', chunk).count(),
        }
    }
    while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED) {}
    match keep {
        Keep::First(_) => kept.len(),
        Keep::Lines => lines,
    }
}
