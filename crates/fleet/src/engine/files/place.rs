//! Places files below a directory that programs may change meanwhile: each directory on the way is opened
//! without following links, and what is made is made in the directory that is open.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use uuid::Uuid;

use super::open::{DIRECTORY, open_directory_below};

/// Opens the directory at a path below a root, and makes what is not there of it. `real_root` is the path of
/// the root without links; `own` is called with each directory that is made. Links are followed within the
/// root alone.
pub(super) fn make_below(
    root: &File,
    real_root: &Path,
    parts: &[&str],
    own: impl Fn(&File) -> io::Result<()>,
) -> Result<File, String> {
    let failed = |error: io::Error| error.to_string();
    let of_system = |error: Errno| error.to_string();
    let (mut at, mut below) = (root.try_clone().map_err(failed)?, PathBuf::new());
    for part in parts {
        let is_new = match mkdirat(&at, *part, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(of_system(error)),
        };
        match openat(&at, *part, DIRECTORY, Mode::empty()) {
            Ok(directory) => {
                at = directory.into();
                below.push(part);
                if is_new {
                    own(&at).map_err(failed)?;
                }
            }
            // It may be a link. Where it leads is opened from the root on, so that nothing that is put in
            // the way meanwhile is followed.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let real = real_root.join(&below).join(part).canonicalize().map_err(failed)?;
                let is_within = real.strip_prefix(real_root).map(Path::to_owned);
                below = is_within.map_err(|_| {
                    format!("{part} is a link that leads out of the working directory")
                })?;
                at = open_directory_below(root, &below).map_err(failed)?;
            }
            Err(error) => return Err(of_system(error)),
        }
    }
    Ok(at)
}

/// File in a directory under a name of its own. It is removed with this unless it gets its place.
pub(super) struct NewFile {
    directory: File,
    name: String,
    file: File,
    is_placed: bool,
}

impl NewFile {
    /// Creates an empty one.
    pub(super) fn create(directory: File) -> io::Result<Self> {
        let name = format!(".exeng-{}", Uuid::new_v4().simple());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, &name, flags, Mode::from_raw_mode(0o600))?.into();
        Ok(Self { directory, name, file, is_placed: false })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it this name in its directory. A file or link of this name is replaced.
    pub(super) fn put(mut self, name: &str) -> io::Result<()> {
        renameat(&self.directory, &self.name, &self.directory, name)?;
        self.is_placed = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_placed {
            // Programs may have removed it.
            let _removed = unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Returns a home, with the directories `work` and `other` in it.
    fn home() -> (TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().canonicalize().unwrap();
        let (work, other) = (real.join("work"), real.join("other"));
        std::fs::create_dir(&work).unwrap();
        std::fs::create_dir(&other).unwrap();
        (home, work, other)
    }

    fn entries(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn place(directory: File, name: &str) {
        let file = NewFile::create(directory).unwrap();
        file.file().write_all(b"placed").unwrap();
        file.put(name).unwrap();
    }

    #[test]
    fn links_are_followed_within_the_root_alone() {
        let (_home, work, other) = home();
        let root = File::open(&work).unwrap();
        let make = |parts: &[&str]| make_below(&root, &work, parts, |_| Ok(()));
        place(make(&["a", "b"]).unwrap(), "file");
        assert_eq!(std::fs::read(work.join("a/b/file")).unwrap(), b"placed");
        symlink("a/b", work.join("within")).unwrap();
        symlink(&work, work.join("root")).unwrap();
        place(make(&["root", "within", "c"]).unwrap(), "file");
        assert_eq!(std::fs::read(work.join("a/b/c/file")).unwrap(), b"placed");
        symlink("../other", work.join("out")).unwrap();
        symlink("none", work.join("dangling")).unwrap();
        assert!(make(&["out"]).unwrap_err().contains("out is a link that leads out"));
        assert!(make(&["out", "b"]).unwrap_err().contains("leads out"));
        make(&["dangling"]).unwrap_err();
        make(&["a", "b", "file"]).unwrap_err();
        assert!(entries(&other).is_empty(), "{:?}", entries(&other));
        // A link of the name is replaced, and not written through.
        std::fs::write(other.join("kept"), "own").unwrap();
        symlink(other.join("kept"), work.join("name")).unwrap();
        place(make(&[]).unwrap(), "name");
        assert_eq!(std::fs::read(other.join("kept")).unwrap(), b"own");
    }

    #[test]
    fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
        let (_home, work, other) = home();
        let root = File::open(&work).unwrap();
        let swap = |name: &str| {
            std::fs::rename(work.join(name), work.join(format!("{name}-moved"))).unwrap();
            symlink(&other, work.join(name)).unwrap();
        };
        // Once it is made and before what is below it.
        let is_swapped = std::cell::Cell::new(false);
        let made = make_below(&root, &work, &["a", "b"], |_| {
            if !is_swapped.replace(true) {
                swap("a");
            }
            Ok(())
        });
        place(made.unwrap(), "file");
        assert_eq!(std::fs::read(work.join("a-moved/b/file")).unwrap(), b"placed");
        // While the content comes.
        let file = NewFile::create(make_below(&root, &work, &["c"], |_| Ok(())).unwrap()).unwrap();
        swap("c");
        file.put("file").unwrap();
        assert_eq!(entries(&work.join("c-moved")), ["file"]);
        assert!(entries(&other).is_empty(), "{:?}", entries(&other));
    }

    #[test]
    fn a_file_that_gets_no_place_is_removed() {
        let (_home, work, _) = home();
        drop(NewFile::create(File::open(&work).unwrap()).unwrap());
        std::fs::create_dir(work.join("taken")).unwrap();
        NewFile::create(File::open(&work).unwrap()).unwrap().put("taken").unwrap_err();
        assert_eq!(entries(&work), ["taken"]);
    }
}
