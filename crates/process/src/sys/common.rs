//! Small helpers that all backends use.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::SpawnError;
use crate::error::SpawnStage;

/// Value that the children of one containment share. It is made with the first of them.
#[derive(Debug)]
pub(super) struct Shared<T>(Mutex<Option<Arc<T>>>);

impl<T> Shared<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn get_or_make(&self, make: fn() -> io::Result<T>) -> io::Result<Arc<T>> {
        let mut slot = self.lock();
        if let Some(value) = &*slot {
            return Ok(Arc::clone(value));
        }
        let made = Arc::new(make()?);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Drops a value that has become useless, unless another thread has replaced it already.
    #[cfg(all(target_os = "linux", not(execution_engine_portable)))]
    pub(super) fn forget(&self, useless: &Arc<T>) {
        let mut slot = self.lock();
        if slot.as_ref().is_some_and(|value| Arc::ptr_eq(value, useless)) {
            *slot = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts a string for the kernel, for which a NUL byte in the middle would end it.
pub(super) fn c_string(text: impl AsRef<OsStr>) -> Result<CString, SpawnError> {
    CString::new(text.as_ref().as_bytes())
        .map_err(|_| SpawnError::new(SpawnStage::Input, io::ErrorKind::InvalidInput))
}
