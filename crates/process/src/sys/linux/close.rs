//! Closing of all descriptors, by system calls alone: it runs in a child that still shares its
//! host's memory, where nothing may allocate.

use std::ffi::c_int;

/// Listing of the descriptors of the task that asks.
const LISTING: &std::ffi::CStr = c"/proc/thread-self/fd";
/// Offset of the name in an entry of a directory, and of the entry's length, which takes two bytes.
const NAME: usize = 19;
const LENGTH: usize = 16;
/// Numbers that are looked at with one call where nothing lists those in use.
const BATCH: c_int = 64;
/// Highest number that a descriptor can have on a system whose `fs.nr_open` was not raised.
const USUAL_END: c_int = 1 << 20;

/// Closes every descriptor from `first` on, also those that the host opened without close-on-exec:
/// a pipe that leaks into another child never ends.
///
/// # Safety
/// Only in a task with a descriptor table of its own.
pub(super) unsafe fn close_from(first: c_int) {
    // SAFETY: a system call with numbers, and the caller's promise.
    unsafe {
        let closed = libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) == 0;
        // Kernels before 5.9 do not know the call, and some sandboxes refuse it. To try all numbers
        // below the limit takes minutes where that is high, and a limit that was lowered says
        // nothing about the descriptors above it.
        if !closed && !close_listed(first) {
            close_present(first);
        }
    }
}

/// Closes the descriptors that /proc lists. Returns `false` if it lists none.
///
/// # Safety
/// As for [`close_from`].
unsafe fn close_listed(first: c_int) -> bool {
    let mut entries = [0_u8; 1024];
    // SAFETY: system calls with numbers, a string that ends with NUL, and a buffer of this size.
    unsafe {
        // It is to be closed in any case, and there may be no other number for the listing.
        libc::close(first);
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let listing = libc::open(LISTING.as_ptr(), flags);
        if listing < 0 {
            return false;
        }
        let mut lists_itself = false;
        // Again until there is nothing to close: the entries move while some are closed.
        let mut has_closed = true;
        while has_closed {
            (has_closed, lists_itself) = (false, false);
            libc::lseek(listing, 0, libc::SEEK_SET);
            loop {
                let (buffer, size) = (entries.as_mut_ptr(), entries.len());
                let length = libc::syscall(libc::SYS_getdents64, listing, buffer, size);
                let Ok(length @ 1..) = usize::try_from(length) else { break };
                for fd in Numbers(entries.get(..length).unwrap_or_default()) {
                    lists_itself |= fd == listing;
                    has_closed |= fd >= first && fd != listing && libc::close(fd) == 0;
                }
            }
        }
        libc::close(listing);
        // What is mounted there may be something else.
        lists_itself
    }
}

/// Numbers that name the entries of a directory, as `getdents64` returns them.
struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = c_int;

    fn next(&mut self) -> Option<c_int> {
        loop {
            let length = self.0.get(LENGTH..LENGTH + 2)?;
            let length = usize::from(u16::from_ne_bytes([*length.first()?, *length.last()?]));
            let (entry, rest) = self.0.split_at_checked(length.max(NAME))?;
            self.0 = rest;
            if let Some(number) = number(entry.get(NAME..)?) {
                return Some(number);
            }
        }
    }
}

/// Parses a decimal number that ends with NUL. `None` for any other name.
fn number(name: &[u8]) -> Option<c_int> {
    let mut number: c_int = 0;
    for byte in name.iter().take_while(|byte| **byte != 0) {
        let digit = c_int::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    (name.first() != Some(&0)).then_some(number)
}

/// Closes the descriptors that are in use among the usual numbers. Without /proc nothing lists
/// them; `poll` tells for many at a time.
///
/// # Safety
/// As for [`close_from`].
unsafe fn close_present(first: c_int) {
    let unused = libc::pollfd { fd: -1, events: 0, revents: 0 };
    for start in (first..USUAL_END).step_by(BATCH as usize) {
        let mut batch = [unused; BATCH as usize];
        (start..).zip(&mut batch).for_each(|(fd, entry)| entry.fd = fd);
        // SAFETY: the call is given the array and its length, and waits for nothing. The numbers
        // are descriptors of this table, or unused.
        unsafe {
            let is_known = libc::poll(batch.as_mut_ptr(), BATCH as libc::nfds_t, 0) >= 0;
            for entry in &batch {
                if !is_known || entry.revents & libc::POLLNVAL == 0 {
                    libc::close(entry.fd);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an entry of a directory.
    fn entry(name: &str) -> Vec<u8> {
        let length = (NAME + name.len() + 1).next_multiple_of(8);
        let mut entry = vec![0; length];
        entry[LENGTH..LENGTH + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        entry[NAME..NAME + name.len()].copy_from_slice(name.as_bytes());
        entry
    }

    #[test]
    fn entries_of_a_directory_are_read_as_numbers() {
        let entries = [".", "..", "0", "17", "2147483647", "2147483648", "3x", ""].map(entry);
        let numbers: Vec<_> = Numbers(&entries.concat()).collect();
        assert_eq!(numbers, [0, 17, c_int::MAX]);
        let cut = &entries[3][..10];
        assert_eq!(Numbers(cut).next(), None);
    }
}
