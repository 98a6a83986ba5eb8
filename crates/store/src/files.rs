//! Files beside the database: compressed output, and journals that the store removes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::key::open_private;
use crate::workers::Workers;
use crate::writer::{LazyWrite, Message};

/// Room that there has to be before the store tries to write again.
const PROBE_BYTES: usize = 1 << 20;

/// Files in the directory of a store.
pub(crate) struct Files {
    dir: PathBuf,
    worker: Workers<()>,
    writer: Sender<Message>,
}

impl Files {
    pub(crate) fn new(dir: PathBuf, writer: Sender<Message>) -> Result<Self> {
        Ok(Self { dir, worker: Workers::start("exeng-store-files", vec![()])?, writer })
    }

    /// Returns a new path for an archive of an execution, relative to the directory. No file ever had it: one of an
    /// earlier execution with the same id may be about to be removed.
    pub(crate) fn new_archive_path(id: Uuid) -> String {
        let (name, nonce) = (id.simple().to_string(), Uuid::new_v4().simple().to_string());
        format!("outputs/{}/{id}.{}.zst", &name[..2], &nonce[..8])
    }

    /// Returns the directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns where a stored path is.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// Returns how a path is stored: relative, if it is below the directory, which may be moved.
    pub(crate) fn stored(&self, path: &Path) -> Result<String> {
        let short = path.strip_prefix(&self.dir).unwrap_or(path);
        short.to_str().map(str::to_string).ok_or_else(|| StoreError::Query {
            field: "path",
            what: format!("{} is not UTF-8", path.display()),
        })
    }

    /// Does something with files on a thread of its own.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<()> {
        self.worker.run(move |()| task())
    }

    /// Removes files that are in `unowned_files`, and then from there.
    pub(crate) fn remove(&self, paths: Vec<String>) {
        let (dir, writer) = (self.dir.clone(), self.writer.clone());
        let task = move || {
            let is_gone = |path: &String| {
                let removed = fs::remove_file(dir.join(path));
                let gone = match &removed {
                    Ok(()) => true,
                    Err(error) => error.kind() == io::ErrorKind::NotFound,
                };
                if let (false, Err(error)) = (gone, removed) {
                    tracing::warn!(%error, path, "a file of output could not be removed");
                }
                gone
            };
            let paths: Vec<String> = paths.into_iter().filter(is_gone).collect();
            if !paths.is_empty() {
                // After a close the table still has them, and the next opening removes them.
                let _ = writer.send(Message::Lazy(LazyWrite::Removed { paths }));
            }
        };
        let _ = self.run(task);
    }

    /// Tries whether there is room to write.
    pub(crate) fn probe(&self) -> Result<()> {
        let path = self.dir.join("probe");
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            let mut file = open_private(&path, &mut options)?;
            file.write_all(&vec![0x5a; PROBE_BYTES])?;
            file.sync_all()
        };
        let written = write();
        let removed = fs::remove_file(&path);
        written.and(removed).map_err(StoreError::io("cannot write", &path))
    }

    pub(crate) fn close(&self) {
        self.worker.close();
    }
}

/// Creates a directory that only its owner can look into, whatever the umask. One that is there is left as it is.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // A path of one part is in the working directory, which has the empty path here.
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        private_dir(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = match builder.create(path) {
        // Another thread was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        made => made,
    };
    // A umask may have taken the owner's own rights.
    #[cfg(unix)]
    let made = made.and_then(|()| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
    });
    made.map_err(StoreError::io("cannot create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_in_the_working_directory_needs_no_other_path() {
        let free = tempfile::tempdir_in(".").unwrap().path().file_name().unwrap().to_owned();
        private_dir(Path::new(&free)).unwrap();
        fs::remove_dir(&free).unwrap();
    }
}
