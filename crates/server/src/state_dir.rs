//! Where state, socket and configuration are, and how the state directory is made.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{ErrorCode, ServiceError};
use crate::state_lock::read_holder;

/// Variable with the directory of the session's sockets. It goes with the last session of the user.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Name of the socket in its directory.
const SOCKET: &str = "exeng.sock";

/// Paths that a command line names; what is not named follows from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathOptions {
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
}

/// The places of one service: its state directory, its socket and its configuration.
///
/// Each is, in this order, what the command line names, what `EXENG_STATE_DIR`, `EXENG_SOCKET` or
/// `EXENG_CONFIG` names, and the place that the XDG directories give. A state directory that is named
/// has socket (`exeng.sock`) and configuration (`config.toml`) in it, so that it alone makes a service
/// of its own.
///
/// ```
/// use std::ffi::OsString;
/// use std::path::Path;
/// use execution_engine_server::{PathOptions, StateDir};
///
/// let of = |name: &str| (name == "EXENG_STATE_DIR").then(|| OsString::from("/srv/exeng"));
/// let dir = StateDir::resolve(&PathOptions::default(), of).unwrap();
/// assert_eq!(dir.path(), Path::new("/srv/exeng"));
/// assert_eq!(dir.socket(), Path::new("/srv/exeng/exeng.sock"));
///
/// let of = |name: &str| (name == "HOME").then(|| OsString::from("/home/alice"));
/// let dir = StateDir::resolve(&PathOptions::default(), of).unwrap();
/// assert_eq!(dir.path(), Path::new("/home/alice/.local/state/exeng"));
/// assert_eq!(dir.config(), Path::new("/home/alice/.config/exeng/config.toml"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
    socket: PathBuf,
    config: PathBuf,
    /// The user has named neither socket nor state directory, so the service is found wherever it listens.
    is_anywhere: bool,
}

impl StateDir {
    /// Finds the places from a command line and the environment of this process. An `XDG_RUNTIME_DIR` that does
    /// not exist, as after the end of the session that it belongs to, is none.
    ///
    /// # Errors
    /// [`ErrorCode::StateDir`] if nothing says where the state is.
    pub fn from_env(options: &PathOptions) -> Result<Self, ServiceError> {
        Self::resolve(options, |name| {
            let value = env::var_os(name)?;
            (name != RUNTIME_DIR || Path::new(&value).is_dir()).then_some(value)
        })
    }

    /// Finds the places from a command line and an environment. An empty variable is none, and a
    /// relative path in one of the XDG variables is ignored, as their specification wants it.
    ///
    /// # Errors
    /// [`ErrorCode::StateDir`] if nothing says where the state is.
    pub fn resolve(
        options: &PathOptions,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ServiceError> {
        let named = |flag: &Option<PathBuf>, name: &str| {
            let path = flag.clone().or_else(|| path_in(&variable, name));
            path.map(|path| absolute(&path)).transpose()
        };
        let xdg = |name: &str, in_home: &str| {
            let path = path_in(&variable, name).filter(|path| path.is_absolute());
            let home = || path_in(&variable, "HOME").filter(|home| home.is_absolute());
            path.or_else(|| Some(home()?.join(in_home)))
        };
        let own = named(&options.state_dir, "EXENG_STATE_DIR")?;
        let state =
            own.clone().or_else(|| Some(xdg("XDG_STATE_HOME", ".local/state")?.join("exeng")));
        let state = state.ok_or_else(|| {
            ServiceError::new(
                ErrorCode::StateDir,
                "there is no place for the state: HOME is not set",
            )
            .fix("set EXENG_STATE_DIR to a directory of yours")
        })?;
        let runtime = || path_in(&variable, RUNTIME_DIR).filter(|path| path.is_absolute());
        let named_socket = named(&options.socket, "EXENG_SOCKET")?;
        let is_anywhere = named_socket.is_none() && own.is_none();
        let socket = match (named_socket, &own) {
            (Some(socket), _) => socket,
            (None, Some(own)) => own.join(SOCKET),
            (None, None) => {
                runtime().map_or_else(|| state.clone(), |it| it.join("exeng")).join(SOCKET)
            }
        };
        let config = match (named(&options.config, "EXENG_CONFIG")?, &own) {
            (Some(config), _) => config,
            (None, Some(own)) => own.join("config.toml"),
            (None, None) => xdg("XDG_CONFIG_HOME", ".config")
                .map_or_else(|| state.clone(), |it| it.join("exeng"))
                .join("config.toml"),
        };
        Ok(Self { path: state, socket, config, is_anywhere })
    }

    /// Returns the state directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns where the service of this state directory listens, if it runs, and if the user has named neither a
    /// socket nor a state directory: callers with and without an `XDG_RUNTIME_DIR` have the same service.
    pub(crate) fn socket_of_holder(&self) -> Option<PathBuf> {
        self.holder().filter(|_| self.is_anywhere)?.socket
    }

    /// Returns `true` if the service is found wherever it listens.
    pub(crate) fn is_anywhere(&self) -> bool {
        self.is_anywhere
    }

    /// Returns where the service listens when the directory of its socket is gone and cannot be made again.
    pub(crate) fn spare_socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Returns the path of the configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Makes the state directory and the directory of the socket, with mode 0700 whatever the umask
    /// is, unless they are there. A state directory that is there is closed to others if it is empty or
    /// certainly one; no other directory is changed.
    ///
    /// # Errors
    /// [`ErrorCode::StateDir`] if one of them is not a directory, belongs to another user, can be
    /// entered by others, or cannot be written.
    pub fn create(&self) -> Result<(), ServiceError> {
        private_dir(&self.path, Role::State)?;
        self.create_socket_dir()
    }

    /// Makes the directory of the socket, unless it is that of the state.
    pub(crate) fn create_socket_dir(&self) -> Result<(), ServiceError> {
        match self.socket.parent() {
            Some(parent) if parent != self.path => private_dir(parent, Role::Socket),
            _ => Ok(()),
        }
    }
}

fn path_in(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn absolute(path: &Path) -> Result<PathBuf, ServiceError> {
    std::path::absolute(path).map_err(|error| Role::State.unusable(path, &error))
}

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The state.
    State,
    /// The socket, and whatever else is there.
    Socket,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::State => "state directory",
            Self::Socket => "directory of the socket",
        }
    }

    /// Returns how another place is named.
    fn names(self) -> &'static str {
        match self {
            Self::State => "EXENG_STATE_DIR or --state-dir",
            Self::Socket => "EXENG_SOCKET or --socket",
        }
    }

    fn refused(self, path: &Path, why: &str) -> ServiceError {
        let text = format!("the {} {} {why}", self.name(), path.display());
        let fix = match self {
            Self::State => "choose a directory of its own",
            Self::Socket => "choose a place in a directory that only you can enter",
        };
        ServiceError::new(ErrorCode::StateDir, text).fix(format!("{fix} ({})", self.names()))
    }

    pub(crate) fn unusable(self, path: &Path, error: &io::Error) -> ServiceError {
        let other = format!("choose another place ({})", self.names());
        let fix = match error.kind() {
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                format!("make it writable for this user, or {other}")
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "make room on its file system".to_string()
            }
            _ => format!("correct that, or {other}"),
        };
        let text = format!("the {} cannot be used: {}: {error}", self.name(), path.display());
        ServiceError::new(ErrorCode::StateDir, text).fix(fix)
    }
}

/// Makes a directory of mode 0700 with those above it, or checks the one that is there.
fn private_dir(path: &Path, role: Role) -> Result<(), ServiceError> {
    let fail = |error: io::Error| role.unusable(path, &error);
    let is_new = fs::symlink_metadata(path).is_err();
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => {}
        // A file in its place, or in the place of one above it.
        Err(error)
            if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotADirectory) =>
        {
            return Err(role.refused(path, "is not a directory"));
        }
        Err(error) => return Err(fail(error)),
    }
    let found = fs::metadata(path).map_err(fail)?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        let why = format!("belongs to user {}, and this is user {own}", found.uid());
        return Err(role.refused(path, &why));
    }
    if found.mode() & 0o777 != 0o700 {
        // The umask may have taken bits from a new one.
        if is_new || (role == Role::State && is_ours_to_close(path).map_err(fail)?) {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(fail)?;
        } else if found.mode() & 0o077 != 0 {
            let why = format!("can be entered by other users (mode {:04o})", found.mode() & 0o7777);
            return Err(role.refused(path, &why));
        }
    }
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|error| fail(error.into()))
}

/// Returns `true` for a directory that is empty but for settings, or certainly has the state of a
/// service. The mode of any other, such as a home directory or that of a project, is none of our business.
fn is_ours_to_close(path: &Path) -> io::Result<bool> {
    if path.join("exeng.db").is_file() || has_lock(path) {
        return Ok(true);
    }
    // The settings come first where a user makes the directory by hand.
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != "config.toml" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns `true` if a directory has a lock that a service has held.
fn has_lock(path: &Path) -> bool {
    let path = path.join("lock");
    // Opening what is no file could wait for a writer.
    let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
    is_file && File::open(&path).is_ok_and(|mut file| read_holder(&mut file).is_some())
}
