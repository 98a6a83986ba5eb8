//! Stacks for children that still share the host's memory. Kept and used again.

use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Enough for a few system calls. Below it is a page that guards, of whatever size pages are here: that of
/// some kernels is as large as this.
const SIZE: usize = 64 * 1024;
/// As many as spawns are likely to be under way at a time.
const MOST_KEPT: usize = 16;

static KEPT: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

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

    /// Only when no child runs on it any more.
    pub(super) fn give_back(self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(self);
        }
    }

    /// The lowest address a child may use, and how many bytes there are from it.
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
            // SAFETY: inside of what a child may use, and there is none.
            unsafe { base.wrapping_add(at).write_volatile(1) };
        }
    }
}
