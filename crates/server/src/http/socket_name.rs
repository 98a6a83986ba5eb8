//! The name of the socket, which others may remove: a session that ends, or whoever tidies up.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use execution_engine_keeper::socket;
use tokio::net::UnixListener;

use crate::state_dir::StateDir;

/// The name of the socket that a service listens on.
#[derive(Debug)]
pub(super) struct SocketName {
    state_dir: StateDir,
    /// Device and inode of the socket.
    file: (u64, u64),
    /// Why it could not be made again.
    failure: Option<String>,
}

impl SocketName {
    /// Returns that of the state directory. None if there is no such socket.
    pub(super) fn of(state_dir: &StateDir) -> Option<Self> {
        let file = file_of(state_dir.socket()).ok()?;
        Some(Self { state_dir: state_dir.clone(), file, failure: None })
    }

    /// Makes the socket again if the name no longer leads to it. Returns the new one.
    pub(super) async fn renewed(&mut self) -> Option<UnixListener> {
        let path = self.state_dir.socket();
        if file_of(path).is_ok_and(|file| file == self.file) {
            return None;
        }
        let made = make(&self.state_dir).await;
        match made.and_then(|listener| Ok((listener, file_of(self.state_dir.socket())?))) {
            Ok((listener, file)) => {
                tracing::warn!(socket = %self.state_dir.socket().display(), "the socket was gone, and is made again");
                (self.file, self.failure) = (file, None);
                Some(listener)
            }
            Err(error) => {
                let error = error.to_string();
                if self.failure.as_ref() != Some(&error) {
                    tracing::warn!(error, "the socket is gone and cannot be made again; trying on");
                }
                self.failure = Some(error);
                None
            }
        }
    }
}

/// Makes the socket where there is none that somebody listens on.
async fn make(state_dir: &StateDir) -> io::Result<UnixListener> {
    let path = state_dir.socket();
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
            state_dir.create_socket_dir().map_err(io::Error::other)?;
        }
        Err(error) => return Err(error),
    }
    UnixListener::from_std(socket::bind(path)?)
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
