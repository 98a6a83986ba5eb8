use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;

/// Returns a name for the build of the executable of this process: its version, and a hash of size, time and inode of
/// its file.
///
/// A service and a keeper that were started from the same file have the same. Ask it early: an upgrade replaces the
/// file.
///
/// ```
/// assert_eq!(execution_engine_keeper::build_id(), execution_engine_keeper::build_id());
/// ```
#[must_use]
pub fn build_id() -> String {
    let mut hasher = DefaultHasher::new();
    let file = std::fs::metadata("/proc/self/exe")
        .or_else(|_| std::env::current_exe().and_then(std::fs::metadata));
    if let Ok(file) = file {
        (file.len(), file.mtime(), file.mtime_nsec(), file.ino()).hash(&mut hasher);
    }
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}
