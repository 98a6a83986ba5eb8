use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::KeeperError;
use crate::lock::{self, KeeperInfo};

/// Returns the path of a journal in the directory of a keeper.
///
/// ```
/// use execution_engine_keeper::journal_path;
/// use uuid::Uuid;
///
/// let path = journal_path("/state/keepers/01ab23cd".as_ref(), Uuid::nil());
/// assert!(path.ends_with("journals/00000000-0000-0000-0000-000000000000"));
/// ```
#[must_use]
pub fn journal_path(dir: &Path, id: Uuid) -> PathBuf {
    journals(dir).join(id.to_string())
}

/// Returns the directory of the journals.
pub(crate) fn journals(dir: &Path) -> PathBuf {
    dir.join("journals")
}

/// Returns the path of the socket.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join("sock")
}

/// Returns the path of the log.
pub(crate) fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Finds the keepers of a state directory, dead ones included, the oldest first.
///
/// Reads their locks and nothing else. A keeper that is starting and has no lock yet is left out.
///
/// # Errors
///
/// [`KeeperError::Io`] if a directory or a lock cannot be read. A state directory without keepers is none.
pub fn keepers(state_dir: &Path) -> Result<Vec<KeeperInfo>, KeeperError> {
    let dir = state_dir.join("keepers");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(KeeperError::io("read", &dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(KeeperError::io("read", &dir))?;
        // What is no directory of a keeper is left alone.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(KeeperInfo::read(&entry.path())?);
        }
    }
    found.sort_by(|one, other| (one.since, &one.dir).cmp(&(other.since, &other.dir)));
    Ok(found)
}

/// Removes the directory of a dead keeper with all that is in it. A directory that is gone is no error.
///
/// # Errors
///
/// [`KeeperError::AlreadyRunning`] if the keeper lives, [`KeeperError::Io`] if the system refuses.
pub fn remove_dead(dir: &Path) -> Result<(), KeeperError> {
    let removing = |error| KeeperError::io("remove", dir)(error);
    // Held until all is removed, so that no process begins to use what is half gone.
    let _held = match lock::take_dead(dir) {
        Ok(Some(held)) => Some(held),
        Ok(None) => return Err(KeeperError::AlreadyRunning(dir.to_path_buf())),
        // It never got so far as to have a lock.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(removing(error)),
    };
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(removing(error)),
        _ => Ok(()),
    }
}

/// Creates the directory of a keeper and of its journals, for its owner alone.
pub(crate) fn create(dir: &Path) -> Result<(), KeeperError> {
    for dir in [dir, &journals(dir)] {
        create_private(dir).map_err(KeeperError::io("create the directory", dir))?;
    }
    Ok(())
}

fn create_private(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        let text = "it belongs to another user; remove it, or use another state directory";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_private_whatever_was_there() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("one");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        create(&dir).unwrap();
        for dir in [&dir, &journals(&dir)] {
            assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700);
        }
        let file = state.path().join("file");
        fs::write(&file, "").unwrap();
        let error = create(&file).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
        let link = state.path().join("link");
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        create(&link).unwrap_err();
    }

    #[test]
    fn state_without_keepers_has_none() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(keepers(state.path()).unwrap(), []);
        let dir = state.path().join("keepers/01234567");
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(keepers(state.path()).unwrap(), [], "it has no lock yet");
        remove_dead(&dir).unwrap();
        assert!(!dir.exists());
        remove_dead(&dir).unwrap();
    }
}
