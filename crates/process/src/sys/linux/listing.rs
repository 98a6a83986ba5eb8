//! Lines of text in memory that a shell reads as a file.
//!
//! The process that writes a line may be killed at any moment, so each change becomes visible with
//! one byte, the first of its line. What follows a blank is a process id. Other lines are none, and
//! the list ends with the first line that says so.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::Resource;

use super::child_setup::{Extension, Room};
use super::clone;
use super::resources::{Resources, own_limit};
use crate::error::is_transient;
use crate::sys::pipes;

/// Length of a line: the first byte, a process id of up to 10 digits, and a newline.
const LINE: usize = 12;
/// Size of the file. A page that was never written takes no memory.
const SIZE: usize = 512 * 1024;

/// First bytes of lines.
const ID: u8 = b' ';
const NONE: u8 = b'-';
const END: u8 = b'.';

/// One line of the list.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Line([AtomicU8; LINE]);

/// Mapping of the file, for as long as this lives.
#[derive(Debug)]
pub(super) struct SharedLines(NonNull<Line>);

// SAFETY: a mapping belongs to the process, not to the thread that made it, and its bytes are
// atomic.
unsafe impl Send for SharedLines {}
// SAFETY: as above.
unsafe impl Sync for SharedLines {}

impl Line {
    /// Writes a process id. Runs in a child that shares its host's memory, too: it neither allocates
    /// nor calls the system.
    pub(super) fn write(&self, pid: c_int) {
        let [state, digits @ .., _] = &self.0;
        let mut rest = pid.unsigned_abs();
        for digit in digits.iter().rev() {
            let shown = if rest > 0 { b'0' + (rest % 10) as u8 } else { b' ' };
            digit.store(shown, Ordering::Relaxed);
            rest /= 10;
        }
        state.store(ID, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.0[0].store(NONE, Ordering::Release);
    }

    fn begin_as(&self, first: u8) {
        let [state, blank @ .., end] = &self.0;
        blank.iter().for_each(|byte| byte.store(b' ', Ordering::Relaxed));
        end.store(b'\n', Ordering::Relaxed);
        state.store(first, Ordering::Release);
    }
}

impl SharedLines {
    /// Number of lines. The last one is the end at the latest.
    const COUNT: usize = SIZE / LINE;

    /// Makes a file, and maps it if this process may write one of this size.
    ///
    /// # Errors
    /// The first error is that of the file, or one that may be gone a moment later.
    pub(super) fn make() -> io::Result<(Arc<OwnedFd>, io::Result<Self>)> {
        let (file, room) = memory_file()?;
        let lines = extend(&file, room).and_then(|()| Self::map(&file));
        match &lines {
            Ok(lines) => lines.get(0).into_iter().for_each(|first| first.begin_as(END)),
            Err(error) if is_transient(error) => return Err(lines.unwrap_err()),
            Err(_) => {}
        }
        Ok((Arc::new(file), lines))
    }

    fn map(file: &OwnedFd) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing else.
        let base = unsafe {
            let none = std::ptr::null_mut();
            libc::mmap(none, SIZE, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?))
    }

    pub(super) fn get(&self, number: usize) -> Option<&Line> {
        // SAFETY: the mapping has so many lines, which are bytes of any value, and lives as long as
        // this. The file never shrinks.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), Self::COUNT) }.get(number)
    }

    /// Adds the line of this number, which was the end until now. Returns `false` if there is no
    /// room.
    pub(super) fn append(&self, number: usize) -> bool {
        let (Some(line), Some(next)) = (self.get(number), self.get(number + 1)) else {
            return false;
        };
        next.begin_as(END);
        line.clear();
        true
    }
}

impl Drop for SharedLines {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and all borrows of it have ended.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE) };
    }
}

/// Gives the file its size. In a child, which may raise the limit of file sizes for itself, and
/// which the signal of a limit does not reach.
fn extend(file: &OwnedFd, room: Room) -> io::Result<()> {
    let limits = match own_limit(Resource::Fsize) {
        Some((soft, hard)) if soft < SIZE as u64 => {
            Resources::of_one(Resource::Fsize, hard.max(SIZE as u64))
        }
        _ => Resources::default(),
    };
    clone::extend(Extension { file: file.as_raw_fd(), length: SIZE, room }, limits)
}

/// Creates a file in memory. Systems may refuse one that could be executed (`vm.memfd_noexec=2`),
/// and kernels before 6.3 do not know the flag. Some sandboxes allow none; then the file is one
/// without a name in the directory for temporary files.
fn memory_file() -> io::Result<(OwnedFd, Room)> {
    let create = |flags| memfd_create("execution-pid-list", MemfdFlags::CLOEXEC | flags);
    let file = match create(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(MemfdFlags::empty()),
        created => created,
    };
    let (file, room) = match file {
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {
            (tempfile::tempfile()?.into(), Room::AtOnce)
        }
        file => (file?, Room::OnDemand),
    };
    Ok((pipes::above_stdio(file)?, room))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// Returns the lines up to the end, as they are in the file.
    fn shown(file: &Arc<OwnedFd>) -> Vec<String> {
        let file = std::fs::File::from(file.try_clone().unwrap());
        let mut bytes = vec![0; SIZE];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let lines = bytes.chunks_exact(LINE).map(|line| std::str::from_utf8(line).unwrap());
        let lines = lines.inspect(|line| assert!(line.ends_with('\n')));
        lines.take_while(|line| !line.starts_with('.')).map(|line| line.trim().into()).collect()
    }

    #[test]
    fn file_has_the_ids_of_the_lines_in_use() {
        let (file, lines) = SharedLines::make().unwrap();
        let lines = lines.unwrap();
        assert!(shown(&file).is_empty());
        assert!(lines.append(0) && lines.append(1));
        assert_eq!(shown(&file), ["-", "-"]);
        lines.get(0).unwrap().write(7);
        lines.get(1).unwrap().write(c_int::MAX);
        assert_eq!(shown(&file), ["7", "2147483647"]);
        lines.get(1).unwrap().clear();
        assert_eq!(shown(&file)[1], "-2147483647", "no id any more");
        lines.get(1).unwrap().write(4711);
        assert_eq!(shown(&file), ["7", "4711"]);
    }

    #[test]
    fn list_that_is_full_has_an_end() {
        let (file, lines) = SharedLines::make().unwrap();
        let lines = lines.unwrap();
        let full = (0..).find(|number| !lines.append(*number)).unwrap();
        assert_eq!(shown(&file).len(), full);
    }
}
