//! How a keeper is started. These functions block.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use execution_engine_keeper::{KeeperCommand, KeeperInfo, KeeperProcess, spawn};

use super::errors::internal;
use super::{KeeperProgram, ServiceManager};
use crate::config::Durability;
use crate::error::ServiceError;

/// The running program, whatever became of its file.
const ITSELF: &str = "/proc/self/exe";

/// Starts keepers.
#[derive(Debug, Clone)]
pub(crate) struct Starter {
    program: KeeperProgram,
    /// The program is that of this process.
    is_itself: bool,
}

impl Starter {
    pub(crate) fn new(program: KeeperProgram) -> Self {
        let is_itself = is_same(&program.program, Path::new(ITSELF));
        Self { program, is_itself }
    }

    /// Starts a keeper in a new directory and waits until it is ready. It goes on without this process. If the file of
    /// the program was moved, replaced or removed since this process is there, this one is started.
    ///
    /// # Errors
    /// It did not become ready.
    pub(crate) fn start(
        &self,
        dir: &Path,
        durability: Durability,
    ) -> Result<KeeperInfo, ServiceError> {
        let program = &self.program.program;
        match self.start_program(program, dir, durability) {
            Err(error) if self.is_itself && !is_same(program, Path::new(ITSELF)) => {
                tracing::debug!(%error, "the file of this program is another one");
                // Not by the name that has another meaning in the program of a scope.
                let itself = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
                self.start_program(&itself, dir, durability)
            }
            started => started,
        }
    }

    fn start_program(
        &self,
        program: &Path,
        dir: &Path,
        durability: Durability,
    ) -> Result<KeeperInfo, ServiceError> {
        let command = self.command(program, dir, durability);
        if let Some(manager) = self.program.scope {
            match spawn(&in_scope(command.clone(), manager)) {
                Ok(keeper) => return info(dir, keeper),
                Err(error) => tracing::warn!(%error, "systemd starts no keeper in a scope"),
            }
        }
        info(dir, spawn(&command).map_err(internal)?)
    }

    fn command(&self, program: &Path, dir: &Path, durability: Durability) -> KeeperCommand {
        let mut args: Vec<OsString> = self.program.args.iter().map(OsString::from).collect();
        args.extend(["--dir".into(), dir.as_os_str().to_os_string()]);
        if durability == Durability::Power {
            args.extend(["--durability".into(), "power".into()]);
        }
        let (program, dir) = (program.to_path_buf(), dir.to_path_buf());
        KeeperCommand { program, args, env: Vec::new(), dir }
    }
}

/// Lets a keeper be started by systemd-run, which makes the scope, enters it, and executes the keeper.
fn in_scope(keeper: KeeperCommand, manager: ServiceManager) -> KeeperCommand {
    let name = keeper.dir.file_name().unwrap_or_default().to_string_lossy();
    let scope = format!("exeng-keeper-{name}.scope");
    let mut args = match manager {
        ServiceManager::User => vec!["--user".into()],
        ServiceManager::System => Vec::new(),
    };
    // It is forgotten when it has ended, however that was.
    args.extend(["--scope", "--quiet", "--collect"].map(OsString::from));
    args.extend([format!("--unit={scope}").into(), "--property=Delegate=yes".into(), "--".into()]);
    args.push(keeper.program.into());
    args.extend(keeper.args);
    args.extend(["--delegated".into(), scope.into()]);
    // Where the manager is found.
    let env = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
    let env = env.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    KeeperCommand { program: "systemd-run".into(), args, env: env.collect(), dir: keeper.dir }
}

/// Returns what a keeper that was started says of itself, and lets it go on without this process.
fn info(dir: &Path, started: KeeperProcess) -> Result<KeeperInfo, ServiceError> {
    drop(started);
    let gone = || internal(format!("the keeper in {} ended at once", dir.display()));
    KeeperInfo::read(dir).map_err(internal)?.ok_or_else(gone)
}

/// Returns `true` if two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    of(one).is_some_and(|one| Some(one) == of(other))
}

/// Returns the id of the current boot of the system, where it has one.
pub(crate) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_string())
}
