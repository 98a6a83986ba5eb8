//! Opens files that were found.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

/// Opens a directory, and no link to one.
pub(super) const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a regular file below a directory, and returns its mode too. No link is followed: one that is
/// there was put there after the file was found, and may lead anywhere.
pub(super) fn open_below(root: &File, path: &Path) -> io::Result<(File, u32)> {
    // A pipe without a writer would block.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let no_file = || io::Error::other("is no regular file");
    let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(no_file)?;
    let parent = open_directory_below(root, parent)?;
    let file = File::from(openat(&parent, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.permissions().mode())),
        false => Err(no_file()),
    }
}

/// Opens a directory below another one; that itself at an empty path. No link is followed.
pub(super) fn open_directory_below(root: &File, path: &Path) -> io::Result<File> {
    let mut at = root.try_clone()?;
    for part in path.components() {
        at = openat(&at, part.as_os_str(), DIRECTORY, Mode::empty())?.into();
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_put_in_the_place_of_a_file_is_not_opened() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("work");
        std::fs::create_dir_all(dir.join("out")).unwrap();
        std::fs::create_dir(home.path().join("other")).unwrap();
        std::fs::write(dir.join("out/a"), "own").unwrap();
        std::fs::write(home.path().join("other/a"), "secret").unwrap();
        let root = File::open(&dir).unwrap();
        let open = |path: &str| open_below(&root, Path::new(path));
        let mut content = String::new();
        open("out/a").unwrap().0.read_to_string(&mut content).unwrap();
        assert_eq!(content, "own");
        assert!(open("out").unwrap_err().to_string().contains("no regular file"));
        // A pipe without a writer.
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(&root, "pipe", rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open("pipe").unwrap_err().to_string().contains("no regular file"));
        symlink("../other/a", dir.join("link")).unwrap();
        open("link").unwrap_err();
        // A directory of the path, and the root itself.
        std::fs::rename(dir.join("out"), dir.join("before")).unwrap();
        symlink("../other", dir.join("out")).unwrap();
        open("out/a").unwrap_err();
        std::fs::rename(&dir, home.path().join("moved")).unwrap();
        symlink("other", &dir).unwrap();
        open("a").unwrap_err();
    }
}
