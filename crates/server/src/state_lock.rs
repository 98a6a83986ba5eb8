//! The lock of a state directory, and who holds it.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, ServiceError};
use crate::state_dir::{Role, StateDir};

/// How often, and with which pause, a lock is tried that is held.
const LOCK_ATTEMPTS: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Most bytes of the text about a holder that are read.
const LONGEST_HOLDER: usize = 8192;

impl StateDir {
    /// Takes the lock of the state directory. It is held until the value is dropped or the process
    /// ends, however that happens, so a file that is left over is no obstacle. Blocks for half a second
    /// if a process holds it.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyRunning`] with the process id of the holder; [`ErrorCode::StateDir`] if
    /// the file cannot be made.
    pub fn lock(&self) -> Result<StateLock, ServiceError> {
        let path = self.path().join("lock");
        let failed = |error: &io::Error| Role::State.unusable(&path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match take(&file) {
            Ok(true) => {}
            Ok(false) => return Err(self.already_running(&mut file)),
            Err(error) => return Err(failed(&error)),
        }
        // The umask may have taken bits away, and no other user is to look at it in any case.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| failed(&error))?;
        let socket = self.socket().to_str().map(PathBuf::from);
        let holder = LockHolder { pid: std::process::id(), since: Utc::now(), socket };
        // Only after the lock is held: a reader must find the holder, never a loser's text. The text
        // helps people; a disk without room for it is no reason to refuse.
        if let Err(error) = write_holder(&mut file, &holder) {
            tracing::warn!(%error, path = %path.display(), "the holder could not be written");
        }
        Ok(StateLock { file, holder })
    }

    /// Returns which process holds the lock, if one does. Starts and changes nothing.
    pub fn holder(&self) -> Option<LockHolder> {
        let mut file = File::open(self.path().join("lock")).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_holder(&mut file),
            _ => None,
        }
    }

    fn already_running(&self, file: &mut File) -> ServiceError {
        let who =
            read_holder(file).map_or("".to_string(), |holder| format!(" (process {})", holder.pid));
        let dir = self.path().display();
        let text = format!("another service{who} runs on the state directory {dir}");
        ServiceError::new(ErrorCode::AlreadyRunning, text)
            .fix("use that one, end it first, or set EXENG_STATE_DIR to another directory")
    }
}

/// Who holds the lock of a state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockHolder {
    /// Process id.
    pub pid: u32,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Where it listens; None for a path that is not UTF-8, and for services before this was noted.
    #[serde(default)]
    pub socket: Option<PathBuf>,
}

/// Lock of a state directory, held as long as this lives.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    holder: LockHolder,
}

impl StateLock {
    /// Returns where the service listens.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.holder.socket.as_deref()
    }

    /// Notes where the service listens now, for those who look for it.
    pub(crate) fn listens_on(&mut self, socket: &Path) {
        self.holder.socket = socket.to_str().map(PathBuf::from);
        if let Err(error) = write_holder(&mut self.file, &self.holder) {
            tracing::warn!(%error, "where the service listens could not be written");
        }
    }
}

/// Takes a lock. Returns `false` if a process holds it, and does not let go of it for a moment: a service
/// that was killed while it started a keeper holds it until that child executes its program.
fn take(file: &File) -> io::Result<bool> {
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::park_timeout(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

pub(crate) fn read_holder(file: &mut File) -> Option<LockHolder> {
    let mut text = String::new();
    file.take(LONGEST_HOLDER as u64).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &LockHolder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder)?;
    // Never shorter: a reader meanwhile finds the old one or the new one, and no end of another.
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default().min(LONGEST_HOLDER);
    text.resize(text.len().max(length), b' ');
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)
}
