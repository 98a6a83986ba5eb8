//! Descriptors of the host that a child gets under numbers of its own.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd};

/// Descriptors of this process that a child gets beside its standard streams, each under a number
/// of its own: the read end of a pipe with a secret, a listening socket, a lock file.
///
/// The child and this process share what a descriptor refers to, such as the position in a file.
///
/// ```
/// use std::fs::File;
///
/// use execution_engine_process::PassedDescriptors;
///
/// let file = File::open("/dev/null")?;
/// let passed = PassedDescriptors::new().pass(3, file)?;
/// assert!(!passed.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PassedDescriptors(BTreeMap<RawFd, Arc<OwnedFd>>);

/// Reason why a descriptor cannot be passed under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// The number is that of a standard stream, or too high.
    #[error("a descriptor cannot be passed as number {0}; use 3 to {last}", last = PassedDescriptors::LAST)]
    Number(u32),
    /// Another descriptor has the number.
    #[error("two descriptors are passed as number {0}; give each a number of its own")]
    Taken(u32),
}

impl PassedDescriptors {
    /// Highest number under which a descriptor can be passed.
    pub const LAST: u32 = 255;

    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what the process that started this one has passed to it: the descriptors beyond the
    /// standard streams that are open and not close-on-exec, each under its own number. Those beyond
    /// [`LAST`](Self::LAST) are left out, and so are all where the system lists none.
    ///
    /// For a host that stands in for the program that it runs. Call it before anything opens
    /// descriptors that programs must not get.
    ///
    /// ```
    /// let passed = execution_engine_process::PassedDescriptors::inherited();
    /// # let _ = passed;
    /// ```
    pub fn inherited() -> Self {
        let listing = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
        let Ok(entries) = std::fs::read_dir(listing) else { return Self::new() };
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let last = Self::LAST.cast_signed();
        let passed = numbers.filter(|number| (3..=last).contains(number));
        Self(
            passed
                .filter_map(|number| Some((number, Arc::new(duplicate_passed(number)?))))
                .collect(),
        )
    }

    /// Adds a descriptor, which the child gets under this number. This process keeps it until the
    /// set and its clones are dropped.
    ///
    /// # Errors
    /// [`PassError`] if the number is below 3, above [`LAST`](Self::LAST), or taken.
    pub fn pass(mut self, number: u32, descriptor: impl Into<OwnedFd>) -> Result<Self, PassError> {
        let raw = RawFd::try_from(number).ok();
        let Some(raw) = raw.filter(|_| (3..=Self::LAST).contains(&number)) else {
            return Err(PassError::Number(number));
        };
        if self.0.contains_key(&raw) {
            return Err(PassError::Taken(number));
        }
        self.0.insert(raw, Arc::new(descriptor.into()));
        Ok(self)
    }

    /// Returns `true` if no descriptor is passed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the descriptors and their numbers, lowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RawFd, &OwnedFd)> {
        self.0.iter().map(|(number, descriptor)| (*number, &**descriptor))
    }
}

/// Duplicates a descriptor that is open and not close-on-exec.
fn duplicate_passed(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: it is used for these two calls alone. If the number is not open, or is closed between
    // them, they fail; what is opened under it meanwhile is close-on-exec or meant for programs.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(descriptor).ok()?;
    let is_passed = !flags.contains(FdFlags::CLOEXEC);
    is_passed.then(|| fcntl_dupfd_cloexec(descriptor, 3).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn numbers_that_cannot_be_given_are_refused() {
        let file = || File::open("/dev/null").unwrap();
        for number in [0, 1, 2, PassedDescriptors::LAST + 1, u32::MAX] {
            let refused = PassedDescriptors::new().pass(number, file()).unwrap_err();
            assert_eq!(refused, PassError::Number(number));
        }
        let twice = PassedDescriptors::new().pass(7, file()).and_then(|set| set.pass(7, file()));
        assert_eq!(twice.unwrap_err(), PassError::Taken(7));
        let last = PassedDescriptors::new().pass(PassedDescriptors::LAST, file()).unwrap();
        assert_eq!(last.iter().map(|(number, _)| number).collect::<Vec<_>>(), [255]);
    }
}
