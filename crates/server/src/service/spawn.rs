//! How a keeper is started. These functions block.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use execution_engine_keeper::{KeeperCommand, KeeperInfo, spawn};

use super::KeeperProgram;
use super::errors::internal;
use crate::config::Durability;
use crate::error::ServiceError;

/// Starts a keeper in a new directory and waits until it is ready. It goes on without this process.
///
/// # Errors
/// It did not become ready.
pub(crate) fn keeper(
    program: &KeeperProgram,
    dir: &Path,
    durability: Durability,
) -> Result<KeeperInfo, ServiceError> {
    let mut args: Vec<OsString> = program.args.iter().map(OsString::from).collect();
    args.extend(["--dir".into(), dir.as_os_str().to_os_string()]);
    if durability == Durability::Power {
        args.extend(["--durability".into(), "power".into()]);
    }
    let command = KeeperCommand {
        program: program.program.clone(),
        args,
        env: Vec::new(),
        dir: dir.to_path_buf(),
    };
    drop(spawn(&command).map_err(internal)?);
    let gone = || internal(format!("the keeper in {} ended at once", dir.display()));
    KeeperInfo::read(dir).map_err(internal)?.ok_or_else(gone)
}

/// Returns the id of the current boot of the system, where it has one.
pub(crate) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_string())
}
