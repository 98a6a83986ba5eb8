//! Stacks for children that still share the host's memory. They are kept and used again.

use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Enough for a few system calls. The guard below it is one page more, whatever the size of a page:
/// on some kernels that is 64 KiB, and a guard inside of this size would cover all of it.
const SIZE: usize = 64 * 1024;
/// Number of spawns that are likely to be under way at a time.
const MAX_KEPT: usize = 16;

static KEPT: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// Mapping that one child uses at a time.
pub(super) struct Stack {
    base: NonNull<libc::c_void>,
    guard: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it, and is used by one
// owner at a time.
unsafe impl Send for Stack {}

impl Stack {
    pub(super) fn take() -> io::Result<Self> {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(|| Self::map(rustix::param::page_size()), Ok)
    }

    /// Keeps the stack for the next child. No child may run on it any more.
    pub(super) fn give_back(self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(self);
        }
    }

    /// Returns the lowest address that a child may use, and the number of bytes from there.
    pub(super) fn usable(&self) -> (*mut u8, usize) {
        (self.base.as_ptr().cast::<u8>().wrapping_add(self.guard), SIZE)
    }

    fn map(guard: usize) -> io::Result<Self> {
        let size = guard + SIZE;
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
        );
        // SAFETY: a new private mapping at an address of the kernel's choice touches nothing else.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
        let stack = Self { base, guard };
        // SAFETY: the pages are the first ones of the mapping just made, and nothing uses them.
        if unsafe { libc::mprotect(base.as_ptr(), guard, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and no child runs on it any more.
        unsafe { libc::munmap(self.base.as_ptr(), self.guard + SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_page_takes_nothing_from_the_stack() {
        let stack = Stack::map(64 * 1024).unwrap();
        let (base, size) = stack.usable();
        assert_eq!(size, SIZE);
        for at in [0, size - 1] {
            // SAFETY: inside of the usable part, and no child runs.
            unsafe { base.wrapping_add(at).write_volatile(1) };
        }
    }
}
