//! Unix sockets whose path may be longer than an address has room for.
//!
//! An address has room for about 100 bytes of path. On Linux a longer one is reached through `/proc/self/fd`, by the
//! descriptor of its directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

/// Binds a socket that its owner alone can connect to, and listens.
///
/// The listener is non-blocking. Until its mode is set, which follows at once, the mode is what the umask says, so let
/// its directory be private.
///
/// # Errors
///
/// The error of the system: [`io::ErrorKind::AddrInUse`] if there is such a file, whether or not a process listens.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let address = Address::of(path)?;
    let listener = UnixListener::bind(address.path())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to a socket.
///
/// # Errors
///
/// The error of the system.
///
/// # Cancel safety
///
/// A dropped future leaves nothing behind.
pub async fn connect(path: &Path) -> io::Result<tokio::net::UnixStream> {
    let address = Address::of(path)?;
    tokio::net::UnixStream::connect(address.path()).await
}

/// A path that an address has room for.
struct Address {
    path: PathBuf,
    /// Open as long as the path is used.
    _dir: Option<std::os::fd::OwnedFd>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        match SocketAddr::from_pathname(path) {
            Ok(_fits) => Ok(Self { path: path.to_path_buf(), _dir: None }),
            Err(error) => Self::through_directory(path, error),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(target_os = "linux")]
    fn through_directory(path: &Path, error: io::Error) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        use std::os::fd::AsRawFd as _;

        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Err(error) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        let mut short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        short.push(name);
        Ok(Self { path: short, _dir: Some(dir) })
    }

    #[cfg(not(target_os = "linux"))]
    fn through_directory(path: &Path, error: io::Error) -> io::Result<Self> {
        let text = format!(
            "the path of the socket {} is too long ({error}); choose a shorter state directory (EXENG_STATE_DIR)",
            path.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Binds, connects and sends a byte.
    async fn exchange(path: &Path) {
        let listener = bind(path).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        let mut client = connect(path).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn sockets_work_whatever_the_length_of_their_path() {
        let dir = tempfile::tempdir().unwrap();
        exchange(&dir.path().join("sock")).await;
        #[cfg(target_os = "linux")]
        {
            let long = dir.path().join("a".repeat(200)).join("b".repeat(200));
            fs::create_dir_all(&long).unwrap();
            exchange(&long.join("sock")).await;
            // The length at which an address has no more room, and those beside it.
            for length in 100..112 {
                let missing = length - dir.path().as_os_str().len() - 2;
                let inner = dir.path().join("c".repeat(missing - 4));
                fs::create_dir(&inner).unwrap();
                exchange(&inner.join("sock")).await;
            }
        }
    }

    #[tokio::test]
    async fn taken_and_missing_sockets_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let _listener = bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let missing = connect(&dir.path().join("x".repeat(200)).join("sock")).await;
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
