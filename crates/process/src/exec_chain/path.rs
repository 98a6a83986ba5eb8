//! What is wrong with a path that is to be executed or entered.

use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::files;

/// Error number of the system, and the end of a sentence about the path.
pub(super) type PathFault = (c_int, String);

/// Returns what keeps this process from executing a file, but for what the file contains.
pub(super) fn program_fault(path: &Path) -> Option<PathFault> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => return Some(unreachable(path, &error)),
    };
    place_fault(path, &meta).or_else(|| {
        let may_not = files::can_execute(path).is_err();
        may_not.then(|| (libc::EACCES, not_allowed("executed", &meta)))
    })
}

/// Returns what keeps every user from executing a file, whatever its mode.
pub(super) fn place_fault(path: &Path, meta: &fs::Metadata) -> Option<PathFault> {
    let text = if meta.is_dir() {
        "is a directory"
    } else if !meta.is_file() {
        "is not a regular file"
    } else if is_on_noexec_mount(path) {
        "is on a file system that is mounted with noexec"
    } else {
        return None;
    };
    Some((libc::EACCES, text.to_string()))
}

/// Returns what keeps this process from entering a directory.
pub(crate) fn directory_fault(path: &Path) -> Option<PathFault> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Some((libc::ENOTDIR, "is not a directory".to_string())),
        Ok(meta) if files::can_execute(path).is_err() => {
            Some((libc::EACCES, not_allowed("entered", &meta)))
        }
        Ok(_) => None,
        Err(error) => Some(unreachable(path, &error)),
    }
}

fn not_allowed(done: &str, meta: &fs::Metadata) -> String {
    format!(
        "may not be {done} by this user (its mode is {:04o})",
        meta.permissions().mode() & 0o7777
    )
}

#[cfg(target_os = "linux")]
fn is_on_noexec_mount(path: &Path) -> bool {
    use rustix::fs::StatVfsMountFlags;

    rustix::fs::statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// `statvfs` does not tell of it on macOS and the BSDs.
#[cfg(not(target_os = "linux"))]
fn is_on_noexec_mount(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_flags & libc::MNT_NOEXEC as u32 != 0)
}

/// Returns why a path leads nowhere.
fn unreachable(path: &Path, error: &io::Error) -> PathFault {
    let number = error.raw_os_error().unwrap_or(libc::EIO);
    // The last part of the way that can be reached; the next one is below it.
    let last = path.ancestors().skip(1).find(|part| fs::metadata(part).is_ok());
    let text = match number {
        libc::ENOENT if fs::symlink_metadata(path).is_ok() => {
            "is a symbolic link to nothing".to_string()
        }
        libc::ENOENT => "does not exist".to_string(),
        libc::ENOTDIR => match last {
            Some(last) if !last.is_dir() => {
                format!("cannot be reached, for {last:?} is not a directory")
            }
            _ => "cannot be reached, for a part of its path is not a directory".to_string(),
        },
        libc::EACCES => match last {
            Some(last) if files::can_execute(last).is_err() => {
                format!("cannot be reached, for this user may not search {last:?}")
            }
            _ => {
                "cannot be reached, for this user may not search a directory on the way".to_string()
            }
        },
        libc::ELOOP => "cannot be reached, for its path has too many symbolic links".to_string(),
        libc::ENAMETOOLONG => "has too long a path".to_string(),
        _ => format!("cannot be examined: {error}"),
    };
    (number, text)
}
