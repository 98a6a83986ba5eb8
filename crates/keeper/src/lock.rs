use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::KeeperError;

/// Name of the file in the directory of a keeper.
const NAME: &str = "lock";

/// What a lock says about its keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockContent {
    pub(crate) pid: u32,
    pub(crate) since: DateTime<Utc>,
    pub(crate) build: String,
    #[serde(default)]
    pub(crate) boot_id: Option<String>,
    pub(crate) protocol: u32,
}

impl LockContent {
    /// Returns that of a lock that says nothing.
    fn unknown() -> Self {
        let (since, build) = (DateTime::UNIX_EPOCH, String::new());
        Self { pid: 0, since, build, boot_id: None, protocol: 0 }
    }
}

/// A keeper, as its lock tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeeperInfo {
    /// Its directory.
    pub dir: PathBuf,
    /// Its process id, 0 if a loss of power has taken the text of its lock. Never send a signal to it: it may belong to
    /// another process by now.
    pub pid: u32,
    /// When it was started.
    pub since: DateTime<Utc>,
    /// Its build, see [`build_id`](crate::build_id); empty if it is not known.
    pub build: String,
    /// The boot of the system that it was started in, where the system tells it.
    pub boot_id: Option<String>,
    /// The newest version of the protocol that it speaks.
    pub protocol: u32,
    /// Whether it lives, that is: holds its lock.
    pub alive: bool,
}

impl KeeperInfo {
    /// Reads the lock in the directory of a keeper. `None` if there is none: a keeper that starts has not made it yet.
    ///
    /// A lock that no process holds may have lost its text with the power: its keeper is a dead one.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Io`] if the lock cannot be read, or is held and does not have the form of one.
    pub fn read(dir: &Path) -> Result<Option<Self>, KeeperError> {
        let path = dir.join(NAME);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeeperError::io("open", &path)(error)),
        };
        let alive = is_held(&file).map_err(KeeperError::io("look at the lock", &path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(KeeperError::io("read", &path))?;
        let content = match serde_json::from_slice(&text) {
            Ok(content) => content,
            Err(_torn) if !alive => LockContent::unknown(),
            Err(error) => return Err(KeeperError::io("read", &path)(error.into())),
        };
        let LockContent { pid, since, build, boot_id, protocol } = content;
        Ok(Some(Self { dir: dir.to_path_buf(), pid, since, build, boot_id, protocol, alive }))
    }
}

/// The lock of this process, held until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct HeldLock {
    file: File,
}

impl HeldLock {
    /// Takes the lock of a directory that no keeper has used.
    ///
    /// The file appears under its name when it is locked and has its content, so that no process takes a keeper that
    /// starts for a dead one.
    pub(crate) fn take(dir: &Path, content: &LockContent) -> Result<Self, KeeperError> {
        let path = dir.join(NAME);
        let new = dir.join(format!("{NAME}.{}", content.pid));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&new).map_err(KeeperError::io("create", &new))?;
        let placed = Self::place(&mut file, content, &new, &path);
        let removed = fs::remove_file(&new).map_err(KeeperError::io("remove", &new));
        match placed {
            Ok(()) => removed.map(|()| Self { file }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(match KeeperInfo::read(dir)? {
                    Some(info) if info.alive => KeeperError::AlreadyRunning(dir.to_path_buf()),
                    _ => KeeperError::UsedBefore(dir.to_path_buf()),
                })
            }
            Err(error) => Err(KeeperError::io("write the lock", &path)(error)),
        }
    }

    /// Returns `true` if the file was removed: no service finds this keeper any more.
    pub(crate) fn has_no_name(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    fn place(file: &mut File, content: &LockContent, new: &Path, path: &Path) -> io::Result<()> {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.try_lock().map_err(io::Error::from)?;
        let mut text = serde_json::to_vec(content)?;
        text.push(b'\n');
        file.write_all(&text)?;
        // A loss of power leaves the name without the text otherwise.
        file.sync_all()?;
        fs::hard_link(new, path)
    }
}

/// Takes the lock of a dead keeper; `None` if the keeper lives or another process looks at it.
pub(crate) fn take_dead(dir: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).open(dir.join(NAME))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns `true` if a process holds the exclusive lock. A shared one is tried, so that two that look at a dead keeper
/// do not take each other for it.
fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => {
            file.unlock()?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns the id of the current boot, where the system has one.
pub(crate) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> LockContent {
        let since = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        LockContent { pid: 42, since, build: "b".into(), boot_id: boot_id(), protocol: 1 }
    }

    #[test]
    fn keeper_lives_as_long_as_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(KeeperInfo::read(dir.path()).unwrap(), None);
        let held = HeldLock::take(dir.path(), &content()).unwrap();
        let info = KeeperInfo::read(dir.path()).unwrap().unwrap();
        assert!(info.alive && info.pid == 42 && info.since == content().since);
        assert!(take_dead(dir.path()).unwrap().is_none());
        let error = HeldLock::take(dir.path(), &content()).unwrap_err();
        assert!(matches!(error, KeeperError::AlreadyRunning(_)), "{error}");

        drop(held);
        assert!(!KeeperInfo::read(dir.path()).unwrap().unwrap().alive);
        let error = HeldLock::take(dir.path(), &content()).unwrap_err();
        assert!(matches!(error, KeeperError::UsedBefore(_)), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the lock is left");
        assert!(take_dead(dir.path()).unwrap().is_some());
    }

    #[test]
    fn lock_without_its_text_is_that_of_a_dead_keeper() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        for torn in [&b""[..], b"{\"pid\": 4", &[0; 100], &[0xff; 100]] {
            fs::write(&path, torn).unwrap();
            let info = KeeperInfo::read(dir.path()).unwrap().unwrap();
            assert_eq!((info.alive, info.pid, info.boot_id), (false, 0, None));
            let held = File::open(&path).unwrap();
            held.try_lock().unwrap();
            KeeperInfo::read(dir.path()).unwrap_err();
        }
        assert!(take_dead(dir.path()).unwrap().is_some());
    }

    #[test]
    fn those_who_look_at_a_dead_keeper_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        drop(HeldLock::take(dir.path(), &content()).unwrap());
        let look = || {
            for _ in 0..2000 {
                assert!(!KeeperInfo::read(dir.path()).unwrap().unwrap().alive);
            }
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..3).map(|_| scope.spawn(look)).collect();
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }
}
