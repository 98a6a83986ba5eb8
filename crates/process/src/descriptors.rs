//! How many descriptors this process has, and how many it may have.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Directory with an entry for each descriptor of this process.
const OPEN: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Descriptors of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Number that is open.
    pub in_use: u64,
    /// The limit of open files. `u64::MAX` is none.
    pub limit: u64,
}

/// Number of children of this process, which have descriptors here.
static LIVE_CHILDREN: AtomicU64 = AtomicU64::new(0);

/// Counts a child while it exists.
#[derive(Debug)]
pub(crate) struct LiveChild(());

impl LiveChild {
    pub(crate) fn new() -> Self {
        LIVE_CHILDREN.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for LiveChild {
    fn drop(&mut self) {
        LIVE_CHILDREN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns how many [`Child`](crate::Child)s there are in this process.
pub fn live_children() -> u64 {
    LIVE_CHILDREN.load(Ordering::Relaxed)
}

/// Lets no program that this process executes from now on inherit a descriptor that is open now, but
/// for the standard three. Call it before a program is started by other means than this crate, which
/// closes them in any case: a lock or the end of a pipe that a shell has left open here would be held
/// by that program, too.
///
/// # Errors
/// The error of the system, if it does not list the descriptors.
///
/// ```
/// execution_engine_process::close_descriptors_on_exec()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn close_descriptors_on_exec() -> std::io::Result<()> {
    let entries = std::fs::read_dir(OPEN)?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // All of them first: the one of the listing is closed before the others are looked at.
    let numbers: Vec<libc::c_int> =
        numbers.filter(|number| *number > libc::STDERR_FILENO).collect();
    for number in numbers {
        // SAFETY: calls with numbers. They change no more than a flag that all descriptors which Rust
        // opens have anyway, and fail for one that is closed meanwhile.
        unsafe {
            let flags = libc::fcntl(number, libc::F_GETFD);
            if flags >= 0 {
                libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC);
            }
        }
    }
    Ok(())
}

/// Returns how many descriptors this process has; `None` where the system does not tell.
pub fn open_files() -> Option<OpenFiles> {
    let limit = limit()?;
    let dir = Path::new(OPEN);
    // Since Linux 6.2 the size of the directory is their number.
    let size = if cfg!(target_os = "linux") { std::fs::metadata(dir).ok()?.len() } else { 0 };
    if size > 0 {
        return Some(OpenFiles { in_use: size, limit });
    }
    let in_use = match std::fs::read_dir(dir) {
        // One of them is that of the directory.
        Ok(entries) => (entries.count() as u64).saturating_sub(1),
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => limit,
        Err(_) => return None,
    };
    Some(OpenFiles { in_use, limit })
}

/// Returns the limit of open files; `None` if the system refuses to tell it.
pub(crate) fn limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the system fills the structure.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    #[expect(clippy::unnecessary_cast, reason = "the type differs between systems")]
    (told == 0).then_some(limit.rlim_cur as u64)
}
