//! The name of the socket, which others may remove: a session that ends, or a user who tidies up.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use execution_engine_keeper::socket;
use tokio::net::UnixListener;

use crate::service::Service;

/// The name of the socket that a service listens on: the one of its state directory or, while the directory of that
/// one is gone, the spare one.
pub(super) struct SocketName {
    service: Service,
    path: PathBuf,
    /// Device and inode of the socket.
    file: (u64, u64),
    /// Why it could not be made again.
    failure: Option<String>,
}

impl SocketName {
    /// Returns that of the state directory. None if there is no such socket.
    pub(super) fn of(service: &Service) -> Option<Self> {
        let path = service.state_dir().socket().to_path_buf();
        let file = file_of(&path).ok()?;
        Some(Self { service: service.clone(), path, file, failure: None })
    }

    /// Makes the socket again if the name no longer leads to it, or if it is the spare one and the own one can be
    /// made. Returns the new one.
    pub(super) async fn renewed(&mut self) -> Option<UnixListener> {
        let own = self.service.state_dir().socket().to_path_buf();
        let is_there = self.is_there();
        if is_there && self.path == own {
            return None;
        }
        let mut why = match self.make(&own).await {
            Ok(listener) => return Some(listener),
            Err(_) if is_there => return None,
            Err(error) => error.to_string(),
        };
        let spare = self.service.state_dir().spare_socket();
        if spare != own {
            match self.make(&spare).await {
                Ok(listener) => return Some(listener),
                Err(error) => why = format!("{why}; {error}"),
            }
        }
        // Once for each reason.
        if self.failure.as_ref() != Some(&why) {
            tracing::warn!(error = why, "the socket is gone and cannot be made again; trying on");
        }
        self.failure = Some(why);
        None
    }

    /// Makes a socket and listens there in place of the present one.
    async fn make(&mut self, path: &Path) -> io::Result<UnixListener> {
        let listener = self.bind(path).await?;
        let file = file_of(path)?;
        if self.is_there() {
            tracing::info!(socket = %path.display(), "the socket is in its place again");
        } else {
            tracing::warn!(socket = %path.display(), "the socket was gone, and is made again");
        }
        self.service.listens_on(path);
        self.remove();
        (self.path, self.file, self.failure) = (path.to_path_buf(), file, None);
        Ok(listener)
    }

    /// Makes a socket where there is none that a process listens on.
    async fn bind(&self, path: &Path) -> io::Result<UnixListener> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                let text = format!("a file is in its place: {}", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Ok(_) if socket::connect(path).await.is_ok() => {
                let text = format!("another service listens on {}", path.display());
                return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
            }
            Ok(_) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let state_dir = self.service.state_dir();
                if path == state_dir.socket() {
                    state_dir.create_socket_dir().map_err(io::Error::other)?;
                }
            }
            Err(error) => return Err(error),
        }
        UnixListener::from_std(socket::bind(path)?)
    }

    fn is_there(&self) -> bool {
        file_of(&self.path).is_ok_and(|file| file == self.file)
    }

    /// Removes the present socket, unless its name leads to one that another process has made. As long as something
    /// listens on a socket, no other file has its inode.
    fn remove(&self) {
        if self.is_there() {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        self.remove();
    }
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
